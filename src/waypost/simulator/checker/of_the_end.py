"""What is promised of a run as a whole: nothing is lost, what a reader is told is true, and trouble stays at home."""

from collections import Counter
from collections.abc import Iterator

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, SECOND, Facts, Sent
from waypost.simulator.history import Ending, EndpointRow, Microseconds, Name

COUNTED_MAX = 10_000  # what waits is counted exactly so far
SWIFT_US = 5 * SECOND  # an event reaches a good endpoint within, whatever others do
GOOD_ANSWER_US = SECOND
LOOKED_BACK_US = 120 * SECOND  # and two leases: so long a death may be felt
STORED_AGAIN_US = 12 * SECOND  # after a store that was in trouble, until everything is tried again
BACKLOG_MAX = 30


@promise("Nothing accepted is lost: in the end every wanted event of every endpoint is delivered, failed or held.")
def nothing_accepted_is_lost(facts: Facts) -> Iterator[Broken]:
    """Follow every event to its end at every endpoint that is left."""
    ending = facts.ending
    if ending is None:
        return
    if not ending.idle:
        yield Broken(words="long after the last fault the world has not come to rest", at=ending.at)
    for row in ending.endpoints:
        held = row.paused or row.health == "suspended"
        for position in facts.wanted(row.name):
            place = (row.name, position)
            if facts.settled(place) != NEVER or (row.name.account_id, position) in facts.events_gone:
                continue
            pending = facts.pending_row(place, len(facts.records)) is not None
            if held and (pending or position > row.cursor):
                continue
            if not ending.idle and (pending or position > row.cursor):
                continue
            yield Broken(
                words=f"position {position} was accepted and wanted, and nothing became of it", at=ending.at,
                name=row.name, position=position, key=facts.key_of(row.name, position),
                involved=(facts.logged[row.name.account_id, position],),
            )  # fmt: skip


@promise(
    "At rest nothing is left over: cursors stand at the log's end, and no row waits at an endpoint that is active."
)
def nothing_is_left_over(facts: Facts) -> Iterator[Broken]:
    """Look at the rows of a world at rest."""
    ending = facts.ending
    if ending is None or not ending.idle:
        return
    rows = {row.name: row for row in ending.endpoints}
    for pending in ending.pending:
        row = rows.get(pending.name)
        if row is not None and not row.paused and row.health == "active" and pending.name in facts.made:
            yield Broken(
                words=f"the row of position {pending.position} ({pending.state}) is left over", at=ending.at,
                name=pending.name, position=pending.position, key=pending.key,
            )  # fmt: skip


@promise("What is said to be waiting is what is owed and not settled, and the delivery log says how each event stands.")
def readers_are_told_the_truth(facts: Facts) -> Iterator[Broken]:
    """Count what waits anew, and hold each shown state against what happened."""
    ending = facts.ending
    if ending is None:
        return
    rows = {row.name: row for row in ending.endpoints}
    for name, told in ending.waiting:
        if name not in facts.made or name not in rows:
            continue
        open_ones = sum(
            facts.settled((name, position)) == NEVER and (name.account_id, position) not in facts.events_gone
            for position in facts.wanted(name)
        )
        if min(open_ones, COUNTED_MAX) != min(told, COUNTED_MAX):
            yield Broken(words=f"{told} events are said to wait, and {open_ones} do", at=ending.at, name=name)
    for name, position, state in ending.shown:
        if name in facts.made and name in rows and state not in _states(facts, ending, name, position):
            yield Broken(
                words=f"position {position} is shown as {state}", at=ending.at, name=name, position=position,
                key=facts.key_of(name, position),
            )  # fmt: skip


def _states(facts: Facts, ending: Ending, name: Name, position: int) -> set[str]:
    """The states that may be shown of an event."""
    place = (name, position)
    if facts.stored(place, "delivered") != NEVER:
        return {"delivered"}
    if facts.pending_row(place, len(facts.records)) is not None:
        return {"retrying", "waiting"}
    if facts.stored(place, "failed") != NEVER:
        return {"failed"}
    if place in facts.folded:
        return {"skipped"}
    if facts.settled(place) == NEVER and facts.wants(name, position):
        return {"waiting", "retrying"}
    return {"skipped", "failed", "retrying"} if facts.sent_at.get(place) else {"skipped"}


@promise("An event reaches a good endpoint within seconds, whatever befalls the others.")
def trouble_stays_at_home(facts: Facts) -> Iterator[Broken]:
    """Time the arrivals at endpoints that take everything at once, while nothing touches them or the store."""
    for name in facts.made:
        sendings = facts.sent_to.get(name, [])
        for position in facts.wanted(name):
            logged = facts.logged[name.account_id, position]
            at = facts.at(logged)
            if at + SWIFT_US > facts.records[-1].at:
                break
            arrived = min(
                (one.arrived_at for one in facts.sent_at.get((name, position), ()) if one.arrived_at is not None),
                default=None,
            )
            if arrived is not None and arrived <= at + SWIFT_US:
                continue
            if _was_good(facts, name, sendings, logged, at):
                late = "never arrived" if arrived is None else f"arrived after {(arrived - at) / SECOND:.1f} s"
                yield Broken(
                    words=f"position {position} {late}, and nothing was wrong with its endpoint", at=at + SWIFT_US,
                    name=name, position=position, key=facts.key_of(name, position), involved=(logged,),
                )  # fmt: skip


def _was_good(facts: Facts, name: Name, sendings: list[Sent], logged: int, at: Microseconds) -> bool:
    since, until = at - LOOKED_BACK_US - facts.lag_us, at + SWIFT_US
    rows = facts.rows.get(name)
    if rows is None or since < 0 or facts.troubled(since, until, name):
        return False
    stored = [rows.at(logged), *(row for _, row in rows.between(logged, NEVER))]
    if not all(_is_well(row) for row in stored[:3]) or any(
        change.asked_at <= until and change.at >= since for change in facts.changes[name]
    ):  # fmt: skip
        return False
    settings = facts.settings(name, since, until)
    if any(one.rate_per_second is not None or one.batch_wait_ms or one.format == "batch" for one in settings):
        return False
    if facts.asked_between(name, since, until, "pause", "resume", "delete", "resend", "replay"):
        return False
    mine = [one for one in sendings if since <= one.began.at <= until]
    taken = all(one.taken and one.ended is not None and one.ended.at - one.began.at <= GOOD_ANSWER_US for one in mine)
    backlog = sum(
        1 for position in facts.wanted(name)
        if facts.logged[name.account_id, position] <= logged and facts.settled((name, position)) > logged
    )  # fmt: skip
    return taken and backlog <= BACKLOG_MAX


def _is_well(row: EndpointRow | None) -> bool:
    return row is not None and row.health == "active" and not row.paused and row.failures_in_a_row == 0


@promise("What came of an attempt is on disk within a second, unless the store or the process is in trouble.")
def results_are_stored_soon(facts: Facts) -> Iterator[Broken]:
    """Time the commit of each attempt of an owner that lived on."""
    seen: Counter[tuple[Name, int]] = Counter()
    for sent in facts.sent:
        ended = sent.ended
        if ended is None or sent.name not in facts.made or not sent.began.positions or sent.began.positions[0] <= 0:
            continue
        place = (sent.name, sent.began.positions[-1])
        stored = next(
            (facts.at(moment) for moment, one in facts.attempts.get(place, ())
             if one.number == sent.began.attempt and moment > sent.moment), None,
        )  # fmt: skip
        late = stored is None or stored > ended.at + SECOND
        if not late or ended.at + SECOND > facts.records[-1].at:
            continue
        if facts.troubled(ended.at - STORED_AGAIN_US, ended.at + SECOND):
            continue
        row = facts.row(sent.name, len(facts.records))
        lost = facts.row(sent.name, sent.ended_moment)
        if row is None or lost is None or lost.epoch != sent.epoch or lost.owner is None:
            continue
        seen[place] += 1
        if seen[place] == 1:
            yield Broken(
                words=f"attempt {sent.began.attempt} of position {place[1]} ended and was "
                + ("never stored" if stored is None else f"stored {(stored - ended.at) / SECOND:.1f} s later"),
                at=ended.at, name=sent.name, position=place[1], involved=(sent.moment, sent.ended_moment),
            )  # fmt: skip


@promise("No process meets an error that no harm explains.")
def nothing_breaks_by_itself(facts: Facts) -> Iterator[Broken]:
    """Pass on what processes complained of."""
    for moment, complaint in facts.complaints:
        yield Broken(words=complaint.words, at=complaint.at, involved=(moment,))


ALL = (
    nothing_accepted_is_lost,
    nothing_is_left_over,
    readers_are_told_the_truth,
    trouble_stays_at_home,
    results_are_stored_soon,
    nothing_breaks_by_itself,
)
