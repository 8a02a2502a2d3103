"""Shipments: put, change, read, track, cancel, erase."""

import re
from typing import Any

from waypost.api import examples
from waypost.api.call import Call
from waypost.api.listing import raw_page
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import AFTER_SEQUENCE, CURSOR, LIMIT, Instant, OneOf, Text
from waypost.api.reply import NO_CONTENT, Headers, Reply, encode_json
from waypost.api.shapes import Cancel, Event, Page, ShipmentAnswer
from waypost.errors import BadRequest, NotFound
from waypost.events.kinds import CONDITIONS, STATUSES
from waypost.log import ANY_VERSION, Accepted, AcceptReport, Request
from waypost.log.erasure import record_erasure
from waypost.shipments.facts import Actor
from waypost.shipments.model import Shipment, ShipmentDocument, TrackingEventInput
from waypost.shipments.reading import check_reference, read_cancel, read_document, read_patch, read_tracking_events
from waypost.shipments.report import CancelReport, DocumentReport, EraseReport, PatchReport, Report, TrackingReport

TABLE = Table("Shipments")

REFERENCE_LENGTH_MAX = 255
JSON_OR_MERGE_PATCH = ("application/json", "application/merge-patch+json")
E_TAG = {"ETag": "The shipment's version, for `If-Match`."}
ANSWER = Answer(
    status=200,
    type=ShipmentAnswer,
    description="The shipment, and the events that followed: none when nothing changed.",
    headers=E_TAG,
)


def actor_of(call: Call) -> Actor:
    """Name who makes the report, as its events will show it."""
    return Actor(kind="operator" if call.principal.operator else "api", token=call.principal.name)


def accepted_reply(accepted: Accepted) -> Reply:
    """Answer a report: the shipment's JSON is copied in as the log made it."""
    body = b'{"shipment":%b,"events":%b,"stale":%b}' % (
        accepted.shipment,
        encode_json(accepted.events),
        b"true" if accepted.stale else b"false",
    )
    return Reply(201 if accepted.created else 200, body, e_tag(accepted.version))


def e_tag(version: int) -> Headers:
    """Give the header that names a version."""
    return ((b"etag", b'"%d"' % version),)


@TABLE.add(
    "PUT",
    "/v1/shipments/{reference}",
    access=Access.SHIPMENTS,
    summary="Put a shipment",
    body=Body(type=ShipmentDocument, examples={"A pallet to Bodø": examples.SHIPMENT, "Nothing known yet": {}}),
    answers=[
        Answer(status=201, type=ShipmentAnswer, description="The reference is new.", headers=E_TAG),
        ANSWER,
    ],
    takes_if_match=True,
)
async def put_shipment(call: Call) -> Reply:
    """Say the whole shipment as you know it. Waypost works out what changed and makes the events of it.

    What you leave out is unknown. What carriers and scans said is kept beside it. A `revision` lower than the stored
    one is not applied and answers `"stale": true`.
    """
    reference = call.path_text("reference")
    check_reference(reference)
    if_match = _if_match(call)
    document = read_document(await call.body())
    report = DocumentReport(document=document, actor=actor_of(call))
    accepted = await call.services.log.do(AcceptReport(call.account_id, reference, report, if_match))
    return accepted_reply(accepted)


@TABLE.add(
    "PATCH",
    "/v1/shipments/{reference}",
    access=Access.SHIPMENTS,
    summary="Change a shipment",
    body=Body(
        type=dict[str, Any], examples={"Another weight": examples.SHIPMENT_PATCH}, media_types=JSON_OR_MERGE_PATCH
    ),
    answers=ANSWER,
    takes_if_match=True,
)
async def patch_shipment(call: Call) -> Reply:
    """Say what changed: a JSON merge patch (RFC 7396), but items of lists are matched by `id`.

    An item you give is merged or added, items you do not give stay, `{"id": …, "$remove": true}` takes one out. Lists
    of plain texts are replaced whole.
    """
    if_match = _if_match(call)
    patch = read_patch(await call.body())
    return await _accept(call, PatchReport(patch=patch, actor=actor_of(call)), if_match)


@TABLE.add(
    "GET",
    "/v1/shipments/{reference}",
    access=Access.READ,
    summary="Read a shipment",
    answers=Answer(status=200, type=Shipment, description="The shipment with its whole history.", headers=E_TAG),
)
async def get_shipment(call: Call) -> Reply:
    """Give one shipment, by its reference or its `shp_…` id."""
    stored = await call.services.log.get_shipment(call.account_id, _name(call))
    return Reply(200, stored.json, e_tag(stored.version))


@TABLE.add(
    "GET",
    "/v1/shipments",
    access=Access.READ,
    summary="List shipments",
    queries=[
        OneOf(name="status", description="Only shipments with this status.", words=STATUSES),
        OneOf(name="condition", description="Only shipments in this condition.", words=CONDITIONS),
        Text(name="carrier", description="Only shipments of this carrier, by its id or its name."),
        Text(name="q", description="The beginning of a reference, of any of its references or of a tracking number."),
        Instant(name="updated_since", description="Only shipments changed at or after this time."),
        LIMIT,
        CURSOR,
    ],
    answers=Answer(status=200, type=Page[Shipment], description="A page, with the last 20 tracking events of each."),
)
async def list_shipments(call: Call) -> Reply:
    """Give a page of shipments: with `updated_since` the one changed longest ago first."""
    names = ("status", "condition", "carrier", "q", "updated_since", "limit", "cursor")
    page = await call.services.log.list_shipments(call.account_id, **{name: call.query(name) for name in names})
    return raw_page((item.json for item in page.items), page.next)


@TABLE.add(
    "POST",
    "/v1/shipments/{reference}/tracking-events",
    access=Access.SHIPMENTS,
    summary="Add scans and milestones",
    body=Body(
        type=TrackingEventInput | list[TrackingEventInput],
        examples={
            "A scan": examples.TRACKING_EVENT,
            "Two scans": [examples.TRACKING_EVENT, {"status": "delivered", "occurred_at": "2026-11-27T10:02:00Z"}],
        },
    ),
    answers=ANSWER,
)
async def add_tracking_events(call: Call) -> Reply:
    """Add one tracking event or a list, which is taken whole or refused whole. The same scan again does nothing."""
    events = tuple(read_tracking_events(await call.body()))
    return await _accept(call, TrackingReport(events=events, actor=actor_of(call)))


@TABLE.add(
    "POST",
    "/v1/shipments/{reference}/cancel",
    access=Access.SHIPMENTS,
    summary="Cancel a shipment",
    body=Body(type=Cancel, examples={"With a reason": {"reason": "The customer changed their mind."}}, required=False),
    answers=ANSWER,
    problems=[409],
)
async def cancel_shipment(call: Call) -> Reply:
    """Say that the shipment will not take place. Cancelling again does nothing.

    One that was delivered, returned or lost cannot be cancelled: 409.
    """
    reason = read_cancel(await call.body())
    return await _accept(call, CancelReport(reason=reason, actor=actor_of(call)))


@TABLE.add(
    "DELETE",
    "/v1/shipments/{reference}",
    access=Access.SHIPMENTS,
    summary="Erase personal data",
    answers=Answer(status=204, description="Erased."),
)
async def erase_shipment(call: Call) -> Reply:
    """Blank the parties, contacts, texts and addresses of a shipment for good, in its events and attempts too.

    References, ids, statuses, times and countries stay.
    """
    name = _name(call)
    erasure = AcceptReport(call.account_id, name, EraseReport())
    # Reports come first in a group, so what is written down has happened, in the same transaction.
    record = record_erasure(call.account_id, name, call.actor)
    outcome, _ = await call.services.log.do_all([Request(erasure), Request(record)])
    if isinstance(outcome, Exception):
        raise outcome
    return NO_CONTENT


@TABLE.add(
    "GET",
    "/v1/shipments/{reference}/events",
    access=Access.READ,
    summary="List a shipment's events",
    queries=[AFTER_SEQUENCE, LIMIT],
    answers=Answer(status=200, type=Page[Event], description="Whole events; `next` is the last `sequence`."),
)
async def list_shipment_events(call: Call) -> Reply:
    """Give a shipment's events in order, past the sequence `after`."""
    limit = call.query("limit")
    rows = await call.services.log.shipment_events(call.account_id, _name(call), call.query("after"), limit + 1)
    page = rows[:limit]
    return raw_page((row.body for row in page), page[-1].sequence if len(rows) > limit else None)


async def _accept(call: Call, report: Report, if_match: frozenset[int] | None = None) -> Reply:
    return await answer_once(call, AcceptReport(call.account_id, _name(call), report, if_match), accepted_reply)


def _name(call: Call) -> str:
    """The reference or id in the path. One that cannot be either is unknown, and no database is asked."""
    name = call.path_text("reference")
    if len(name) > REFERENCE_LENGTH_MAX or "\0" in name:
        raise NotFound("There is no shipment with this reference or id: nothing is named like that.")
    return name


# A list of entity tags; empty places in it are let pass, as RFC 9110, section 5.6.1, asks of a recipient.
_E_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_E_TAGS = re.compile(rf"[ \t,]*{_E_TAG.pattern}(?:[ \t]*,[ \t,]*{_E_TAG.pattern})*[ \t,]*")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def _if_match(call: Call) -> frozenset[int] | None:
    """The versions that `If-Match` lets pass, `ANY_VERSION` for a star, None without the header.

    A weak tag never matches (RFC 9110, section 13.1.1), and neither does a tag that we never gave out.
    """
    if call.header(b"if-match") is None:
        return None
    lines = [line.decode("latin-1") for name, line in call.scope["headers"] if name == b"if-match"]
    value = ", ".join(lines).strip()
    if value == "*":
        return frozenset([ANY_VERSION])
    if not _E_TAGS.fullmatch(value):
        raise BadRequest('If-Match takes ETags as they were answered, such as "3" or "3", "4", or *.')
    return frozenset(int(tag) for weak, tag in _E_TAG.findall(value) if not weak and _VERSION.fullmatch(tag))
