"""Bugs in the delivery engine: lanes, retries, probes, batches and folds. Each is one that an engineer could make."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from waypost.delivery import coalescing, engine, schedule
from waypost.delivery.engine import Engine
from waypost.delivery.health import Health
from waypost.delivery.parcels import Delivery, Phase
from waypost.delivery.persisting import Ledger
from waypost.delivery.turns import Turns
from waypost.events.folding import FOLDABLE
from waypost.simulator.planted.planting import Planted, Swap, instead, planted


@planted("A probe that fails counts against the event's schedule.")
def probe_counts_against_the_schedule() -> Sequence[Swap]:
    """An outage uses up deliveries."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def failed(self: Any, parcel: Any, ended: Any, now: int) -> None:
            parcel.failures += 1
            before(self, parcel, ended, now)

        return failed

    return [Swap(Engine, "_probe_failed", make)]


@planted("Probes are always of the first lane.")
def second_lane_never_probed() -> Sequence[Swap]:
    """An event that is refused hides that others would pass."""

    def first(lanes: Any) -> Any:
        parcels = [parcel for _, parcel in lanes.waiting_parcels()]
        return min(parcels, key=lambda parcel: parcel.position, default=None)

    return [instead(engine, "next_probe", first)]


def _whatever(self: Any, change: Callable[[Any], Any], ask: Callable[[], Any]) -> Any:
    """Ask something of an engine that believes otherwise for as long."""
    standing, paused = self.standing, self.paused
    change(self)
    try:
        return ask()
    finally:
        if self.standing.health is Health.FAILING and standing.health is Health.SUSPENDED:
            self.standing = standing
        self.paused = paused


@planted("A suspended endpoint is probed like a failing one.")
def probes_while_suspended() -> Sequence[Swap]:
    """Only `active` is told from the rest."""

    def go(before: Callable[..., None]) -> Callable[..., None]:
        def send(self: Any, now: int) -> None:
            if self.standing.health is Health.SUSPENDED and not self.paused:
                self._turns.wake_the_due(now)
                self._probe(now)
            else:
                before(self, now)

        return send

    def may(before: Callable[..., bool]) -> Callable[..., bool]:
        def still_go(self: Any, position: int, now: int) -> bool:
            if self.standing.health is Health.SUSPENDED:
                return not self.paused
            return before(self, position, now)

        return still_go

    return [Swap(Engine, "_send_what_may_go", go), Swap(Engine, "may_still_go", may)]


@planted("A pause holds new events, and retries go on.")
def pause_ignored_by_retries() -> Sequence[Swap]:
    """What is due is sent before the pause is looked at."""

    def go(before: Callable[..., None]) -> Callable[..., None]:
        def send(self: Any, now: int) -> None:
            if self.paused and self.standing.health is Health.ACTIVE:
                self._turns.wake_the_due(now)
                parcel = self._turns.first()
                if parcel is not None and parcel.attempts and not self._in_flight:
                    self._turns.pop()
                    self._send(parcel, now)
            else:
                before(self, now)

        return send

    def may(before: Callable[..., bool]) -> Callable[..., bool]:
        def still_go(self: Any, position: int, now: int) -> bool:
            return bool(_whatever(self, lambda it: setattr(it, "paused", False), lambda: before(self, position, now)))

        return still_go

    def wake(before: Callable[..., int | None]) -> Callable[..., int | None]:
        def at(self: Any, now: int) -> int | None:
            when: int | None = _whatever(self, lambda it: setattr(it, "paused", False), lambda: before(self, now))
            return when

        return at

    return [
        Swap(Engine, "_send_what_may_go", go),
        Swap(Engine, "may_still_go", may),
        Swap(Engine, "_wake_at", wake),
    ]


@planted("An endpoint is suspended after five hours of failing.")
def five_hours_taken_for_days() -> Sequence[Swap]:
    """A slip in the unit."""
    return [instead(engine, "FAILING_DAYS_MAX", 5 / 24)]


@planted("Jitter goes half of the delay up and down.")
def retries_too_early() -> Sequence[Swap]:
    """Some retries come long before their time."""
    return [instead(schedule, "JITTER_RATIO", 0.5)]


@planted("An event is given up one attempt before its schedule is used up.")
def given_up_one_early() -> Sequence[Swap]:
    """An off-by-one in the schedule."""

    def make(before: Callable[..., int | None]) -> Callable[..., int | None]:
        def next_attempt_at(ended_at: int, failures: int, schedule_s: Sequence[float], jitter: float) -> int | None:
            return None if failures >= len(schedule_s) else before(ended_at, failures, schedule_s, jitter)

        return next_attempt_at

    return [Swap(engine, "next_attempt_at", make)]


@planted("An event whose schedule is used up is given up, also when nothing else got through.")
def given_up_in_an_outage() -> Sequence[Swap]:
    """A short schedule does not outlive an outage."""
    return [instead(Engine, "_took_something_since", lambda self, first_attempt_at: True)]


@planted("Failures in a row are counted to fifty.")
def failing_far_too_late() -> Sequence[Swap]:
    """A receiver that is down is sent everything for long."""
    return [instead(engine, "FAILURES_IN_A_ROW_MAX", 50)]


@planted("What waits behind a pending event is written down also while the endpoint is failing.")
def outage_writes_rows() -> Sequence[Swap]:
    """The cursor walks on through an outage, and a row is written for each event."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def advance(self: Any, now: int, *, due: bool) -> None:
            if self.standing.health is Health.FAILING:
                self._write_down_waiting()
            before(self, now, due=due)

        return advance

    return [Swap(Engine, "_advance_cursor", make)]


@planted("A failing endpoint is probed with as many requests as its window holds.")
def many_probes_at_a_time() -> Sequence[Swap]:
    """What is out is not looked at."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def probe(self: Any, now: int) -> None:
            out, self._in_flight = self._in_flight, 0
            before(self, now)
            self._in_flight += out

        return probe

    return [Swap(Engine, "_probe", make)]


@planted("The next event of a shipment goes when the one before has failed once.")
def lane_freed_by_a_failure() -> Sequence[Swap]:
    """A retry waits beside its lane, not in it."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def retry(self: Any, parcel: Any, due_at: int) -> None:
            before(self, parcel, due_at)
            if isinstance(parcel, Delivery) and not parcel.resend and len(parcel.lane) > 1:
                following = parcel.lane[1]
                if following.phase is Phase.WAITING:
                    self.make_ready(following, 0)

        return retry

    return [Swap(Turns, "retry", make)]


@planted("Scans are folded like updates while an endpoint is behind.")
def scans_folded() -> Sequence[Swap]:
    """Each is a fact of its own, and is lost."""
    return [instead(coalescing, "FOLDABLE", FOLDABLE | {"tracking.event_recorded"})]


@planted("An event that was tried may still be folded into a newer one.")
def tried_events_folded() -> Sequence[Swap]:
    """The receiver may have had it."""

    def make(before: Any) -> Any:
        del before
        return property(lambda self: self.phase in {Phase.READY, Phase.WAITING, Phase.RETRYING} and self.batch is None)

    return [Swap(Delivery, "untried", make)]


@planted("The rows of a batch say nothing of the batch.")
def batch_not_written_down() -> Sequence[Swap]:
    """It comes again in pieces after a restart."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self: tuple(replace(row, batch=None) for row in before(self))

    return [Swap(Ledger, "_rows", make)]


@planted("A batch that was taken settles all its events but the last.")
def batch_settled_but_for_the_last() -> Sequence[Swap]:
    """An off-by-one among its members."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def attempted(self: Any, parcel: Any, verdict: Any) -> None:
            before(self, parcel, verdict)
            if len(parcel.members) > 1 and verdict.value == "delivered":
                self._attempts.pop()

        return attempted

    return [Swap(Ledger, "attempted", make)]


ALL: tuple[Planted, ...] = (
    probe_counts_against_the_schedule,
    second_lane_never_probed,
    probes_while_suspended,
    pause_ignored_by_retries,
    five_hours_taken_for_days,
    retries_too_early,
    given_up_one_early,
    given_up_in_an_outage,
    failing_far_too_late,
    outage_writes_rows,
    many_probes_at_a_time,
    lane_freed_by_a_failure,
    scans_folded,
    tried_events_folded,
    batch_not_written_down,
    batch_settled_but_for_the_last,
)
