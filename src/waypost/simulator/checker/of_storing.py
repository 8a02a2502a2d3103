"""What is promised of what owners store: the cursor, the pending rows, the attempts, and who may write them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from waypost.simulator.checker.broken import Broken, promise
from waypost.simulator.checker.facts import LIFE_ENDS, NEVER, SECOND, Facts, Sent
from waypost.simulator.history import Committed, EndpointRow, Name

LEASE_SLACK_US = SECOND // 10  # between the store's answer and the worker's reading of its own clock
CALM_LEASE_US = 6600 * SECOND  # at most, once all harm has stopped and the world waits for the last retry


def _changes(facts: Facts) -> Iterator[tuple[int, Committed, EndpointRow | None, EndpointRow]]:
    """Every endpoint row that a commit changed: the moment, the commit, the row before and after."""
    before: dict[Name, EndpointRow | None] = {}
    for moment, commit in facts.commits:
        for row in commit.endpoints:
            yield moment, commit, before.get(row.name), row
            before[row.name] = row


@promise("A cursor never goes back, and neither does an epoch; a new owner means a new epoch.")
def cursors_and_epochs_only_grow(facts: Facts) -> Iterator[Broken]:
    """Compare each stored row of an endpoint with the one before."""
    for moment, commit, before, after in _changes(facts):
        if before is None:
            continue
        if after.cursor < before.cursor:
            yield Broken(
                words=f"the cursor went back from {before.cursor} to {after.cursor}",
                at=commit.at, name=after.name, position=after.cursor, involved=(moment,),
            )  # fmt: skip
        if after.epoch < before.epoch or (
            after.owner not in (None, before.owner) and after.epoch <= before.epoch
        ):  # fmt: skip
            yield Broken(
                words=f"the epoch went from {before.epoch} to {after.epoch} as the owner became {after.owner}",
                at=commit.at, name=after.name, involved=(moment,),
            )  # fmt: skip


@promise("Every position up to a cursor is settled, pending or not wanted.")
def cursors_pass_only_what_is_settled_or_pending(facts: Facts) -> Iterator[Broken]:
    """Look at each position that a cursor passes, and at each pending row that goes below one."""
    for moment, commit, before, after in _changes(facts):
        if before is None:
            continue
        for position in range(before.cursor + 1, after.cursor + 1):
            if _is_open(facts, after.name, position, moment):
                yield Broken(
                    words=f"the cursor passed position {position}, which was neither settled nor pending",
                    at=commit.at, name=after.name, position=position, key=facts.key_of(after.name, position),
                    involved=(moment,),
                )  # fmt: skip
    for moment, commit in facts.commits:
        for name, position in commit.pending_gone:
            row = facts.row(name, moment)
            if row is not None and position <= row.cursor and _is_open(facts, name, position, moment):
                yield Broken(
                    words=f"the pending row of position {position} went, and nothing settled it",
                    at=commit.at, name=name, position=position, key=facts.key_of(name, position),
                    involved=(moment,),
                )  # fmt: skip


def _is_open(facts: Facts, name: Name, position: int, moment: int) -> bool:
    place = (name, position)
    if facts.settled(place) <= moment or facts.pending_row(place, moment) is not None:
        return False
    if facts.events_gone.get((name.account_id, position), NEVER) <= moment:
        return False
    return facts.wants(name, position)


@promise("A write of an owner whose epoch is no longer the endpoint's stores nothing.")
def stale_owners_store_nothing(facts: Facts) -> Iterator[Broken]:
    """Hold the epoch that each write names against the one stored right before."""
    for moment, commit in facts.commits:
        refused = set(commit.refused)
        for name, epoch in commit.worker_epochs:
            row = facts.row(name, moment - 1)
            if name not in refused and (row is None or row.epoch != epoch):
                stored = "none: it was deleted" if row is None else str(row.epoch)
                yield Broken(
                    words=f"a write with epoch {epoch} was stored while the endpoint's was {stored}",
                    at=commit.at, name=name, involved=(moment,),
                )  # fmt: skip


@promise("An endpoint is taken only from an owner whose lease has lapsed by the store's clock, or who let it go.")
def no_two_owners_live_at_once(facts: Facts) -> Iterator[Broken]:
    """Keep the leases as stored, and look at each change of owner."""
    leases: dict[str, int] = {}
    owners: dict[Name, str | None] = {}
    processes: dict[str, int | None] = {}
    for moment, commit in facts.commits:
        for row in commit.endpoints:
            before = owners.get(row.name)
            owners[row.name] = row.owner
            if before is None or row.owner in (None, before) or commit.store_clock is None:
                continue
            if _is_known_dead(facts, processes.get(before), moment):
                continue
            if leases.get(before, 0) > commit.store_clock:
                left_s = (leases[before] - commit.store_clock) / SECOND
                yield Broken(
                    words=f"{row.owner} took it from {before}, whose lease had {left_s:.1f} s to live",
                    at=commit.at, name=row.name, involved=(moment,),
                )  # fmt: skip
        for lease in commit.workers:
            leases[lease.owner] = lease.lease_until
            processes[lease.owner] = commit.process
        for owner in commit.workers_gone:
            leases.pop(owner, None)


def _is_known_dead(facts: Facts, process: int | None, moment: int) -> bool:
    """Where a service has the file to itself, who had it before is dead, and the one that comes knows it."""
    if not facts.history.config.get("alone") or process is None:
        return False
    return any(turn.turn in LIFE_ENDS and ended < moment for ended, turn in facts.turns[process])


def _lease_us(facts: Facts, at: int) -> int:
    """How long a lease that is stored at this time may live."""
    stopped = facts.faults_stopped_at is not None and at > facts.faults_stopped_at
    return max(facts.lease_us, CALM_LEASE_US) if stopped else facts.lease_us


@promise("A lease lives for seconds after it was renewed, by the store's clock and no other.")
def leases_live_for_seconds(facts: Facts) -> Iterator[Broken]:
    """Hold each stored lease against the store's clock at its commit."""
    for moment, commit in facts.commits:
        if commit.store_clock is None:
            continue
        for lease in commit.workers:
            lives_s = (lease.lease_until - commit.store_clock) / SECOND
            if not 0 < lives_s <= _lease_us(facts, commit.at) / SECOND + 0.5:
                yield Broken(
                    words=f"the lease of {lease.owner} was stored to live for {lives_s:.1f} s",
                    at=commit.at, involved=(moment,),
                )  # fmt: skip


@promise("A worker whose lease was not renewed begins no sending once it may have lapsed.")
def nobody_sends_without_a_lease(facts: Facts) -> Iterator[Broken]:
    """Hold each sending against the last renewal that its process made."""
    renewed: dict[int, list[int]] = defaultdict(list)
    for _, commit in facts.commits:
        if commit.workers and commit.process is not None:
            renewed[commit.process].append(commit.at)
    for sent in facts.sent:
        times = renewed.get(sent.began.process)
        if times is None:
            continue
        place = bisect_right(times, sent.began.at)
        last = times[place - 1] if place else None
        if last is None or sent.began.at - last > _lease_us(facts, sent.began.at) + LEASE_SLACK_US:
            yield Broken(
                words=f"process {sent.began.process} sends "
                + ("without a lease" if last is None else f"{(sent.began.at - last) / SECOND:.1f} s after its renewal"),
                at=sent.began.at, name=sent.name, position=_first(sent), involved=(sent.moment,),
            )  # fmt: skip


def _first(sent: Sent) -> int | None:
    return sent.began.positions[0] if sent.began.positions else None


@promise("An attempt that stands as delivered was taken by the receiver, and each attempt stands for one sending.")
def attempts_tell_the_truth(facts: Facts) -> Iterator[Broken]:
    """Find the request of each stored attempt."""
    for place, stored in facts.attempts.items():
        name, position = place
        for moment, attempt in stored:
            mine = [one for one in facts.sent_at.get(place, ()) if one.moment < moment]
            if attempt.verdict == "delivered" and not any(
                _was_taken(one) and one.ended_moment < moment for one in mine
            ):
                yield Broken(
                    words=f"position {position} stands as delivered, and no receiver had taken it",
                    at=facts.at(moment), name=name, position=position, key=facts.key_of(name, position),
                    involved=(moment, *(one.moment for one in mine)),
                )  # fmt: skip
        numbers = [attempt.number for _, attempt in stored]
        if len(set(numbers)) != len(numbers):
            yield Broken(
                words=f"two attempts of position {position} bear one number", at=facts.at(stored[-1][0]), name=name,
                position=position, involved=tuple(moment for moment, _ in stored),
            )  # fmt: skip


def _was_taken(sent: Sent) -> bool:
    return sent.taken and sent.answered is not None and 200 <= sent.answered.status < 300


ALL = (
    cursors_and_epochs_only_grow,
    cursors_pass_only_what_is_settled_or_pending,
    stale_owners_store_nothing,
    no_two_owners_live_at_once,
    leases_live_for_seconds,
    nobody_sends_without_a_lease,
    attempts_tell_the_truth,
)
