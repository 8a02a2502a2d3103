"""Bugs around the engine: in the worker, its runners, and what makes and judges requests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from waypost.clock import to_micros
from waypost.delivery import attempt, dispatch, runner
from waypost.delivery.health import Health
from waypost.delivery.rows import RowCache
from waypost.delivery.runner import Runner, Unstored
from waypost.delivery.signals import Persist, Stored, Verdict
from waypost.delivery.translating import standing_row
from waypost.delivery.worker import Worker
from waypost.events.patterns import matcher_of
from waypost.simulator.planted.planting import Planted, Swap, instead, planted


@planted("The cursor is stored at once and the attempts that moved it with the next write.")
def settled_before_the_attempt_is_stored() -> Sequence[Swap]:
    """What is stored leaves the attempts for the next time."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def take(self: Any) -> Any:
            write, failed = before(self)
            if write.cursor is None or not write.attempts:
                return write, failed
            self.unstored = Unstored(attempts=list(write.attempts), standing=write.standing)
            self._host.store_soon(self, len(write.attempts))
            return replace(write, attempts=()), failed

        return take

    return [Swap(Runner, "take_unstored", make)]


@planted("The cursor is stored one past the last settled event.")
def cursor_past_an_unsettled_event() -> Sequence[Swap]:
    """An off-by-one in what is stored."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def take(self: Any) -> Any:
            write, failed = before(self)
            return (write if write.cursor is None else replace(write, cursor=write.cursor + 1)), failed

        return take

    return [Swap(Runner, "take_unstored", make)]


def _told_too_early(what: Callable[[Persist], tuple[int, ...]]) -> Sequence[Swap]:
    """Tell the engine that something is stored when it was only handed over."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def persist(self: Any, persisted: Persist) -> None:
            before(self, persisted)
            if positions := what(persisted):
                self._signals.append(Stored(positions))

        return persist

    return [Swap(Runner, "_persist", make)]


@planted("A lane goes on as soon as an event is given up, before that is on disk.")
def lane_freed_before_the_failure_is_stored() -> Sequence[Swap]:
    """A crash lets the next owner try it after its successor."""
    return _told_too_early(
        lambda persist: tuple(position for position, _, verdict in persist.attempts if verdict is Verdict.FAILED)
    )


@planted("What holds folded events goes out before the fold is on disk.")
def holder_sent_before_its_fold_is_stored() -> Sequence[Swap]:
    """Nothing waits for the write."""
    return _told_too_early(lambda persist: persist.held if persist.folded else ())


@planted("A batch goes out before it is on disk.")
def batch_sent_before_it_is_stored() -> Sequence[Swap]:
    """After a crash its events are put together anew."""
    return _told_too_early(lambda persist: persist.held if any(row.batch for row in persist.put) else ())


@planted("The pending row of an event goes when its retry begins, not when it has ended.")
def pending_row_gone_before_the_end() -> Sequence[Swap]:
    """A crash in between loses the event."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def start(self: Any, send: Any) -> None:
            if send.number > 1:
                self.unstored.put.pop(send.position, None)
                self.unstored.gone.add(send.position)
                version = self.endpoint.standing.version
                self.unstored.standing = self.unstored.standing or standing_row(self.engine.standing, version)
                self._host.store_soon(self, 0)
            before(self, send)

        return start

    return [Swap(Runner, "_start", make)]


@planted("All events are judged by what the endpoint wants now.")
def wishes_of_now_for_old_events() -> Sequence[Swap]:
    """The versions are not looked at."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def use(self: Any, endpoint: Any) -> None:
            before(self, endpoint)
            self._matchers = [(0, matcher_of(endpoint.wants))]

        return use

    return [Swap(Runner, "_use", make)]


@planted("Lanes are by event, so the next of a shipment does not wait.")
def lane_ignored() -> Sequence[Swap]:
    """The ordering that was asked for does not reach the engine."""
    return [Swap(runner, "engine_settings", lambda before: lambda endpoint: replace(before(endpoint), ordered=False))]


@planted("The rate limit does not reach the engine.")
def rate_limit_ignored() -> Sequence[Swap]:
    """As if none was set."""
    return [
        Swap(runner, "engine_settings", lambda before: lambda endpoint: replace(before(endpoint), rate_per_second=None))
    ]


@planted("The window grows as long as answers are fast, whatever max_in_flight says.")
def window_not_bounded() -> Sequence[Swap]:
    """The bound does not reach the engine."""
    return [
        Swap(runner, "engine_settings", lambda before: lambda endpoint: replace(before(endpoint), in_flight_max=256))
    ]


def _standing_at_start(**wrong: Any) -> Sequence[Swap]:
    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def start(loaded: Any) -> Any:
            begun = before(loaded)
            return replace(begun, standing=replace(begun.standing, **wrong))

        return start

    return [Swap(runner, "engine_start", make)]


@planted("A new owner takes every endpoint for a healthy one.")
def health_forgotten_at_restart() -> Sequence[Swap]:
    """Neither health nor failures are loaded."""
    return _standing_at_start(health=Health.ACTIVE, failures_in_a_row=0)


@planted("Retry-After is not read.")
def retry_after_ignored() -> Sequence[Swap]:
    """No receiver's wish for patience is heard."""
    return [instead(attempt, "read_retry_after", lambda value, now: None)]


@planted("410 is an answer like any other.")
def gone_is_a_mere_failure() -> Sequence[Swap]:
    """The endpoint is tried again by its schedule."""
    return [instead(attempt, "_GONE", -1)]


@planted("After a rotation the old secret signs, and the new one does not.")
def old_secret_after_rotation() -> Sequence[Swap]:
    """The list of secrets is read from the wrong end."""
    return [Swap(dispatch, "live_secrets", lambda before: lambda endpoint, now: before(endpoint, now)[-1:])]


@planted("Secrets sign for ever.")
def secrets_never_expire() -> Sequence[Swap]:
    """The end of an overlap is not looked at."""
    return [
        instead(
            dispatch, "live_secrets",
            lambda endpoint, now: [one.secret for one in endpoint.secrets if one.scheme in endpoint.settings.signature],
        )
    ]  # fmt: skip


@planted("A retry's body is read and written again, and comes out with other blanks.")
def body_written_anew_for_a_retry() -> Sequence[Swap]:
    """A library's habit between the store and the wire."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def prepared(settings: Any, secrets: Any, *, body: bytes, number: int, **more: Any) -> Any:
            if number > 1:
                body = json.dumps(json.loads(body)).encode()
            return before(settings, secrets, body=body, number=number, **more)

        return prepared

    return [Swap(dispatch, "prepare", make)]


@planted("A request bears the time of the event, not of the attempt.")
def time_of_the_first_attempt_signed() -> Sequence[Swap]:
    """A retry is signed with the first attempt's time."""
    first: dict[tuple[str, str], int] = {}

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def prepared(settings: Any, secrets: Any, *, timestamp: int, event_id: str, pool_key: str, **more: Any) -> Any:
            timestamp = first.setdefault((pool_key, event_id), timestamp)
            return before(settings, secrets, timestamp=timestamp, event_id=event_id, pool_key=pool_key, **more)

        return prepared

    return [Swap(dispatch, "prepare", make)]


@planted("The news of a recovery is not told.")
def recovery_not_announced() -> Sequence[Swap]:
    """Only trouble is thought worth telling."""

    def make(before: Callable[..., None]) -> Callable[..., None]:
        def announce(self: Any, standing: Any) -> None:
            if standing.health is not Health.ACTIVE:
                before(self, standing)

        return announce

    return [Swap(Runner, "_announce_health", make)]


@planted("Announcements that wait are dropped when the database refuses a write and it is tried anew.")
def announcement_lost_beside_attempts() -> Sequence[Swap]:
    """Those that come together with a final failure are forgotten."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def take(self: Any) -> Any:
            write, failed = before(self)
            return (replace(write, announcements=()) if failed else write), failed

        return take

    return [Swap(Runner, "take_unstored", make)]


@planted("A worker goes on with its endpoints when its lease has lapsed.")
def lease_believed_for_ever() -> Sequence[Swap]:
    """Once taken, always owned."""
    return [instead(Worker, "is_ours", lambda self: True)]


@planted("Retries are timed by the wall clock, which is set now and then.")
def retries_by_the_wall_clock() -> Sequence[Swap]:
    """The engine's time is the time of day."""
    return [instead(Worker, "now_us", lambda self: to_micros(self.clock.now()))]


@planted("What an erasure rewrote stays in the memory of the log's rows.")
def erased_rows_remembered() -> Sequence[Swap]:
    """It goes out as it was."""
    return [instead(RowCache, "forget", lambda self, account_id, position: None)]


@planted("A final failure is stored as one that is tried again.")
def final_failure_stored_as_a_retry() -> Sequence[Swap]:
    """The verdict is written from the result, not from the engine."""

    def make(before: Callable[..., Any]) -> Callable[..., Any]:
        def row(self: Any, position: int, number: int, verdict: Verdict, ended: Any) -> Any:
            written = Verdict.RETRYING if verdict is Verdict.FAILED else verdict
            return before(self, position, number, written, ended)

        return row

    return [Swap(Runner, "_attempt_row", make)]


ALL: tuple[Planted, ...] = (
    settled_before_the_attempt_is_stored,
    cursor_past_an_unsettled_event,
    lane_freed_before_the_failure_is_stored,
    holder_sent_before_its_fold_is_stored,
    batch_sent_before_it_is_stored,
    pending_row_gone_before_the_end,
    wishes_of_now_for_old_events,
    lane_ignored,
    rate_limit_ignored,
    window_not_bounded,
    health_forgotten_at_restart,
    retry_after_ignored,
    gone_is_a_mere_failure,
    old_secret_after_rotation,
    secrets_never_expire,
    body_written_anew_for_a_retry,
    time_of_the_first_attempt_signed,
    recovery_not_announced,
    announcement_lost_beside_attempts,
    lease_believed_for_ever,
    retries_by_the_wall_clock,
    erased_rows_remembered,
    final_failure_stored_as_a_retry,
)
