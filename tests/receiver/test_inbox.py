"""Each event takes effect once, in the receiver's own database, whatever comes twice, late, or half done."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pysqlite3
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from receiver.builders import an_event
from waypost.receiver import Duplicate, Handled, Ignored, Inbox, InboxError
from waypost.receiver.databases import with_parameters


def sqlite_standard(path, pg_url):
    return sqlite3.connect(path, check_same_thread=False)


def sqlite_without_implicit_transactions(path, pg_url):
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def sqlite_of_another_module(path, pg_url):
    return pysqlite3.connect(str(path), check_same_thread=False)


def sqlalchemy_sqlite(path, pg_url):
    arguments = {"check_same_thread": False}
    return sqlalchemy.create_engine(
        f"sqlite:///{path}", connect_args=arguments, poolclass=sqlalchemy.NullPool
    ).connect()


def sqlalchemy_postgresql(path, pg_url):
    url = sqlalchemy.make_url(pg_url()).set(drivername="postgresql+psycopg")
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect()


def psycopg_standard(path, pg_url):
    return psycopg.connect(pg_url())


def psycopg_autocommit(path, pg_url):
    return psycopg.connect(pg_url(), autocommit=True)


CONNECTIONS = [
    sqlite_standard,
    sqlite_without_implicit_transactions,
    sqlite_of_another_module,
    sqlalchemy_sqlite,
    sqlalchemy_postgresql,
    psycopg_standard,
    psycopg_autocommit,
]


class Shop:
    """A receiver's database: a table of effects, and as many connections as a test opens."""

    def __init__(self, open_connection):
        self._open = open_connection
        self._closing = []
        self.connection = self.connect()
        self.run("CREATE TABLE effects (event_id VARCHAR(100))")

    def connect(self):
        connection = self._open()
        self._closing.append(connection)
        return connection

    def run(self, statement, connection=None):
        """Run a statement in a transaction of its own; give its rows."""
        connection = connection or self.connection
        rows = write(connection, statement)
        connection.commit()
        return rows

    def effects(self):
        return [row[0] for row in self.run("SELECT event_id FROM effects ORDER BY event_id")]

    def close(self):
        for connection in self._closing:
            connection.close()


def write(connection, statement):
    if hasattr(connection, "exec_driver_sql"):
        cursor = connection.exec_driver_sql(statement)
        return cursor.fetchall() if cursor.returns_rows else []
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor.fetchall() if cursor.description else []


def record(arrival):
    """The effect of these tests."""
    write(arrival.connection, f"INSERT INTO effects VALUES ('{arrival.event.id}')")
    return arrival.event.id


@pytest.fixture(params=CONNECTIONS, ids=lambda kind: kind.__name__)
def shop(request, tmp_path):
    def pg_url():
        return request.getfixturevalue("empty_pg_url")

    shop = Shop(lambda: request.param(tmp_path / "shop.db", pg_url))
    yield shop
    shop.close()


@pytest.fixture
def small_shop(tmp_path):
    shop = Shop(lambda: sqlite3.connect(tmp_path / "shop.db"))
    yield shop
    shop.close()


def test_the_second_arrival_of_an_event_has_no_effect(shop):
    inbox = Inbox(shop.connection)
    assert inbox.handle(an_event(1), record) == Handled("evt_1", is_late=False)
    assert inbox.handle(an_event(1), record) == Duplicate("evt_1")
    assert shop.effects() == ["evt_1"]


def test_an_effect_that_fails_leaves_no_mark_and_no_trace(shop):
    inbox = Inbox(shop.connection)

    def fail(arrival):
        record(arrival)
        raise ValueError("out of stock")

    with pytest.raises(ValueError, match="out of stock"):
        inbox.handle(an_event(1), fail)
    assert shop.effects() == []
    assert isinstance(inbox.handle(an_event(1), record), Handled)
    assert shop.effects() == ["evt_1"]


def test_an_effect_whose_own_constraint_fails_is_not_taken_for_a_duplicate(shop):
    shop.run("CREATE UNIQUE INDEX effects_once ON effects (event_id)")
    shop.run("INSERT INTO effects VALUES ('evt_1')")
    with pytest.raises(Exception, match=r"(?i)unique"):
        Inbox(shop.connection).handle(an_event(1), record)
    assert not Inbox(shop.connection).has_handled("evt_1")


def test_an_older_event_of_a_shipment_is_late_and_the_effect_knows(shop):
    inbox, lateness = Inbox(shop.connection), []
    for number in (2, 1, 3):
        inbox.handle(an_event(number), lambda arrival: lateness.append((arrival.event.sequence, arrival.is_late)))
    assert lateness == [(2, False), (1, True), (3, False)]


def test_shipments_are_counted_apart_and_skipped_sequences_are_told(shop):
    inbox, skipped = Inbox(shop.connection), []
    for event in (an_event(4), an_event(1, id="evt_b", shipment_id="shp_2"), an_event(7)):
        inbox.handle(event, lambda arrival: skipped.append(list(arrival.skipped)))
    assert skipped == [[1, 2, 3], [], [5, 6]]


def at_once(*calls):
    """Run the calls at the same time; give what they return."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_two_arrivals_at_once_take_effect_once(shop):
    inboxes = [Inbox(shop.connection), Inbox(shop.connect())]
    results = at_once(*[lambda inbox=inbox: inbox.handle(an_event(1), record) for inbox in inboxes])
    assert sorted(type(result).__name__ for result in results) == ["Duplicate", "Handled"]
    assert shop.effects() == ["evt_1"]


def test_two_events_of_a_new_shipment_at_once_both_take_effect_one_after_the_other(shop):
    inboxes, seen = [Inbox(shop.connection), Inbox(shop.connect())], []

    def note(arrival):
        seen.append((arrival.event.sequence, arrival.last_sequence))
        record(arrival)

    at_once(*[lambda inbox=inbox, n=n: inbox.handle(an_event(n), note) for n, inbox in enumerate(inboxes, 1)])
    assert shop.effects() == ["evt_1", "evt_2"]
    # Whoever came second knew of the first: an effect that began again was undone before.
    assert seen[-1] in ((1, 2), (2, 1))


def test_while_one_arrival_is_handled_another_waits_and_takes_over_when_it_fails(shop):
    first, second = Inbox(shop.connection), Inbox(shop.connect())
    results, threads = [], []

    def fail_while_another_comes(arrival):
        record(arrival)
        thread = threading.Thread(target=lambda: results.append(second.handle(an_event(1), record)))
        threads.append(thread)
        thread.start()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        first.handle(an_event(1), fail_while_another_comes)
    threads[0].join()
    assert results == [Handled("evt_1", is_late=False)]
    assert shop.effects() == ["evt_1"]


def test_tables_made_at_once_by_two_programs_are_made(shop):
    connections = [shop.connection, shop.connect()]
    inboxes = at_once(*[lambda connection=connection: Inbox(connection) for connection in connections])
    assert inboxes[0].handle(an_event(1), record) == Handled("evt_1", is_late=False)
    assert inboxes[1].handle(an_event(1), record) == Duplicate("evt_1")


def test_a_connection_inside_a_transaction_is_refused(shop):
    inbox = Inbox(shop.connection)
    write(shop.connection, "BEGIN" if is_autocommit(shop.connection) else "INSERT INTO effects VALUES ('mine')")
    with pytest.raises(InboxError, match="inside a transaction"):
        inbox.handle(an_event(1), record)
    shop.connection.rollback()


def is_autocommit(connection):
    return getattr(connection, "autocommit", False) is True or getattr(connection, "isolation_level", "") is None


def test_an_effect_that_ends_the_transaction_is_found_out(shop):
    inbox = Inbox(shop.connection)
    with pytest.raises(InboxError, match="ended the transaction"):
        inbox.handle(an_event(1), lambda arrival: arrival.connection.commit())


def test_marks_are_forgotten_when_they_are_old(shop):
    clock = iter([1000, 2000])
    inbox = Inbox(shop.connection, now=lambda: next(clock))
    inbox.handle(an_event(1), record)
    inbox.handle(an_event(2), record)
    assert inbox.forget(datetime.fromtimestamp(1500, UTC)) == 1
    assert inbox.not_handled(["evt_1", "evt_2", "evt_3"]) == ["evt_1", "evt_3"]


def test_positions_that_never_came_and_positions_that_came_twice_are_found(shop):
    inbox = Inbox(shop.connection)
    for event in (an_event(2), an_event(5), an_event(5, id="evt_other"), an_event(9, account_id="another")):
        inbox.handle(event, record)
    gaps = inbox.gaps("default")
    assert (gaps.missing, gaps.reused) == ((range(3, 5),), (5,))


def test_a_test_event_has_no_effect_and_leaves_no_mark(small_shop):
    inbox = Inbox(small_shop.connection)
    assert inbox.handle(an_event(1, test=True), record) == Ignored("evt_1")
    assert isinstance(inbox.handle(an_event(1), record), Handled)


def test_two_programs_in_one_database_have_marks_of_their_own(small_shop):
    for table in ("erp_inbox", "shop_inbox"):
        assert isinstance(Inbox(small_shop.connection, table=table).handle(an_event(1), lambda arrival: None), Handled)


@pytest.mark.parametrize("table", ["", "a b", "a;--", "1a", "ä", "a" * 60])
def test_a_table_name_that_could_be_more_than_a_name_is_refused(small_shop, table):
    with pytest.raises(InboxError, match="table name"):
        Inbox(small_shop.connection, table=table)


def test_an_sqlalchemy_connection_in_autocommit_is_refused(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'a.db'}", poolclass=sqlalchemy.NullPool)
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(InboxError, match="AUTOCOMMIT"),
    ):
        Inbox(connection)


def test_a_driver_that_hides_its_paramstyle_is_asked_for_it(small_shop):
    class Unknown:
        def __init__(self, connection):
            self.cursor, self.commit, self.rollback = connection.cursor, connection.commit, connection.rollback

    unknown = Unknown(small_shop.connection)
    with pytest.raises(InboxError, match="paramstyle"):
        Inbox(unknown)
    assert isinstance(Inbox(unknown, paramstyle="named").handle(an_event(1), lambda arrival: None), Handled)


@pytest.mark.parametrize(
    ("paramstyle", "statement", "parameters"),
    [
        ("qmark", "a = ? AND b = ?", (1, 2)),
        ("format", "a = %s AND b = %s", (1, 2)),
        ("pyformat", "a = %s AND b = %s", (1, 2)),
        ("numeric", "a = :1 AND b = :2", (1, 2)),
        ("numeric_dollar", "a = $1 AND b = $2", (1, 2)),
        ("named", "a = :p1 AND b = :p2", {"p1": 1, "p2": 2}),
    ],
)
def test_parameters_are_written_as_the_driver_wants_them(paramstyle, statement, parameters):
    assert with_parameters("a = ? AND b = ?", (1, 2), paramstyle) == (statement, parameters)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), max_size=30))
def test_whatever_arrives_in_whatever_order_each_event_takes_effect_once_and_the_newest_is_never_late(arrivals):
    with closing(sqlite3.connect(":memory:")) as connection:
        inbox, effects, newest = Inbox(connection), [], {}
        for shipment, number in arrivals:
            event = an_event(number, id=f"evt_{shipment}_{number}", shipment_id=f"shp_{shipment}")
            result = inbox.handle(event, lambda arrival: effects.append(arrival.event.id))
            if isinstance(result, Handled):
                assert result.is_late == (number < newest.get(shipment, 0))
            newest[shipment] = max(number, newest.get(shipment, 0))
        assert sorted(effects) == sorted({f"evt_{shipment}_{number}" for shipment, number in arrivals})
