"""The same moves on SQLite and on PostgreSQL give the same answers, and a log without gaps, whatever the moves."""

import random
import shutil
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event

from log.builders import (
    ACTOR,
    DEFAULT,
    NOON,
    SECRET,
    a_pending,
    a_report,
    a_write,
    an_attempt,
    assert_no_gaps,
    once,
)
from waypost.clock import IdSource
from waypost.events.filters import Filter
from waypost.events.patterns import Wants
from waypost.ids import EndpointId
from waypost.log import (
    AcceptReport,
    Database,
    DeliveryFilter,
    EndpointSettings,
    LogRow,
    Request,
    Vault,
    deliveries,
    endpoints,
    events,
    open_database,
    owed,
    shipments,
    units,
)
from waypost.log.group import run_group
from waypost.log.shipments import ShipmentFilter
from waypost.log.tables import metadata
from waypost.shipments.report import CancelReport, EraseReport

REFERENCES = st.sampled_from(["SO-1", "SO-2", "so-3/ä"])
WEIGHTS = st.integers(1, 3)
STATUSES = st.sampled_from(["draft", "booked", "delivered"])
WANTS = st.sampled_from(
    [Wants(("*",)), Wants(("shipment.created",)), Wants(("shipment.*",), Filter(statuses=("delivered",)))]
)
STATES = (None, "delivered", "failed", "retrying", "waiting")


class Side:
    """One of the two databases, with a clock and ids that go the same way on both."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.vault = Vault(bytes(32))
        self.ids = IdSource(random.Random(1).getrandbits)
        self.instant = NOON
        self.counts = owed.Counts()
        if database.is_sqlite:  # nobody pulls the plug here, and the disk is the slowest part
            event.listen(database.writer, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF"))
        self.connection = database.writer.connect()

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return 0.0

    def do(self, *requests: Request) -> list[Any]:
        self.instant += timedelta(milliseconds=7)
        outcomes = run_group(self.connection, requests, self, self.ids, self.vault).outcomes
        return [repr(one) if isinstance(one, Exception) else one for one in outcomes]

    def log(self) -> list[LogRow]:
        with self.database.readers.connect() as connection:
            return events.read_events_after(connection, DEFAULT, 0, 10_000)

    def everything(self) -> list[Any]:
        """All that can be read of the account."""
        with self.database.readers.connect() as connection:
            listed = endpoints.list_endpoints(connection, self.vault, DEFAULT, 50, None).items
            found: list[Any] = [events.read_events_after(connection, DEFAULT, 0, 10_000), listed]
            filters = [ShipmentFilter(q=q) for q in (None, "so-", "SO-3/Ä")]
            found += [shipments.list_shipments(connection, DEFAULT, wanted, 2, None) for wanted in filters]
            for endpoint in listed:
                found.append(owed.waiting(connection, self.counts, endpoint))
                found.append(owed.owed_after(connection, endpoint, 0, 3))
                for state in STATES:
                    wanted = DeliveryFilter(state=state)
                    found.append(deliveries.list_deliveries(connection, endpoint, wanted, 3, None))
            return found

    def close(self) -> None:
        self.connection.close()
        self.database.close()


class Agreement(RuleBasedStateMachine):
    """Everything that can be done to an account, at random."""

    made = Bundle("made")
    template: Path
    pg_url: str

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(self.template, Path(self.folder.name) / "waypost.db")
        with psycopg.connect(self.pg_url, autocommit=True) as connection:
            connection.execute(";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
        self.sides = [Side(open_database(f"sqlite:///{path}")), Side(open_database(f"{self.pg_url}"))]
        self.keys = count()

    def both(self, *requests: Request) -> list[Any]:
        mine, theirs = (side.do(*requests) for side in self.sides)
        assert mine == theirs
        return mine

    @initialize()
    def operator(self) -> None:
        self.both(Request(units.ensure_operator("wp_operator")))

    @rule(documents=st.lists(st.tuples(REFERENCES, WEIGHTS, STATUSES), min_size=1, max_size=4))
    def put_together(self, documents: list[tuple[str, int, str]]) -> None:
        self.both(*(Request(a_report(name, weight=weight, status=status)) for name, weight, status in documents))

    @rule(reference=REFERENCES, version=st.integers(0, 3))
    def put_at_a_version(self, reference: str, version: int) -> None:
        self.both(Request(replace(a_report(reference), if_match=[version])))

    @rule(reference=REFERENCES, key=st.sampled_from("ab"), body=st.sampled_from([b"1", b"2"]))
    def cancel_once(self, reference: str, key: str, body: bytes) -> None:
        work = AcceptReport(DEFAULT, reference, CancelReport(None, ACTOR))
        self.both(Request(work, once(key, body)), Request(work, once(key, body)))

    @rule(reference=REFERENCES)
    def erase(self, reference: str) -> None:
        self.both(Request(AcceptReport(DEFAULT, reference, EraseReport())))

    @rule(target=made, wants=WANTS, start=st.sampled_from(["now", "beginning", 2]))
    def make_endpoint(self, wants: Wants, start: str | int) -> Any:
        settings = EndpointSettings(url="https://erp.example/")
        (outcome,) = self.both(Request(units.create_endpoint(DEFAULT, settings, wants, secret=SECRET, start=start)))
        self.both(Request(units.take_leases("w1", 60, 100, alone=True)))
        return multiple() if isinstance(outcome, str) else outcome.endpoint_id

    @rule(endpoint_id=made, wants=WANTS)
    def change_wishes(self, endpoint_id: EndpointId, wants: Wants) -> None:
        settings = EndpointSettings(url="https://new.example/")
        self.both(Request(units.change_endpoint(DEFAULT, endpoint_id, settings, wants)))

    @rule(endpoint_id=made, act=st.sampled_from([units.pause_endpoint, units.resume_endpoint, units.delete_endpoint]))
    def pause_resume_or_delete(self, endpoint_id: EndpointId, act: Any) -> None:
        self.both(Request(act(DEFAULT, endpoint_id)))

    @rule(endpoint_id=made, dice=st.randoms(use_true_random=False))
    def deliver(self, endpoint_id: EndpointId, dice: random.Random) -> None:
        """Go on as an owner would: some attempts, some rows made and gone, the cursor further on."""
        with self.sides[0].database.readers.connect() as connection:
            found = {
                one.endpoint_id: one
                for one in endpoints.list_endpoints(connection, self.sides[0].vault, DEFAULT, 50, None).items
            }
        endpoint, rows = found.get(endpoint_id), self.sides[0].log()
        if endpoint is None or not rows:
            return
        some = dice.sample(rows, min(3, len(rows)))
        verdicts = [dice.choice(["delivered", "retrying", "failed"]) for _ in some]
        number = next(self.keys) + 1
        write = a_write(
            endpoint,
            epoch=dice.choice([1, 1, 1, 2]),
            cursor=dice.choice([None, endpoint.cursor, rows[-1].position]),
            attempts=tuple(an_attempt(row, word, number) for row, word in zip(some, verdicts, strict=True)),
            pending_put=tuple(a_pending(row, dice.choice(["retrying", "waiting"])) for row in some[:1]),
            pending_gone=tuple(row.position for row in some[1:]),
        )
        self.both(Request(units.persist([write])))

    @rule(endpoint_id=made, index=st.integers(0, 20))
    def resend(self, endpoint_id: EndpointId, index: int) -> None:
        rows = self.sides[0].log()
        event_id = rows[index].event_id if index < len(rows) else "evt_unknown"
        self.both(Request(units.resend(DEFAULT, endpoint_id, event_id)))

    @invariant()
    def both_show_the_same(self) -> None:
        mine, theirs = (side.everything() for side in self.sides)
        assert mine == theirs

    @invariant()
    def there_are_no_gaps(self) -> None:
        assert_no_gaps(self.sides[0].log())

    def teardown(self) -> None:
        for side in self.sides:
            side.close()
        self.folder.cleanup()


def test_both_databases_give_the_same_answers(sqlite_template: Path, pg_database: str) -> None:
    Agreement.template, Agreement.pg_url = sqlite_template, pg_database
    bounds = settings(
        max_examples=15,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    run_state_machine_as_test(Agreement, settings=bounds)
