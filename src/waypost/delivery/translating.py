"""What is stored of an endpoint in the engine's words, and the other way round."""

from collections.abc import Iterable, Mapping

from waypost.delivery.health import Health
from waypost.delivery.signals import Batched, Pending, PendingState, Settings, Standing, Start
from waypost.ids import EventId
from waypost.log.erasure import BATCH_PREFIX
from waypost.log.records import EndpointRecord, LoadedEndpoint, PendingRow
from waypost.log.records import Standing as StandingRow


def engine_settings(endpoint: EndpointRecord) -> Settings:
    """Give what the engine needs to know of an endpoint."""
    settings = endpoint.settings
    return Settings(
        retry_schedule_s=tuple(settings.retry_schedule),
        in_flight_max=settings.max_in_flight,
        rate_per_second=settings.rate_per_second,
        ordered=settings.ordering == "shipment",
        coalesce=settings.coalesce,
        batch_size=settings.batch_size if settings.format == "batch" else None,
        batch_wait_s=settings.batch_wait_ms / 1000,
    )


def engine_start(loaded: LoadedEndpoint) -> Start:
    """Give what is stored of an endpoint."""
    endpoint, standing = loaded.endpoint, loaded.endpoint.standing
    return Start(
        cursor=endpoint.cursor,
        log_end=loaded.log_position,
        standing=Standing(
            health=Health(standing.health),
            reason=standing.reason,
            since=standing.since,
            failures_in_a_row=standing.failures_in_a_row,
            failing_since=standing.failing_since,
            last_success_at=standing.last_success_at,
            held_until=standing.held_until,
        ),
        paused=endpoint.paused_at is not None,
        pending=pending_of(loaded.pending),
        settled_past_cursor=loaded.settled_past_cursor,
        attempts_past_cursor=loaded.attempts_past_cursor,
        folded=loaded.folded,
    )


def pending_of(rows: Iterable[PendingRow]) -> tuple[Pending, ...]:
    """Give stored rows; those of one batch name its first event and how many they are."""
    rows = tuple(rows)
    batches: dict[str, list[int]] = {}
    for row in rows:
        if row.batch_id is not None:
            batches.setdefault(row.batch_id, []).append(row.position)
    names = {batch_id: Batched(min(positions), len(positions)) for batch_id, positions in batches.items()}
    return tuple(
        Pending(
            row.position, row.key, PendingState(row.state), row.due_at or 0, row.failures, row.attempts,
            row.first_attempt_at, row.last_attempt_at, row.type, names.get(row.batch_id or ""), row.replay_id,
        )
        for row in rows
    )  # fmt: skip


def pending_row(row: Pending, events: Mapping[int, EventId]) -> PendingRow:
    """Give the row to be stored; `events` names the event at each position."""
    batch = None if row.batch is None else batch_id(events[row.batch.first], row.batch.size)
    return PendingRow(
        row.position, row.key, events[row.position], row.state.value, row.due_at, row.failures, row.attempts,
        row.first_attempt_at, row.last_attempt_at, row.type, batch, row.replay_id,
    )  # fmt: skip


def batch_id(first: EventId, size: int) -> str:
    """Name a batch: no other holds as many events and begins with this one."""
    return f"{BATCH_PREFIX}{first}-{size}"


def standing_row(standing: Standing, version: int) -> StandingRow:
    """Give a standing to be stored; `version` is that of the endpoint when it was loaded."""
    return StandingRow(
        health=standing.health.value,
        reason=standing.reason,
        since=standing.since,
        version=version,
        failures_in_a_row=standing.failures_in_a_row,
        failing_since=standing.failing_since,
        last_success_at=standing.last_success_at,
        held_until=standing.held_until,
    )
