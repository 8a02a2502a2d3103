"""What is promised of the pace: when again after a failure, how much at once, and when not at all."""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, SECOND, Facts, Place, Sent
from waypost.simulator.history import EndpointSettingsSeen, Microseconds, Name

EARLY_RATIO = 0.9  # jitter is ±10 %
RETRY_AFTER_S_MAX = 24 * 3600
FAILURES_IN_A_ROW = 5  # after which an endpoint is failing
SLOW_DOWN = frozenset({429, 502, 503, 504})
ROUNDING_US = 1_000


def is_probe_time(facts: Facts, name: Name, since: int, until: int) -> bool:
    """Whether the endpoint was in trouble, or came out of it, between two moments: other rules hold then."""
    rows = facts.rows.get(name)
    if rows is None:
        return True
    row = rows.at(since)
    later = [one for _, one in rows.between(since, until + 1)]
    return any(one is None or one.health != "active" for one in [row, *later]) or _failed_in_a_row(
        facts, name, since, until
    )


def _failed_in_a_row(facts: Facts, name: Name, since: int, until: int) -> bool:
    """Whether failures in a row came between two moments: trouble that came and went is not always stored meanwhile."""
    in_a_row: dict[tuple[int, int], int] = {}
    ended = [one for one in facts.sent_to.get(name, ()) if one.ended_moment <= until]
    for sent in sorted(ended, key=lambda one: one.ended_moment):
        if sent.owner not in in_a_row:
            row = facts.row(name, sent.moment)
            in_a_row[sent.owner] = row.failures_in_a_row if row is not None else 0
        if sent.refused:
            in_a_row[sent.owner] += 1
        elif sent.taken:
            in_a_row[sent.owner] = 0
        if in_a_row[sent.owner] >= FAILURES_IN_A_ROW and sent.ended_moment > since:
            return True
    return False


def _next_word(facts: Facts, name: Name, moment: int) -> int:
    """When the endpoint's row is stored next: what its owner knew at `moment` is in it, however slow the store was."""
    rows = facts.rows[name]
    place = bisect_right(rows.moments, moment)
    return rows.moments[place] if place < len(rows.moments) else moment


@promise("After a failure an event is tried again no earlier than the endpoint's schedule says, less 10 %.")
def retries_keep_the_schedule(facts: Facts) -> Iterator[Broken]:
    """Measure the time from the end of each failed attempt to the next one."""
    for place, sendings in facts.sent_at.items():
        if place[0] not in facts.made:
            continue
        for before, sent in pairwise(sendings):
            wait_us = _least_wait(facts, place, before, sent)
            if wait_us is None or before.ended is None:
                continue
            waited_us = sent.began.at - before.ended.at
            if waited_us < wait_us:
                yield Broken(
                    words=f"position {place[1]} was tried again {waited_us / SECOND:.1f} s after a failure, at the "
                    f"earliest {wait_us / SECOND:.1f} s were due",
                    at=sent.began.at, name=place[0], position=place[1], key=facts.key_of(*place),
                    involved=(before.moment, before.ended_moment, sent.moment),
                )  # fmt: skip


def _least_wait(facts: Facts, place: Place, before: Sent, sent: Sent) -> Microseconds | None:
    """The shortest wait that the rules allow between two sendings; None when this rule says nothing of them."""
    name = place[0]
    ended = before.ended
    if ended is None or not before.refused or before.ended_moment > sent.moment or sent.again != before.again:
        return None
    if before.owner != sent.owner and not _failure_was_stored(facts, place, before, sent):
        return None  # nobody knew of the failure any more
    if facts.asked_between(name, before.began.at, sent.began.at, "resume", "resend", "replay"):
        return None
    if is_probe_time(facts, name, before.moment, _next_word(facts, name, sent.moment)):
        return None
    settings = facts.settings(name, before.began.at - facts.lag_us, sent.began.at)
    waits = [wait for one in settings for wait in _waits(one, _failures(facts, place, before, sent))]
    if not waits or len(sent.began.positions) != len(before.began.positions):
        return None
    error = 0 if before.owner == sent.owner else _apart(facts, before, sent)
    return round(min(waits) * SECOND * EARLY_RATIO) - ROUNDING_US - error


def _failure_was_stored(facts: Facts, place: Place, before: Sent, sent: Sent) -> bool:
    """Whether what came of the earlier one is surely on disk; an attempt of the next owner may bear its number."""
    ended = before.ended
    assert ended is not None
    return any(
        (attempt.number, attempt.outcome, attempt.status) == (before.began.attempt, ended.outcome, ended.status)
        and before.ended_moment < moment < sent.moment
        and not any(
            one.began.attempt == attempt.number and one is not before and before.moment < one.ended_moment < moment
            for one in facts.sent_at.get(place, ())
        )
        for moment, attempt in facts.attempts.get(place, ())
    )


def _failures(facts: Facts, place: Place, before: Sent, sent: Sent) -> int | None:
    """How many failures count, as stored since the earlier one ended; None when its row is not stored yet."""
    rows = facts.pending.get(place)
    if rows is None:
        return None
    return max((row.failures for _, row in rows.between(before.ended_moment, sent.moment) if row), default=None)


def _waits(settings: EndpointSettingsSeen, failures: int | None) -> Iterator[float]:
    schedule = settings.retry_schedule_s
    if failures is None or not 1 <= failures <= len(schedule):
        yield from schedule
    else:
        yield schedule[failures - 1]


def _apart(facts: Facts, before: Sent, sent: Sent) -> Microseconds:
    """How far the clocks of two processes may be apart."""
    return facts.clock_error_at_start(before.began.process) + facts.clock_error_at_start(sent.began.process)


@promise("An endpoint that asks for patience with Retry-After is left alone so long, up to a day.")
def retry_after_is_obeyed(facts: Facts) -> Iterator[Broken]:
    """Look for a sending within the time that a 429, 502, 503 or 504 asked for."""
    for name, sendings in facts.sent_to.items():
        for asking in sendings:
            until = _patience_until(facts, asking)
            if until is None or asking.ended is None:
                continue
            for sent in sendings:
                if sent.moment <= asking.ended_moment or sent.began.at >= until - ROUNDING_US:
                    continue
                if not _excused(facts, name, asking, sent, until):
                    yield Broken(
                        words=f"a request goes out {(sent.began.at - asking.ended.at) / SECOND:.1f} s after "
                        f"{(until - asking.ended.at) / SECOND:.0f} s of patience were asked for",
                        at=sent.began.at, name=name, position=sent.began.positions[0],
                        involved=(asking.moment, asking.ended_moment, sent.moment),
                    )  # fmt: skip
                    break


def _excused(facts: Facts, name: Name, asking: Sent, sent: Sent, until: Microseconds) -> bool:
    assert asking.ended is not None
    if facts.asked_between(name, asking.ended.at, sent.began.at, "resume"):
        return True
    if sent.owner == asking.owner:
        return False
    row = facts.row(name, sent.moment)
    if row is None or row.held_until is None or not _failure_was_stored(
        facts, (name, asking.began.positions[0]), asking, sent
    ):  # fmt: skip
        return True  # it was not on disk when the next owner took over
    return sent.began.at >= until - ROUNDING_US - _apart(facts, asking, sent)


def _patience_until(facts: Facts, sent: Sent) -> Microseconds | None:
    ended = sent.ended
    if ended is None or ended.status not in SLOW_DOWN or ended.outcome == "success" or not ended.retry_after:
        return None
    text = ended.retry_after.strip()
    if text.isascii() and text.isdigit():
        return ended.at + min(int(text), RETRY_AFTER_S_MAX) * SECOND
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if any(turn.turn == "stepped" and sent.moment < moment < sent.ended_moment
           for moment, turn in facts.turns.get(sent.began.process, ())):  # fmt: skip
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    asked = (date - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    heard = sent.began.process_clock + (ended.at - sent.began.at)
    return ended.at + min(max(asked - heard - SECOND, 0), RETRY_AFTER_S_MAX * SECOND)


@promise("No more requests go to an endpoint in any ten seconds than its rate allows.")
def the_rate_is_kept(facts: Facts) -> Iterator[Broken]:
    """Count the requests of each owner within a sliding window."""
    for name, sendings in facts.sent_to.items():
        windows: dict[tuple[int, int], deque[Sent]] = defaultdict(deque)
        for sent in sendings:
            settings = facts.settings(name, sent.began.at - facts.lag_us - 10 * SECOND, sent.began.at)
            rates = [one.rate_per_second for one in settings]
            window = windows[sent.owner]
            if not rates or None in rates:
                window.clear()
                continue
            rate = max(rate for rate in rates if rate is not None)
            window.append(sent)
            while sent.began.at - window[0].began.at > 10 * SECOND:
                window.popleft()
            span_s = (sent.began.at - window[0].began.at) / SECOND
            if len(window) > rate * span_s + 2 and not facts.troubled(window[0].began.at - 10 * SECOND, sent.began.at):
                yield Broken(
                    words=f"{len(window)} requests went out in {span_s:.2f} s, and the rate is {rate} a second",
                    at=sent.began.at, name=name, involved=tuple(one.moment for one in window),
                )  # fmt: skip
                window.clear()


@promise("No more requests of one owner are out to an endpoint at once than max_in_flight says.")
def the_window_is_bounded(facts: Facts) -> Iterator[Broken]:
    """Count, at each sending, what its owner has out."""
    for name, sendings in facts.sent_to.items():
        out: dict[tuple[int, int], list[Sent]] = defaultdict(list)
        for sent in sendings:
            mine = out[sent.owner] = [one for one in out[sent.owner] if one.over > sent.moment] + [sent]
            settings = facts.settings(name, sent.began.at - facts.lag_us, sent.began.at)
            most = max((one.in_flight_max for one in settings), default=NEVER)
            if len(mine) > most:
                yield Broken(
                    words=f"{len(mine)} requests are out at once, and max_in_flight is {most}",
                    at=sent.began.at, name=name, involved=tuple(one.moment for one in mine),
                )  # fmt: skip
                break


@promise("Nothing goes out to a paused endpoint once its pause was answered and one timeout has passed.")
def a_pause_holds(facts: Facts) -> Iterator[Broken]:
    """Look for sendings between an answered pause and whatever may have ended it."""
    for name, asked in facts.asked_of.items():
        for pause in asked:
            if pause.call.what != "pause" or not pause.call.answered:
                continue
            after = [one.call for one in asked if not one.call.answered or one.call.at >= pause.call.asked_at]
            ends = min((one.asked_at for one in after if one.what in ("resume", "delete")), default=NEVER)
            timeout_s = max(
                (one.timeout_s for one in facts.settings(name, pause.call.asked_at, pause.call.at)), default=60.0
            )
            begins = pause.call.at + round(timeout_s * SECOND)
            for sent in facts.sent_to.get(name, ()):
                if begins < sent.began.at < ends and sent.began.positions[0] > 0:
                    yield Broken(
                        words=f"position {sent.began.positions[0]} goes out "
                        f"{(sent.began.at - pause.call.at) / SECOND:.1f} s after the pause was answered",
                        at=sent.began.at, name=name, position=sent.began.positions[0],
                        involved=(pause.moment, sent.moment),
                    )  # fmt: skip
                    break


@promise("Nothing goes out to a suspended endpoint until somebody resumes it.")
def a_suspension_holds(facts: Facts) -> Iterator[Broken]:
    """Look at the stored health at each sending."""
    for sent in facts.sent:
        row = facts.row(sent.name, sent.moment)
        if row is None or row.health != "suspended" or sent.name not in facts.made:
            continue
        if not facts.asked_between(sent.name, sent.began.at, sent.began.at, "resume"):
            yield Broken(
                words=f"position {sent.began.positions[0]} goes out to a suspended endpoint", at=sent.began.at,
                name=sent.name, position=sent.began.positions[0], involved=(sent.moment,),
            )  # fmt: skip


ALL = (
    retries_keep_the_schedule,
    retry_after_is_obeyed,
    the_rate_is_kept,
    the_window_is_bounded,
    a_pause_holds,
    a_suspension_holds,
)
