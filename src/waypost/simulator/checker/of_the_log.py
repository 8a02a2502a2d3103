"""What is promised of the log itself: what was accepted is in it, once, without gaps, and nothing owed leaves it."""

from collections import defaultdict
from collections.abc import Iterator

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, SECOND, Facts
from waypost.simulator.history import EndpointChanged, EventSeen, Name, ReportAnswered

ANSWERS_KEPT_US = 23 * 3600 * SECOND  # promised for 24 hours; nothing is asked of the last one


@promise("Positions count the account's events and sequences those of each key, from 1, without gaps, as committed.")
def numbers_without_gaps(facts: Facts) -> Iterator[Broken]:
    """Hold every commit's events against the ones before."""
    ends: dict[str, int] = defaultdict(int)
    sequences: dict[tuple[str, str], int] = defaultdict(int)
    ids: set[tuple[str, str]] = set()
    for moment, commit in facts.commits:
        for account, event in commit.events:
            expected = ends[account] + 1, sequences[account, event.key] + 1
            if (event.position, event.sequence) != expected:
                yield Broken(
                    words=f"position {event.position} with sequence {event.sequence} came where position "
                    f"{expected[0]} with sequence {expected[1]} was next",
                    at=commit.at, position=event.position, key=event.key, involved=(moment,),
                )  # fmt: skip
            if (account, event.event_id) in ids:
                yield Broken(
                    words=f"{event.event_id} is in the log twice", at=commit.at, position=event.position,
                    key=event.key, involved=(moment,),
                )  # fmt: skip
            ids.add((account, event.event_id))
            ends[account], sequences[account, event.key] = event.position, event.sequence


@promise("What an accepted report is answered stands in the log, as it was answered, before the answer.")
def answers_tell_the_truth(facts: Facts) -> Iterator[Broken]:
    """Look every event of every answer up."""
    for moment, answer in facts.answers:
        report = facts.reports[answer.call]
        if report.bad and answer.accepted:
            yield Broken(words="a bad report was accepted", at=answer.at, key=report.key, involved=(moment,))
        for told in answer.events:
            stored = facts.log[report.account_id].get(told.position)
            known_at = facts.logged.get((report.account_id, told.position), NEVER)
            if stored is None or _identity(stored) != _identity(told) or known_at > moment:
                yield Broken(
                    words=f"the answer names {told.event_id} at position {told.position}, and the log held "
                    + ("nothing there" if stored is None or known_at > moment else f"{stored.event_id}"),
                    at=answer.at, position=told.position, key=told.key, involved=(moment,),
                )  # fmt: skip


def _identity(event: EventSeen) -> tuple[int, int, str, str]:
    return event.position, event.sequence, event.type, event.event_id


@promise("A report that is handed in again with its Idempotency-Key is given the same answer and adds nothing.")
def a_retried_report_adds_nothing(facts: Facts) -> Iterator[Broken]:
    """Compare the answers to one key, and look for events that no answer names and no lost answer explains."""
    first: dict[tuple[str, str], tuple[int, ReportAnswered]] = {}
    named: set[tuple[str, int]] = set()
    for moment, answer in facts.answers:
        report = facts.reports[answer.call]
        named.update((report.account_id, event.position) for event in answer.events)
        if not answer.accepted or not report.idempotency_key:
            continue
        before, earlier = first.setdefault((report.account_id, report.idempotency_key), (moment, answer))
        same = [event.event_id for event in earlier.events] == [event.event_id for event in answer.events]
        if not same and answer.at - earlier.at <= ANSWERS_KEPT_US and not _erased(facts, report.account_id, report.key):
            yield Broken(
                words="the same report with the same Idempotency-Key was answered with other events",
                at=answer.at, key=report.key, involved=(before, moment),
            )  # fmt: skip
    yield from _unexplained(facts, named)


def _unexplained(facts: Facts, named: set[tuple[str, int]]) -> Iterator[Broken]:
    """Events of keys all of whose reports were answered: each must be named by an answer."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)  # account, the sender's key: keys in the log
    calls: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for call, report in facts.reports.items():
        calls[report.account_id, report.key].setdefault(report.idempotency_key or f"call {call}", report.bad)
    for _, answer in facts.answers:
        report = facts.reports[answer.call]
        calls[report.account_id, report.key][report.idempotency_key or f"call {answer.call}"] = True
        keys[report.account_id, report.key].update(event.key for event in answer.events)
    for (account, sent_key), answered in calls.items():
        if not all(answered.values()) or _erased(facts, account, sent_key):
            continue
        known = keys[account, sent_key]
        for position, event in facts.log[account].items():
            if event.key in known and (account, position) not in named:
                moment = facts.logged[account, position]
                yield Broken(
                    words=f"{event.event_id} follows from no report: all of its shipment's were answered without it",
                    at=facts.at(moment), position=position, key=event.key, involved=(moment,),
                )  # fmt: skip


def _erased(facts: Facts, account: str, key: str) -> bool:
    """Whether a shipment may have been erased: its kept answers go with its people's data."""
    return any(one.call.what == "erase" and one.call.name.account_id == account for one in facts.asked)


@promise("Retention takes no event that an endpoint is owed, and no attempt that tells what was settled past a cursor.")
def retention_takes_nothing_owed(facts: Facts) -> Iterator[Broken]:
    """Look at each deletion from each endpoint's side."""
    for moment, commit in facts.commits:
        for account, position in commit.events_gone:
            for name in list(facts.rows):
                if name.account_id == account and (row := facts.row(name, moment)) is not None:
                    place = (name, position)
                    wanted = facts.wants(name, position)
                    owed = wanted and (facts.settled(place) > moment or position > row.cursor)
                    if owed or facts.pending_row(place, moment) is not None:
                        yield Broken(
                            words=f"retention took position {position}, which is still owed",
                            at=commit.at, name=name, position=position, key=facts.key_of(name, position),
                            involved=(moment,),
                        )  # fmt: skip
        for name, position, number in commit.attempts_gone:
            row = facts.row(name, moment)
            if row is not None and (position > row.cursor or facts.pending_row((name, position), moment) is not None):
                yield Broken(
                    words=f"retention took attempt {number} of position {position}, which the cursor has not passed",
                    at=commit.at, name=name, position=position, involved=(moment,),
                )  # fmt: skip


@promise("The bytes of an event are written once; an erasure is the one rewrite.")
def bytes_are_written_once(facts: Facts) -> Iterator[Broken]:
    """Look for rewritten events that nobody asked to erase, and for a log that ends otherwise than it was written."""
    erasures = [one.call for one in facts.asked if one.call.what == "erase"]
    for moment, commit in facts.commits:
        for account, event in commit.rewritten:
            if not any(one.name.account_id == account and one.asked_at <= commit.at for one in erasures):
                yield Broken(
                    words=f"the bytes of {event.event_id} were rewritten and nobody asked for it",
                    at=commit.at, position=event.position, key=event.key, involved=(moment,),
                )  # fmt: skip
    if facts.ending is None:
        return
    there = {(account, event.position): event for account, event in facts.ending.events}
    for account, events in facts.log.items():
        for position, event in events.items():
            at_end = there.get((account, position))
            same = at_end is not None and _identity(at_end) == _identity(event)
            if same != ((account, position) not in facts.events_gone):
                yield Broken(
                    words=f"position {position} was committed as {event.event_id} and is not there at the end",
                    at=facts.ending.at, position=position, key=event.key,
                    involved=(facts.logged[account, position],),
                )  # fmt: skip


@promise("What an endpoint wants changes at the end of the log, and a new endpoint starts where it was asked to.")
def wishes_begin_where_the_log_ended(facts: Facts) -> Iterator[Broken]:
    """Hold each new version, and each start, between the log's ends before and after the call."""
    for name, changes in facts.changes.items():
        known: set[int] = set()
        for change in changes:
            low, high = _ends(facts, name, change.asked_at, change.at)
            for version in change.wishes:
                if change.made or version.from_position in known:
                    continue
                if not low < version.from_position <= high + 1:
                    yield Broken(
                        words=f"a change asked for while the log ended between {low} and {high} applies from "
                        f"{version.from_position}",
                        at=change.at, name=name, position=version.from_position,
                    )  # fmt: skip
            known.update(version.from_position for version in change.wishes)
            if change.made:
                least, most = {"now": (low, high), "beginning": (0, _cut(facts, name, change.at))}.get(
                    str(change.start), _from_number(facts, change) if _is_number(change.start) else (0, high)
                )
                first = change.wishes[0].from_position if change.wishes else change.start_position + 1
                if not least <= change.start_position <= most or first > change.start_position + 1:
                    yield Broken(
                        words=f"it was to start at {change.start}, which is {least} to {most}, and starts at "
                        f"{change.start_position} with wishes from {first}",
                        at=change.at, name=name, position=change.start_position,
                    )  # fmt: skip
                yield from _first_cursor(facts, name, change.start_position)


def _cut(facts: Facts, name: Name, at: int) -> int:
    """The last position before the first event that retention had left by then."""
    position = 0
    while (moment := facts.events_gone.get((name.account_id, position + 1))) is not None and facts.at(moment) <= at:
        position += 1
    return position


def _from_number(facts: Facts, change: EndpointChanged) -> tuple[int, int]:
    asked = int(change.start)
    return asked, max(asked, _cut(facts, change.name, change.at))


def _is_number(start: str | int) -> bool:
    return isinstance(start, int)


def _ends(facts: Facts, name: Name, since: int, until: int) -> tuple[int, int]:
    low = high = 0
    ends = facts.log_end[name.account_id]
    for moment, end in zip(ends.moments, ends.values, strict=True):
        at = facts.at(moment)
        if at < since:
            low = end
        if at <= until:
            high = end
    return low, high


def _first_cursor(facts: Facts, name: Name, start: int) -> Iterator[Broken]:
    rows = facts.rows.get(name)
    first = rows.values[0] if rows else None
    if rows and first is not None and first.cursor != start:
        yield Broken(
            words=f"it starts at {start}, and was stored with its cursor at {first.cursor}",
            at=facts.at(rows.moments[0]), name=name, position=first.cursor, involved=(rows.moments[0],),
        )  # fmt: skip


ALL = (
    numbers_without_gaps,
    answers_tell_the_truth,
    a_retried_report_adds_nothing,
    retention_takes_nothing_owed,
    bytes_are_written_once,
    wishes_begin_where_the_log_ended,
)
