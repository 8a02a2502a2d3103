"""What is promised of an endpoint's health: when it is failing or suspended, what that costs, and who is told."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import NEVER, SECOND, Facts, Sent
from waypost.simulator.history import Committed, EndpointRow, Microseconds, Name

FAILURES_IN_A_ROW = 5
PROBE_S_MAX = 300
PROBE_LATE_S = 60  # beside ±10 %: taking over from an owner that died, and a slow store
SUSPENDED_AFTER_US = 5 * 86_400 * SECOND
GONE = 410
TOLD = {"endpoint.failing": "failing", "endpoint.suspended": "suspended", "endpoint.resumed": "active"}


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which an endpoint stood as failing: moments, the second after the last."""

    name: Name
    begins: int
    ends: int
    then: str  # its health after


def spells(facts: Facts) -> Iterator[Spell]:
    """Give each time that each endpoint stood as failing, in order."""
    for name, rows in facts.rows.items():
        begins: int | None = None
        for moment, row in zip(rows.moments, rows.values, strict=True):
            health = "gone" if row is None else row.health
            if begins is None and health == "failing":
                begins = moment
            elif begins is not None and health != "failing":
                yield Spell(name, begins, moment, health)
                begins = None
        if begins is not None:
            yield Spell(name, begins, NEVER, "failing")


def _probes(facts: Facts, spell: Spell) -> list[Sent]:
    """The requests of a spell, up to the first that was heard to succeed: what goes out then is none any more."""
    found: list[Sent] = []
    success = NEVER
    for sent in facts.sent_to.get(spell.name, ()):
        if spell.begins < sent.moment < spell.ends and sent.moment < success:
            found.append(sent)
        if sent.taken and sent.ended_moment > spell.begins:
            success = min(success, sent.ended_moment)
    resumed = [
        one.call.asked_at for one in facts.asked_of.get(spell.name, ())
        if one.call.what == "resume" and facts.until(one) >= facts.at(spell.begins)
    ]  # fmt: skip
    first = min(resumed, default=NEVER)
    return [sent for sent in found if sent.began.at < first]


@promise("A failing endpoint is probed with one request at a time.")
def one_probe_at_a_time(facts: Facts) -> Iterator[Broken]:
    """Look, at each probe, for another request of the same owner."""
    for spell in spells(facts):
        coming = deque(facts.sent_to.get(spell.name, []))
        under_way: list[Sent] = []
        for probe in _probes(facts, spell):
            while coming and coming[0].moment < probe.moment:
                under_way.append(coming.popleft())
            under_way = [one for one in under_way if one.over > probe.moment]
            out = [one for one in under_way if one.owner == probe.owner]
            if out:
                yield Broken(
                    words="a probe goes out to a failing endpoint while another request is out",
                    at=probe.began.at, name=spell.name, position=probe.began.positions[0],
                    involved=(out[0].moment, probe.moment),
                )  # fmt: skip
                break


@promise("A failing endpoint that is owed something is probed at the schedule's intervals, at most 300 s apart.")
def probes_keep_their_times(facts: Facts) -> Iterator[Broken]:
    """Measure the time between probes: neither too early for the schedule nor too late for a receiver that is back."""
    for spell in spells(facts):
        probes = _probes(facts, spell)
        began_at = facts.at(spell.begins)
        before: Sent | None = None
        for probe in probes:
            if before is not None and before.ended is not None and before.over < probe.moment:
                yield from _too_early(facts, spell, before, probe)
            since = began_at if before is None else _over_at(facts, before)
            yield from _too_late(facts, spell, since, probe.began.at, (probe.moment,))
            before = probe
        since = began_at if before is None else _over_at(facts, before)
        until = facts.at(spell.ends) if spell.ends != NEVER else facts.records[-1].at
        yield from _too_late(facts, spell, since, until, ())


def _over_at(facts: Facts, sent: Sent) -> Microseconds:
    return facts.at(sent.over) if sent.over != NEVER else facts.records[-1].at


def _too_early(facts: Facts, spell: Spell, before: Sent, probe: Sent) -> Iterator[Broken]:
    if before.owner != probe.owner or not before.refused or before.ended is None:
        return
    schedules = [one.retry_schedule_s for one in facts.settings(spell.name, before.began.at, probe.began.at)]
    least_s = min((min(*schedule, PROBE_S_MAX) for schedule in schedules if schedule), default=0.0)
    waited_s = (probe.began.at - before.ended.at) / SECOND
    if waited_s < least_s * 0.9 - 0.001:
        yield Broken(
            words=f"a probe went out {waited_s:.1f} s after the one before; {least_s * 0.9:.1f} s at least are due",
            at=probe.began.at, name=spell.name, position=probe.began.positions[0],
            involved=(before.moment, before.over, probe.moment),
        )  # fmt: skip


def _too_late(
    facts: Facts, spell: Spell, since: Microseconds, until: Microseconds, involved: tuple[int, ...]
) -> Iterator[Broken]:
    waited_s = (until - since) / SECOND
    allowed_s = PROBE_S_MAX * 1.1 + PROBE_LATE_S + 2 * facts.lease_us / SECOND
    if waited_s <= allowed_s or waited_s <= allowed_s + harm_us(facts, since, until, spell.name) / SECOND:
        return
    if not _owed_throughout(facts, spell.name, since, until) or _held_back(facts, spell.name, since, until):
        return
    yield Broken(
        words=f"nothing probed the failing endpoint for {waited_s:.0f} s, although events were owed",
        at=until, name=spell.name, involved=(spell.begins, *involved),
    )  # fmt: skip


def harm_us(facts: Facts, since: Microseconds, until: Microseconds, name: Name) -> Microseconds:
    """How long, between two times, the world's harm or a lack of workers may have delayed an endpoint."""
    total = 0
    for fault in facts.faults:
        if fault.touches is None or name in fault.touches:
            ends = fault.until if fault.until is not None else fault.at + SECOND
            total += max(0, min(until, ends) - max(since, fault.at))
    for begins, ends in facts.without_workers:
        total += max(0, min(until, ends) - max(since, begins))
    return total + facts.turned(since - facts.lease_us, until) * (facts.lag_us + PROBE_LATE_S * SECOND)


def _owed_throughout(facts: Facts, name: Name, since: Microseconds, until: Microseconds) -> bool:
    for position in facts.wanted(name):
        logged = facts.logged[name.account_id, position]
        settled = facts.settled((name, position))
        if facts.at(logged) <= since and (settled == NEVER or facts.at(settled) >= until):
            return True
    return False


def _held_back(facts: Facts, name: Name, since: Microseconds, until: Microseconds) -> bool:
    """Whether it was paused, asked for patience, or changed by somebody meanwhile."""
    if facts.asked_between(name, since, until, "pause", "resume", "delete"):
        return True
    rows = facts.rows[name]
    return any(
        row is not None and (row.paused or row.held_until is not None)
        for moment, row in zip(rows.moments, rows.values, strict=True)
        if facts.at(moment) <= until
    )


@promise("Probes take the lanes in turn: an event that is refused cannot hide that others would pass.")
def probes_take_turns(facts: Facts) -> Iterator[Broken]:
    """Look for a lane that is probed once more while another one that failed too was not probed yet."""
    for spell in spells(facts):
        if not facts.always_ordered(spell.name) or _packs(facts, spell.name):
            continue
        probed: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
        for probe in _probes(facts, spell):
            key, mine = facts.key_of(spell.name, probe.began.positions[0]), probed[probe.owner]
            if _took_something(facts, spell.name, min(mine.values(), default=probe.moment), probe.moment):
                mine.clear()  # that trouble was over, if only between two commits
            left = [] if probe.again or key not in mine else [
                position for position in facts.written_down[spell.name]
                if facts.key_of(spell.name, position) not in mine
                and _waits_for_a_retry(facts, spell.name, position, mine[key])
                and _waits_for_a_retry(facts, spell.name, position, probe.moment)
            ]  # fmt: skip
            if left:
                yield Broken(
                    words=f"the lane of position {probe.began.positions[0]} is probed again, and the one of "
                    f"{left[0]} was not probed",
                    at=probe.began.at, name=spell.name, position=left[0], involved=(mine[key], probe.moment),
                )  # fmt: skip
                break
            if not probe.again and facts.is_stored(probe):
                mine[key] = probe.moment


def _took_something(facts: Facts, name: Name, since: int, until: int) -> bool:
    return any(one.taken and since < one.ended_moment < until for one in facts.sent_to.get(name, ()))


def _packs(facts: Facts, name: Name) -> bool:
    return any(change.settings.format == "batch" or change.settings.coalesce for change in facts.changes.get(name, ()))


def _waits_for_a_retry(facts: Facts, name: Name, position: int, moment: int) -> bool:
    row = facts.pending_row((name, position), moment)
    return row is not None and row.state == "retrying"


@promise("While an endpoint is failing no row is added for it, and no probe counts against an event's schedule.")
def an_outage_writes_no_rows(facts: Facts) -> Iterator[Broken]:
    """Look at the pending rows put while the stored health is failing, before and after the commit."""
    for moment, commit in facts.commits:
        for row in commit.pending_put:
            before, after = facts.row(row.name, moment - 1), facts.row(row.name, moment)
            if not _same_outage(before, after) or row.state == "resend" or row.batch_id is not None:
                continue  # a batch is written down before it goes out, also as a probe
            known = facts.pending_row((row.name, row.position), moment - 1)
            if known is None:
                words = f"a row for position {row.position} was added while the endpoint was failing"
            elif row.failures > known.failures:
                words = f"a probe counted against the schedule of position {row.position}"
            else:
                continue
            yield Broken(
                words=words, at=commit.at, name=row.name, position=row.position, key=row.key, involved=(moment,)
            )


def _same_outage(before: EndpointRow | None, after: EndpointRow | None) -> bool:
    return (
        before is not None
        and after is not None
        and before.health == after.health == "failing"
        and before.failing_since == after.failing_since
    )


def _turns(facts: Facts) -> Iterator[tuple[int, Committed, EndpointRow, EndpointRow]]:
    """Every change of a stored health: the moment, the commit, the row before and after."""
    for name, rows in facts.rows.items():
        before: EndpointRow | None = None
        for moment, row in zip(rows.moments, rows.values, strict=True):
            if before is not None and row is not None and row.health != before.health:
                commit = facts.records[moment]
                assert isinstance(commit, Committed), name
                yield moment, commit, before, row
            before = row


@promise("An endpoint is failing after 5 failures in a row, or when a schedule is used up and nothing got through; and "
         "not before.")  # fmt: skip
def failing_begins_when_nothing_gets_through(facts: Facts) -> Iterator[Broken]:
    """Hold the stored count of failures against the stored health."""
    for moment, commit in facts.commits:
        for row in commit.endpoints:
            if row.health == "active" and row.failures_in_a_row >= FAILURES_IN_A_ROW:
                yield Broken(
                    words=f"{row.failures_in_a_row} failures in a row, and it stands as active",
                    at=commit.at, name=row.name, involved=(moment,),
                )  # fmt: skip
    for moment, commit, before, after in _turns(facts):
        if before.health == "active" and after.health == "failing":
            failed = _failed_in_a_row(facts, after.name, moment)
            if failed < FAILURES_IN_A_ROW and not _schedule_used_up(facts, after.name, moment):
                yield Broken(
                    words=f"it became failing after {failed} failures in a row",
                    at=commit.at, name=after.name, involved=(moment,),
                )  # fmt: skip


def _failed_in_a_row(facts: Facts, name: Name, moment: int) -> int:
    """How many failures ended after the last success that was stored, up to a moment.

    A success that nobody stored is not known to the next owner.
    """
    ended = sorted(
        (one for one in facts.sent_to.get(name, ()) if one.ended_moment < moment), key=lambda one: one.ended_moment
    )
    count = 0
    for one in ended:
        if one.taken and _was_stored(facts, one, moment):
            count = 0
        elif not one.taken and one.ended is not None and one.ended.outcome != "cancelled":
            count += 1
    return count


def _was_stored(facts: Facts, sent: Sent, moment: int) -> bool:
    place = (sent.name, sent.began.positions[0])
    return any(
        stored <= moment and attempt.number == sent.began.attempt and attempt.verdict == "delivered"
        for stored, attempt in facts.attempts.get(place, ())
    )


def _schedule_used_up(facts: Facts, name: Name, moment: int) -> bool:
    shortest = min((len(change.settings.retry_schedule_s) for change in facts.changes.get(name, ())), default=0)
    return any(
        of == name and any(row is not None and row.failures > shortest for row in [rows.at(moment)])
        for (of, _), rows in facts.pending.items()
    )


@promise("An endpoint that answers 410 is suspended with that attempt.")
def gone_suspends_at_once(facts: Facts) -> Iterator[Broken]:
    """Look at the health stored together with each 410."""
    for (name, position), attempts in facts.attempts.items():
        for moment, attempt in attempts:
            row = facts.row(name, moment)
            if attempt.status != GONE or attempt.outcome != "status" or row is None or row.health == "suspended":
                continue
            began = [one.began.at for one in facts.sent_at.get((name, position), ()) if one.moment < moment]
            if not facts.asked_between(name, max(began, default=0), facts.at(moment), "resume"):
                yield Broken(
                    words=f"position {position} was answered 410, and the endpoint stands as {row.health}",
                    at=facts.at(moment), name=name, position=position, involved=(moment,),
                )  # fmt: skip


@promise("A failing endpoint is suspended after 5 days without a success, and for nothing else but a 410.")
def suspended_after_five_days(facts: Facts) -> Iterator[Broken]:
    """Measure each failing spell that ended as suspended, and each that went on."""
    error = 2 * facts.clock_error_max + 60 * SECOND
    for spell in spells(facts):
        began_at = facts.at(spell.begins)
        ends_at = facts.at(spell.ends) if spell.ends != NEVER else facts.records[-1].at
        gone = any(
            moment == spell.ends and attempt.status == GONE
            for (name, _), attempts in facts.attempts.items() if name == spell.name
            for moment, attempt in attempts
        )  # fmt: skip
        if spell.then == "suspended" and not gone and ends_at - began_at < SUSPENDED_AFTER_US - error:
            yield Broken(
                words=f"it was suspended after {(ends_at - began_at) / SECOND / 86_400:.2f} days of failing",
                at=ends_at, name=spell.name, involved=(spell.begins, spell.ends),
            )  # fmt: skip
        late = [
            one for one in _probes(facts, spell)
            if one.refused and one.ended is not None and one.ended.at - began_at > SUSPENDED_AFTER_US + error
            and one.ended_moment + 1 < spell.ends and ends_at - one.ended.at > 60 * SECOND
        ]  # fmt: skip
        if late:
            yield Broken(
                words=f"a probe failed {(late[0].ended.at - began_at) / SECOND / 86_400:.2f} days after it became "  # type: ignore[union-attr]
                "failing, and it is not suspended",
                at=late[0].began.at, name=spell.name, involved=(spell.begins, late[0].moment),
            )  # fmt: skip
    for moment, commit, before, after in _turns(facts):
        gone_too = any(attempt.status == GONE and attempt.name == after.name for attempt in commit.attempts)
        if before.health == "active" and after.health == "suspended" and not gone_too:
            yield Broken(
                words="it was suspended while it was active, and no 410 was answered", at=commit.at, name=after.name,
                involved=(moment,),
            )  # fmt: skip


@promise("Only somebody's resume ends a suspension, and a resume is not undone by what an owner knew before.")
def a_resume_stands(facts: Facts) -> Iterator[Broken]:
    """Look at each change of health around suspensions and resumes."""
    resumed: dict[Name, int] = {}
    for moment, commit, before, after in _turns(facts):
        by_owner = facts.written_by_owner(commit, after.name)
        if after.health == "active" and not by_owner:
            resumed[after.name] = moment
        if before.health == "suspended" and by_owner:
            yield Broken(
                words=f"its owner made it {after.health} again", at=commit.at, name=after.name, involved=(moment,)
            )
        since = resumed.get(after.name)
        if since is not None and before.health == "active" and not any(
            since < one.ended_moment < moment and not one.taken for one in facts.sent_to.get(after.name, ())
        ):  # fmt: skip
            yield Broken(
                words=f"it was resumed and became {after.health} again without a failure since",
                at=commit.at, name=after.name, involved=(since, moment),
            )  # fmt: skip


@promise(
    "An event is failed only when its schedule is used up and the endpoint took something since its first attempt."
)
def failed_only_when_refused(facts: Facts) -> Iterator[Broken]:
    """Count the attempts of what was given up, and look for the success."""
    for place, stored in facts.attempts.items():
        name, position = place
        for moment, attempt in stored:
            if attempt.verdict != "failed" or name not in facts.made:
                continue
            mine = [one for one in facts.sent_at.get(place, ()) if one.moment < moment]
            mine = [one for one in mine if one.again == mine[-1].again]
            refused = [one for one in mine if one.ended is not None and not one.taken]
            shortest = min(len(change.settings.retry_schedule_s) for change in facts.changes[name])
            first = mine[0].moment if mine else moment
            took = any(one.taken and first < one.ended_moment < moment for one in facts.sent_to.get(name, ()))
            if len(refused) <= shortest or not took:
                yield Broken(
                    words=f"position {position} stands as failed after {len(refused)} failures of a schedule of "
                    f"{shortest}" + ("" if took else ", and nothing else got through since its first attempt"),
                    at=facts.at(moment), name=name, position=position, key=facts.key_of(name, position),
                    involved=(*(one.moment for one in mine), moment),
                )  # fmt: skip


@promise(
    "Each change of an endpoint's health, and each event given up, is told once in the log, with what it tells of."
)
def changes_of_health_are_told(facts: Facts) -> Iterator[Broken]:
    """Hold the operational events of each commit against its changes."""
    told: dict[Name, str] = {}
    before: dict[Name, str] = {}
    for moment, commit in facts.commits:
        now: set[Name] = set()
        for account, event in commit.events:
            if event.type in TOLD and (name := Name(account, event.key)) in facts.made:
                if told.get(name, "active") == TOLD[event.type]:
                    yield Broken(
                        words=f"{event.type} is told a second time", at=commit.at, name=name, position=event.position,
                        involved=(moment,),
                    )  # fmt: skip
                told[name] = TOLD[event.type]
                now.add(name)
        for row in commit.endpoints:
            changed = row.health != before.get(row.name, "active")
            before[row.name] = row.health
            if changed and facts.written_by_owner(commit, row.name) and row.name in facts.made and (
                row.name not in now or told[row.name] != row.health
            ):  # fmt: skip
                yield Broken(
                    words=f"it became {row.health}, and no event of that commit tells of it", at=commit.at,
                    name=row.name, involved=(moment,),
                )  # fmt: skip
        yield from _given_up_untold(facts, moment, commit)
    if facts.ending is not None and facts.ending.idle:
        for row in facts.ending.endpoints:
            if row.name in facts.made and told.get(row.name, "active") != row.health:
                yield Broken(
                    words=f"it ends {row.health}, and the log last told that it was {told.get(row.name, 'active')}",
                    at=facts.ending.at, name=row.name,
                )  # fmt: skip


def _given_up_untold(facts: Facts, moment: int, commit: Committed) -> Iterator[Broken]:
    given_up: Counter[Name] = Counter()
    for attempt in commit.attempts:
        event = facts.log[attempt.name.account_id].get(attempt.position)
        if attempt.verdict == "failed" and event is not None and event.type != "delivery.failed":
            given_up[attempt.name] += 1
    told: dict[Name, int] = defaultdict(int)
    for account, event in commit.events:
        if event.type == "delivery.failed":
            told[Name(account, event.key)] += 1
    for name in {**given_up, **told}:
        if name in facts.made and given_up[name] != told[name]:
            yield Broken(
                words=f"{given_up[name]} events were given up, and {told[name]} delivery.failed tell of them",
                at=commit.at, name=name, involved=(moment,),
            )  # fmt: skip


ALL = (
    one_probe_at_a_time,
    probes_keep_their_times,
    probes_take_turns,
    an_outage_writes_no_rows,
    failing_begins_when_nothing_gets_through,
    gone_suspends_at_once,
    suspended_after_five_days,
    a_resume_stands,
    failed_only_when_refused,
    changes_of_health_are_told,
)
