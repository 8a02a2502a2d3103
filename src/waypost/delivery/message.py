"""What one request carries: an event, or several of them in a batch."""

from dataclasses import dataclass

BATCH_TYPE = "batch"  # what the header `waypost-event-type` says of several events in one request


@dataclass(frozen=True, slots=True)
class Part:
    """One event of a request: `body` are its bytes as stored.

    `folded` are the stored events that were folded into it while the endpoint was behind, oldest first.
    """

    body: bytes
    folded: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What one request carries. `id` is its `webhook-id`: that of the event, or of the batch.

    `type` is the event's, or BATCH_TYPE. `replay_id` names the job that sends it again. A batch holds one part or more,
    in order, and nothing else does.
    """

    id: str
    type: str
    parts: tuple[Part, ...]
    replay_id: str | None = None
    is_batch: bool = False
