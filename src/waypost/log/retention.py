"""What leaves by age, in small steps: each unit here touches a bounded number of rows and says whether more is left.

keeping.py decides; this reads what the decision needs and does it, in one transaction under the account's lock, so that
neither a new endpoint nor a replay can begin to want what is leaving. Endpoints only move forward: a cursor that moves
meanwhile makes the decision more careful than it had to be, never less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    text,
)

from waypost.ids import AccountId, EndpointId
from waypost.log import erasure, hours
from waypost.log.database import database_now, execute_many
from waypost.log.keeping import Aged, Ages, Floors, cut
from waypost.log.tables import (
    attempts,
    endpoints,
    events,
    folded,
    idempotency,
    intake_messages,
    intake_shipments,
    pending,
    replays,
    workers,
)
from waypost.log.transaction import Tx, Unit

STEP_ROWS = 100  # a step holds the account, and on SQLite everybody, for some hundredths of a second
NO_ACCOUNT = AccountId("")  # the rows of workers belong to no account


@dataclass(frozen=True, slots=True)
class Step:
    """What a unit did: how many rows left, where to go on, and whether to."""

    removed: int
    place: int
    more: bool


def tried_endpoints(connection: Connection, account_id: AccountId) -> list[EndpointId]:
    """The endpoints with attempts, deleted ones included, with one step through the primary key for each."""
    found: list[EndpointId] = []
    columns = attempts.c
    while True:
        following = select(func.min(columns.endpoint_id)).where(columns.account_id == account_id)
        endpoint_id = connection.execute(following.where(columns.endpoint_id > (found[-1] if found else ""))).scalar()
        if endpoint_id is None:
            return found
        found.append(EndpointId(endpoint_id))


# -- events and attempts -----------------------------------------------------------------------------------------------


def remove_events(account_id: AccountId, ages: Ages, after: int) -> Unit[Step]:
    """Remove the events past the position `after` that are old and that nobody is owed, some of them."""

    def work(tx: Tx) -> Step:
        connection = tx.connection
        rows = [Aged(*row) for row in connection.execute(ages_after(account_id, after, STEP_ROWS))]
        if not rows:
            return Step(0, tx.head(account_id).position, more=False)
        # How far everybody has come is read before what they still wait for: who moves on meanwhile leaves a row
        # behind, in the same transaction, for each position that it passes unsettled.
        floors = Floors(
            connection.execute(lowest_cursor(account_id)).scalar(),
            connection.execute(lowest_replay(account_id)).scalar(),
        )
        reach = (account_id, after, rows[-1].position)
        kept = set(connection.execute(positions_pending(*reach)).scalars())
        kept |= set(connection.execute(positions_folded(*reach)).scalars())
        kept |= set(connection.execute(positions_just_failed(*reach, tx.now_us - ages.shown_us)).scalars())
        result = cut(rows, floors, kept, ages, now_us=tx.now_us, after=after, limit=STEP_ROWS)
        gone = [{"of_account": account_id, "of_position": position} for position in result.leaving]
        execute_many(connection, delete_event(), gone)
        return Step(len(gone), result.place, result.more)

    return Unit(account_id, work, locks=True)


def remove_attempts(
    account_id: AccountId, endpoint_id: EndpointId, ages: Ages, after: tuple[int, int], through: int
) -> Unit[tuple[Step, tuple[int, int]]]:
    """Remove attempts up to the position `through` whose events have left, past `after`, a position and a number.

    An attempt never leaves before its event, so whatever is owed keeps what tells that it was sent. One that was made
    lately stays a while, for the figures of the endpoint, without what was answered: an erasure finds answers by their
    events alone.
    """

    def work(tx: Tx) -> tuple[Step, tuple[int, int]]:
        rows = tx.connection.execute(attempts_after(account_id, endpoint_id, after, through, STEP_ROWS)).all()
        if not rows:
            return Step(0, through, more=False), after
        there = {row.position for row in rows}
        there &= set(tx.connection.execute(positions_there(account_id, sorted(there))).scalars())
        alone = [row for row in rows if row.position not in there]
        gone = [
            {
                "of_account": account_id,
                "of_endpoint": endpoint_id,
                "of_position": row.position,
                "of_number": row.number,
            }
            for row in alone
            if row.started_at < tx.now_us - ages.shown_us
        ]
        execute_many(tx.connection, delete_attempt(), gone)
        if len(alone) > len(gone):
            erasure.blank_attempts(tx, account_id, endpoint_id, sorted({row.position for row in alone}))
        last = rows[-1]
        return Step(len(gone), last.position, more=len(rows) == STEP_ROWS), (last.position, last.number)

    return Unit(account_id, work, locks=True)


def remove_folds(account_id: AccountId, through: int) -> Unit[Step]:
    """Remove what is noted of folded events up to the position `through` that have left, some of it."""

    def work(tx: Tx) -> Step:
        rows = tx.connection.execute(folds_of_gone(account_id, through, STEP_ROWS)).all()
        gone = [{"of_account": account_id, "of_endpoint": row.endpoint_id, "of_position": row.position} for row in rows]
        execute_many(tx.connection, delete_fold(), gone)
        return Step(len(gone), through, more=len(gone) == STEP_ROWS)

    return Unit(account_id, work)


# -- all else ----------------------------------------------------------------------------------------------------------


def remove_hours(account_id: AccountId, ages: Ages) -> Unit[Step]:
    """Remove counts of deliveries by the hour that are as old as events that left, some of them."""

    def work(tx: Tx) -> Step:
        before = hours.hour_of(tx.now_us - ages.kept_us)
        old = tx.connection.execute(hours.old_hours(account_id, before, STEP_ROWS)).all()
        gone = [{"of_account": account_id, "of_hour": row.hour, "of_endpoint": row.endpoint_id} for row in old]
        execute_many(tx.connection, hours.delete_hour(), gone)
        return Step(len(gone), 0, more=len(gone) == STEP_ROWS)

    return Unit(account_id, work)


def remove_answers(account_id: AccountId, older_than_us: int) -> Unit[Step]:
    """Remove answers kept for an Idempotency-Key that are older than `older_than_us` microseconds, some of them."""

    def work(tx: Tx) -> Step:
        old = tx.connection.execute(answers_before(account_id, tx.now_us - older_than_us, STEP_ROWS)).scalars().all()
        gone = [{"of_account": account_id, "of_scope": scope} for scope in old]
        execute_many(tx.connection, delete_answer(), gone)
        return Step(len(gone), 0, more=len(gone) == STEP_ROWS)

    return Unit(account_id, work)


def remove_messages(account_id: AccountId, ages: Ages) -> Unit[Step]:
    """Remove raw messages of carriers that are old, and what they were tied to, some of them."""

    def work(tx: Tx) -> Step:
        old = tx.connection.execute(messages_before(account_id, tx.now_us - ages.kept_us, STEP_ROWS)).scalars().all()
        gone = [{"of_account": account_id, "of_message": message_id} for message_id in old]
        execute_many(tx.connection, delete_message_links(), gone)
        execute_many(tx.connection, delete_message(), gone)
        return Step(len(gone), 0, more=len(gone) == STEP_ROWS)

    return Unit(account_id, work)


def remove_workers(ages: Ages) -> Unit[Step]:
    """Remove the rows of workers that have been dead for long."""

    def work(tx: Tx) -> Step:
        before = database_now(tx.connection, tx.now_us) - ages.kept_us
        gone = tx.connection.execute(delete(workers).where(workers.c.lease_until < before)).rowcount
        return Step(gone, 0, more=False)

    return Unit(NO_ACCOUNT, work)


# -- statements --------------------------------------------------------------------------------------------------------


def ages_after(account_id: AccountId, after: int, limit: int) -> Select[Any]:
    """The positions past `after` and when their events were recorded, in log order. Walks the primary key."""
    columns = events.c
    mine = select(columns.position, columns.recorded_at).where(columns.account_id == account_id)
    return mine.where(columns.position > after).order_by(columns.position).limit(limit)


def lowest_cursor(account_id: AccountId) -> Select[Any]:
    """The lowest cursor of the account's endpoints; none without an endpoint. Walks their primary key."""
    return select(func.min(endpoints.c.cursor)).where(endpoints.c.account_id == account_id)


def lowest_replay(account_id: AccountId) -> Select[Any]:
    """How far the running replay has looked that has looked least far; none without one. Walks replays_running."""
    columns = replays.c
    return select(func.min(columns.scanned)).where(columns.account_id == account_id, text("state = 'running'"))


def own_endpoints(account_id: AccountId) -> Select[Any]:
    """The ids of the account's endpoints. Walks the primary key.

    As a list to look in, it lets a walk begin at each endpoint; joined, SQLite would read everybody's rows instead.
    """
    return select(endpoints.c.endpoint_id).where(endpoints.c.account_id == account_id)


def positions_pending(account_id: AccountId, after: int, through: int) -> Select[Any]:
    """The positions in (`after`, `through`] that some endpoint waits for. Walks each endpoint's part of the key."""
    columns = pending.c
    mine = select(columns.position).where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id.in_(own_endpoints(account_id)))
    return mine.where(columns.position > after, columns.position <= through)


def holder_waits() -> ColumnElement[bool]:
    """Whether the event that a row of `folded` goes out with is not settled at the endpoint, which is joined."""
    columns = pending.c
    mine = columns.account_id == folded.c.account_id, columns.endpoint_id == folded.c.endpoint_id
    held = exists().where(*mine, columns.position == folded.c.into_position)
    return or_(folded.c.into_position > endpoints.c.cursor, held)


def positions_folded(account_id: AccountId, after: int, through: int) -> Select[Any]:
    """The positions in (`after`, `through`] whose newer event is there. Walks each endpoint's part of the key.

    As long as that one can be sent again, it goes out with the same bytes.
    """
    columns, holder = folded.c, events.alias()
    is_there = exists().where(holder.c.account_id == columns.account_id, holder.c.position == columns.into_position)
    mine = select(columns.position).where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id.in_(own_endpoints(account_id)))
    return mine.where(columns.position > after, columns.position <= through, is_there)


def folds_of_gone(account_id: AccountId, through: int, limit: int) -> Select[Any]:
    """Rows of `folded` up to the position `through` whose events have left. Walks each endpoint's part of the key."""
    columns = folded.c
    there = exists().where(events.c.account_id == columns.account_id, events.c.position == columns.position)
    mine = select(columns.endpoint_id, columns.position).where(columns.account_id == account_id)
    mine = mine.where(columns.endpoint_id.in_(own_endpoints(account_id)))
    return mine.where(columns.position <= through, ~there).limit(limit)


def positions_just_failed(account_id: AccountId, after: int, through: int, since: int) -> Select[Any]:
    """The positions in (`after`, `through`] that were given up somewhere since then. Walks attempts_by_verdict."""
    columns = attempts.c
    mine = select(columns.position).where(columns.account_id == account_id, columns.verdict == "failed")
    mine = mine.where(columns.endpoint_id.in_(own_endpoints(account_id)))
    started_at = columns.started_at + 0  # or SQLite walks all attempts since then
    return mine.where(columns.position > after, columns.position <= through, started_at >= since)


def attempts_after(
    account_id: AccountId, endpoint_id: EndpointId, after: tuple[int, int], through: int, limit: int
) -> Select[Any]:
    """The attempts past the position and number `after`, up to the position `through`. Walks the primary key."""
    columns = attempts.c
    position, number = after
    mine = select(columns.position, columns.number, columns.started_at)
    mine = mine.where(columns.account_id == account_id, columns.endpoint_id == endpoint_id)
    mine = mine.where(columns.position >= position, columns.position <= through)
    mine = mine.where((columns.position > position) | (columns.number > number))
    return mine.order_by(columns.position, columns.number).limit(limit)


def positions_there(account_id: AccountId, positions: Sequence[int]) -> Select[Any]:
    """Which of these positions are in the log. By the primary key."""
    return select(events.c.position).where(events.c.account_id == account_id, events.c.position.in_(positions))


def answers_before(account_id: AccountId, before: int, limit: int) -> Select[Any]:
    """The scopes of answers kept before then, the oldest first. Walks idempotency_by_age."""
    columns = idempotency.c
    mine = select(columns.scope).where(columns.account_id == account_id, columns.created_at < before)
    return mine.order_by(columns.created_at).limit(limit)


def messages_before(account_id: AccountId, before: int, limit: int) -> Select[Any]:
    """The messages received before then, the oldest first. Walks intake_messages_by_age."""
    columns = intake_messages.c
    mine = select(columns.message_id).where(columns.account_id == account_id, columns.received_at < before)
    return mine.order_by(columns.received_at).limit(limit)


@cache
def delete_event() -> Delete:
    """Drop the event `:of_position` of `:of_account`. By the primary key."""
    columns = events.c
    return delete(events).where(
        columns.account_id == bindparam("of_account"), columns.position == bindparam("of_position")
    )


@cache
def delete_attempt() -> Delete:
    """Drop one attempt. By the primary key."""
    names = {"account_id": "of_account", "endpoint_id": "of_endpoint", "position": "of_position", "number": "of_number"}
    return delete(attempts).where(*(attempts.c[column] == bindparam(name) for column, name in names.items()))


@cache
def delete_fold() -> Delete:
    """Drop what is noted of one folded event. By the primary key."""
    names = {"account_id": "of_account", "endpoint_id": "of_endpoint", "position": "of_position"}
    return delete(folded).where(*(folded.c[column] == bindparam(name) for column, name in names.items()))


@cache
def delete_answer() -> Delete:
    """Drop the answer kept under `:of_scope`. By the primary key."""
    columns = idempotency.c
    return delete(idempotency).where(
        columns.account_id == bindparam("of_account"), columns.scope == bindparam("of_scope")
    )


@cache
def delete_message() -> Delete:
    """Drop the message `:of_message`. By the primary key."""
    columns = intake_messages.c
    return delete(intake_messages).where(
        columns.account_id == bindparam("of_account"), columns.message_id == bindparam("of_message")
    )


@cache
def delete_message_links() -> Delete:
    """Drop what ties the message `:of_message` to shipments. By intake_shipments_by_message."""
    columns = intake_shipments.c
    return delete(intake_shipments).where(
        columns.account_id == bindparam("of_account"), columns.message_id == bindparam("of_message")
    )
