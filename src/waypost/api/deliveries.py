"""The delivery log of an endpoint: what was sent, what was answered, and sending again."""

from typing import Any

import msgspec

from waypost.api.call import Call
from waypost.api.event_ids import event_id_of
from waypost.api.listing import page
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Table
from waypost.api.queries import CURSOR, LIMIT, EventTypes, Instant, OneOf, Text
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import Delivery, DeliverySummary, Page
from waypost.delivery.result import Rendering
from waypost.errors import BadRequest, FieldError
from waypost.events.own_types import may_be_own
from waypost.events.patterns import check_patterns
from waypost.events.rendering import render_in
from waypost.ids import EndpointId
from waypost.log import Attempt, DeliveryFilter, EventBytes, units
from waypost.log import Delivery as DeliveryRecord
from waypost.log.auditing import audited

TABLE = Table("Deliveries")

WHOLE = Rendering(payload="full", personal_data=True, format="waypost")

STATES = ("delivered", "failed", "retrying", "waiting", "skipped")


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/deliveries",
    access=Access.READ,
    summary="List deliveries",
    queries=[
        OneOf(name="state", description="Only deliveries in this state.", words=STATES),
        EventTypes(name="type", description="Only events of this type, or of these: `shipment.status.*`."),
        Text(name="shipment", description="Only events of this shipment: its reference or `shp_…` id."),
        Instant(name="since", description="Only events recorded at or after this time."),
        LIMIT,
        CURSOR,
    ],
    answers=Answer(status=200, type=Page[DeliverySummary], description="A page, the newest first."),
)
async def list_deliveries(call: Call) -> Reply:
    """Give the deliveries of an endpoint, each with its state and last attempt.

    A page may hold fewer than `limit` deliveries, even none, where few of many match; go on with `next`.
    """
    await check_type_known(call)
    wanted = DeliveryFilter(**{name: call.query(name) for name in ("state", "type", "shipment", "since")})
    listed = await call.services.log.list_deliveries(
        call.account_id, _endpoint_id(call), wanted, call.query("limit"), call.query("cursor")
    )
    return page(map(_summary, listed.items), listed.next)


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/deliveries/{event_id}",
    access=Access.READ,
    summary="Read a delivery",
    answers=Answer(status=200, type=Delivery, description="The delivery with its attempts."),
)
async def get_delivery(call: Call) -> Reply:
    """Give one delivery with its attempts: request, answer, and where the time went. The first comes first.

    Of a batch, each delivery shows its own event in the body of the request, and `batch_id` says what it went in.
    """
    delivery, attempts, sent_of = await call.services.log.get_delivery(
        call.account_id, _endpoint_id(call), _event_id(call)
    )
    bodies = _Bodies(sent_of)
    shown = {
        "event_id": delivery.event_id,
        "type": delivery.type,
        "reference": delivery.reference,
        "state": delivery.state,
        "state_reason": delivery.state_reason,
        "next_attempt_at": delivery.next_attempt_at,
        "waits_for": delivery.waits_for,
        "attempts": [_attempt(attempt, bodies) for attempt in attempts],
    }
    return json_reply(shown)


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/deliveries/{event_id}/resend",
    access=Access.ENDPOINTS,
    summary="Send again",
    answers=Answer(status=202, type=DeliverySummary, description="It will be sent; this is how it stands."),
)
async def resend_delivery(call: Call) -> Reply:
    """Send one event to this endpoint again, with the same `webhook-id` and the same bytes."""
    await call.body()
    endpoint_id, event_id = _endpoint_id(call), _event_id(call)
    work = units.resend(call.account_id, endpoint_id, event_id)
    asked = audited(work, call.actor, "delivery.resent", endpoint_id, event_id)
    return await answer_once(call, asked, lambda delivery: json_reply(_summary(delivery), 202))


async def check_type_known(call: Call) -> None:
    """Refuse a `type` in the query that no type fits, neither of the catalogue nor of the account's own."""
    pattern = call.query("type")
    if pattern is None or not may_be_own(pattern):
        return
    for error in check_patterns([pattern], own_types=await call.services.log.own_type_names(call.account_id)):
        raise BadRequest(f"?type {error.message}", errors=[FieldError("?type", error.message)])


def _endpoint_id(call: Call) -> EndpointId:
    return EndpointId(call.path_id("ep_"))


def _event_id(call: Call) -> str:
    return event_id_of(call, "event_id")


def _summary(delivery: DeliveryRecord) -> DeliverySummary:
    return DeliverySummary(
        event_id=delivery.event_id,
        position=delivery.position,
        type=delivery.type,
        reference=delivery.reference,
        state=delivery.state,
        state_reason=delivery.state_reason,
        recorded_at=delivery.recorded_at,
        next_attempt_at=delivery.next_attempt_at,
        waits_for=delivery.waits_for,
        attempts=delivery.attempts,
        last_attempt_at=delivery.last_attempt_at,
        last_outcome=delivery.last_outcome,
        last_status=delivery.last_status,
        last_duration_ms=None if delivery.last_duration_us is None else delivery.last_duration_us / 1000,
    )


class _Bodies:
    """What requests carried of one event. Each way of making it is gone once, however many there were."""

    def __init__(self, sent_of: EventBytes) -> None:
        self._sent_of = sent_of
        self._made: dict[Rendering, str] = {}

    def of(self, rendering: Rendering) -> str:
        """Give the body by the settings of then."""
        if rendering not in self._made:
            body, folded = self._sent_of.body, self._sent_of.folded
            made = render_in(
                rendering.format, body, folded, payload=rendering.payload, personal_data=rendering.personal_data
            )
            self._made[rendering] = made.decode()
        return self._made[rendering]


def _attempt(attempt: Attempt, bodies: _Bodies) -> dict[str, Any]:
    """The attempt as it was written down, with what it sent of the event; nothing where it came to no request."""
    shown: dict[str, Any] = msgspec.json.decode(attempt.detail)
    rendering = msgspec.convert(shown.pop("rendering", None), Rendering | None) or WHOLE
    shown["request"]["body"] = bodies.of(rendering) if shown["request"]["headers"] else ""
    shown["verdict"] = attempt.verdict
    return shown
