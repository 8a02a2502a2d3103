"""Bugs in the log: numbers, kept answers, leases, and what owners store. Each is one that an engineer could make."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import update

from waypost.clock import Clock, to_micros
from waypost.delivery import engine, worker
from waypost.delivery.worker import Worker
from waypost.errors import CallerError
from waypost.log import accept, endpoints, events, idempotency, leases, replays, retention, units
from waypost.log.records import LoadedEndpoint
from waypost.log.tables import accounts, workers
from waypost.log.tables import endpoints as endpoints_table
from waypost.log.tables import replays as replays_table
from waypost.log.transaction import Unit
from waypost.simulator.planted.planting import Planted, Swap, instead, planted


@planted("A report that is refused keeps the position it was given.")
def gap_after_a_refusal() -> Sequence[Swap]:
    """The position is taken before the report is looked at, and not given back."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def accept_report(tx: Any, known: Any, writes: Any, report: Any) -> Any:
            try:
                return before(tx, known, writes, report)
            except CallerError:
                tx.head(report.account_id).position += 1
                raise

        return accept_report

    return [Swap(accept, "_accept", make)]


@planted("The answer to an Idempotency-Key is kept after the transaction, and so not at all when its answer is lost.")
def key_kept_apart_from_its_effect() -> Sequence[Swap]:
    """Nothing of the answer is stored with the effect."""
    return [instead(idempotency, "keep", lambda tx, kept: None)]


@planted("An owner's write names its endpoint, and not the epoch it holds it with.")
def fencing_dropped() -> Sequence[Swap]:
    """Every epoch is as good as the stored one."""

    class AnyEpoch(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def lock(tx: Any, names: Any) -> Any:
            return {name: (AnyEpoch(row[0]), *row[1:]) for name, row in before(tx, names).items()}

        return lock

    return [Swap(leases, "_lock_endpoints", make)]


@planted("Leases are written by the worker's clock and judged by the database's.")
def lease_by_the_workers_clock() -> Sequence[Swap]:
    """The worker says until when it lives, by its own clock."""
    clocks: dict[str, Clock] = {}

    def begin(before: Callable[..., None]) -> Callable[..., None]:
        def init(self: Any, store: Any, dispatcher: Any, clock: Clock, ids: Any, *, owner: str, **more: Any) -> None:
            clocks[owner] = clock
            before(self, store, dispatcher, clock, ids, owner=owner, **more)

        return init

    def renew(before: Callable[..., None]) -> Callable[..., None]:
        def by_its_own_clock(tx: Any, owner: str, ttl_s: float) -> None:
            before(tx, owner, ttl_s)
            until = to_micros(clocks[owner].now()) + round(ttl_s * 1_000_000)
            tx.connection.execute(update(workers).where(workers.c.owner == owner).values(lease_until=until))

        return by_its_own_clock

    return [Swap(Worker, "__init__", begin), Swap(leases, "_renew", renew)]


@planted("A worker that joins takes every endpoint, as if it had the database to itself.")
def living_owners_taken_from() -> Sequence[Swap]:
    """Whoever comes holds the others for dead."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def take(owner: str, ttl_s: float, limit: int, held: Any = None, *, alone: bool) -> Any:
            return before(owner, ttl_s, limit, held, alone=alone or not held)

        return take

    return [Swap(leases, "take_leases", make)]


@planted("An endpoint that is taken keeps its epoch when its owner comes back under the same name.")
def epoch_kept_when_taken() -> Sequence[Swap]:
    """The epoch is raised only every other time."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def take(owner: str, ttl_s: float, limit: int, held: Any = None, *, alone: bool) -> Any:
            unit = before(owner, ttl_s, limit, held, alone=alone)

            def work(tx: Any) -> Any:
                taken = [replace(lease, epoch=lease.epoch - 1) if lease.epoch > 1 else lease for lease in unit.work(tx)]
                for lease in taken:
                    mine = (endpoints_table.c.account_id == lease.account_id,
                            endpoints_table.c.endpoint_id == lease.endpoint_id)  # fmt: skip
                    tx.connection.execute(update(endpoints_table).where(*mine).values(epoch=lease.epoch))
                return taken

            return Unit(unit.account_id, work, locks=unit.locks, others=unit.others)

        return take

    return [Swap(leases, "take_leases", make)]


def _loaded(change: Callable[[LoadedEndpoint], LoadedEndpoint]) -> Sequence[Swap]:
    """Change what an owner is given of an endpoint."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def load(connection: Any, vault: Any, names: Any) -> Any:
            return {name: change(loaded) for name, loaded in before(connection, vault, names).items()}

        return load

    return [Swap(leases, "_load_some", make)]


@planted("A new owner does not ask which events past the cursor were delivered before the crash.")
def deliveries_before_a_crash_forgotten() -> Sequence[Swap]:
    """Nothing past the cursor counts as settled."""
    return _loaded(lambda loaded: replace(loaded, settled_past_cursor=frozenset()))


@planted("A new owner counts the attempts of an event from one again.")
def attempts_before_a_crash_forgotten() -> Sequence[Swap]:
    """The numbers of attempts past the cursor are not read."""
    return _loaded(lambda loaded: replace(loaded, attempts_past_cursor={}))


@planted("A new owner does not read the rows of what was asked for again.")
def resends_lost_at_reload() -> Sequence[Swap]:
    """Only retries and what waits behind them is loaded."""
    return _loaded(
        lambda loaded: replace(loaded, pending=tuple(row for row in loaded.pending if row.state != "resend"))
    )


@planted("A new owner takes the failures of what it loads for none.")
def failures_forgotten_at_restart() -> Sequence[Swap]:
    """Each event's schedule begins anew."""
    return _loaded(lambda loaded: replace(loaded, pending=tuple(replace(row, failures=0) for row in loaded.pending)))


@planted("An announcement that is stored a second time, after an answer that was lost, is another event.")
def announcement_made_twice() -> Sequence[Swap]:
    """Its id is made when it is stored."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def announce(tx: Any, account_id: Any, endpoint_id: Any, announcement: Any) -> Any:
            return before(tx, account_id, endpoint_id, replace(announcement, event_id=tx.ids.event_id(tx.now)))

        return announce

    return [Swap(leases, "_announce", make)]


@planted("A new endpoint starts one event late.")
def start_one_late() -> Sequence[Swap]:
    """The position asked for is taken for the first event that is left out."""

    def make(before: Callable[..., int]) -> Callable[..., int]:
        def start(connection: Any, account_id: Any, start: Any, end: int) -> int:
            return min(end, before(connection, account_id, start, end) + 1)

        return start

    return [Swap(endpoints, "start_position", make)]


@planted("A change of wishes applies from the last event before it on.")
def wishes_changed_one_early() -> Sequence[Swap]:
    """The change takes the position of the last event in place of the next one's."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def put(tx: Any, account_id: Any, endpoint_id: Any, from_position: int, wants: Any) -> None:
            before(tx, account_id, endpoint_id, max(1, from_position - 1), wants)

        return put

    return [Swap(endpoints, "_put_version", make)]


@planted("A resume goes on at the end of the log, and what was held is gone.")
def held_events_forgotten_at_resume() -> Sequence[Swap]:
    """The cursor is set to the log's end."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def resume(account_id: Any, endpoint_id: Any) -> Any:
            unit = before(account_id, endpoint_id)

            def work(tx: Any) -> Any:
                record = unit.work(tx)
                if record.updated_at == tx.now:
                    end = accounts.select().where(accounts.c.account_id == account_id)
                    row = tx.connection.execute(end).one()
                    mine = endpoints_table.c.account_id == account_id, endpoints_table.c.endpoint_id == endpoint_id
                    tx.connection.execute(update(endpoints_table).where(*mine).values(cursor=row.position))
                return record

            return Unit(unit.account_id, work, locks=unit.locks, others=unit.others)

        return resume

    return [Swap(units, "resume_endpoint", make)]


@planted("The next page of the log begins one event after where the last full page ended.")
def skip_at_a_page_boundary() -> Sequence[Swap]:
    """A page that was full is taken to have held one more."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        last: dict[Any, int] = {}

        def read(connection: Any, account_id: Any, position: int, limit: int) -> Any:
            rows = before(connection, account_id, position, limit)
            skipped = rows[1:] if last.get(account_id) == position else rows
            if len(rows) == limit:
                last[account_id] = rows[-1].position
            return skipped

        return read

    return [instead(worker, "READ_ROWS", 4), instead(engine, "READ_AHEAD", 4), Swap(events, "read_events_after", make)]


@planted("Retention does not ask how far the cursors have come.")
def retention_above_a_cursor() -> Sequence[Swap]:
    """Only pending rows keep an event."""
    return [Swap(retention, "Floors", lambda before: lambda _cursor, replay: before(None, replay))]


def _fed(step: int) -> Sequence[Swap]:
    """Let a replay go on a few events at a time, each time `step` positions from where it stopped."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def feed(tx: Any, job: Any, room: int) -> None:
            before(tx, job, room)
            columns = replays_table.c
            mine = columns.account_id == job.account_id, columns.replay_id == job.replay_id
            inside = columns.scanned < columns.through, columns.scanned + step > 0
            moved = update(replays_table).where(*mine, *inside).values(scanned=columns.scanned + step)
            tx.connection.execute(moved)

        return feed

    return [instead(replays, "IN_PLAY_MAX", 2), instead(replays, "IN_PLAY_LOW", 1), Swap(replays, "_feed", make)]


@planted("A replay skips the event after each portion of events.")
def replay_skips_at_an_edge() -> Sequence[Swap]:
    """An off-by-one in its cursor."""
    return _fed(1)


@planted("A replay sends the last event of each portion again with the next one.")
def replay_repeats_at_an_edge() -> Sequence[Swap]:
    """An off-by-one in its cursor, the other way."""
    return _fed(-1)


ALL: tuple[Planted, ...] = (
    gap_after_a_refusal,
    key_kept_apart_from_its_effect,
    fencing_dropped,
    lease_by_the_workers_clock,
    living_owners_taken_from,
    epoch_kept_when_taken,
    deliveries_before_a_crash_forgotten,
    attempts_before_a_crash_forgotten,
    resends_lost_at_reload,
    failures_forgotten_at_restart,
    announcement_made_twice,
    start_one_late,
    wishes_changed_one_early,
    held_events_forgotten_at_resume,
    skip_at_a_page_boundary,
    retention_above_a_cursor,
    replay_skips_at_an_edge,
    replay_repeats_at_an_edge,
)
