"""Endpoints: make, change, read, pause, test; their secrets."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from urllib.parse import urlsplit

import msgspec

from waypost.api import examples
from waypost.api.auth_fields import check_certificate_now
from waypost.api.bodies import check_object, read_object, refuse
from waypost.api.call import Call
from waypost.api.checks import boolean, text, whole_number
from waypost.api.endpoint_settings import (
    read_changed_endpoint,
    read_new_endpoint,
    settings_tag,
    show_endpoint,
    start_of,
)
from waypost.api.listing import page, raw_page
from waypost.api.once import answer_once, answer_once_outside
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import AFTER_POSITION, CURSOR, LIMIT, Window
from waypost.api.reply import NO_CONTENT, Reply, json_reply
from waypost.api.shapes import (
    Endpoint,
    EndpointPatch,
    EndpointStats,
    EndpointWithSecret,
    Event,
    Latency,
    NewEndpoint,
    Page,
    Rotation,
    Secret,
    TestRequest,
    TestResult,
)
from waypost.delivery.signing import KEY_BYTES, SECRET_BYTES, new_private_key, new_secret, public_key
from waypost.errors import FieldError, PreconditionFailed
from waypost.events.catalogue import CATALOGUE
from waypost.events.patterns import PATTERN_LENGTH_MAX
from waypost.ids import EndpointId
from waypost.log import EndpointRecord, Rotated, SigningKey, Tx, Unit, Waiting, units
from waypost.log.auditing import audited

TABLE = Table("Endpoints")

ALREADY_ACTIVE = "It was active already; nothing changed."
OVERLAP_S_DEFAULT = 24 * 3600
OVERLAP_S_MAX = 30 * 24 * 3600
JSON_OR_MERGE_PATCH = ("application/json", "application/merge-patch+json")
E_TAG = {"ETag": "Of the endpoint's settings, for `If-Match`."}
ENDPOINT_ANSWER = Answer(status=200, type=Endpoint, description="The endpoint.")


@TABLE.add(
    "POST",
    "/v1/endpoints",
    access=Access.ENDPOINTS,
    summary="Make an endpoint",
    body=Body(type=NewEndpoint, examples={"What an ERP wants": examples.ENDPOINT}),
    answers=Answer(status=201, type=EndpointWithSecret, description="The endpoint and, this once, its secret."),
)
async def create_endpoint(call: Call) -> Reply:
    """Say where events go, and which. The URL is checked now and at every connection.

    Without `start` the endpoint gets what happens from now on; with it, history comes first, in order. With `paused`
    nothing is sent before you resume it, and until then its `start` can be changed.
    """
    given = read_object(await call.body())
    paused = given.pop("paused", False)
    refuse(boolean(paused, "/paused"))
    settings, wants = read_new_endpoint(given, await call.services.log.own_type_names(call.account_id))
    await _check_addresses(call, settings.url, settings.auth)
    secret, start = new_secret(secrets.token_bytes(SECRET_BYTES)), start_of(settings)
    key = _new_key()
    # Counted before: with a key the writer keeps the answer, and it never walks through a log.
    waiting = await call.services.log.waiting_from(call.account_id, wants, start)
    work = units.create_endpoint(
        call.account_id, settings, wants, secret=secret, signing_key=key, start=start, paused=paused
    )

    def render(record: EndpointRecord) -> Reply:
        shown = show_endpoint(record, waiting, reveal=True)
        public = key.public_key if "v1a" in settings.signature else msgspec.UNSET
        once = EndpointWithSecret(**msgspec.structs.asdict(shown), secret=secret, public_key=public)
        return json_reply(once, 201)

    host = urlsplit(settings.url).hostname or ""
    made = audited(work, call.actor, "endpoint.created", lambda record: record.endpoint_id, host)
    return await answer_once(call, made, render, secret=True)


@TABLE.add(
    "GET",
    "/v1/endpoints",
    access=Access.READ,
    summary="List endpoints",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[Endpoint], description="A page, the oldest first."),
)
async def list_endpoints(call: Call) -> Reply:
    """Give a page of endpoints, each with its state and how many events wait for it."""
    listed = await call.services.log.list_endpoints(call.account_id, call.query("limit"), call.query("cursor"))
    waiting = await call.services.log.waiting_of_many(call.account_id, listed.items)
    reveal = _may_change(call)
    shown = [show_endpoint(record, count, reveal=reveal) for record, count in zip(listed.items, waiting, strict=True)]
    return page(shown, listed.next)


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}",
    access=Access.READ,
    summary="Read an endpoint",
    answers=Answer(status=200, type=Endpoint, description="The endpoint.", headers=E_TAG),
)
async def get_endpoint(call: Call) -> Reply:
    """Give one endpoint, with its state and how many events wait for it.

    The values of its own headers are hidden from tokens that may not change it.
    """
    record = await _record(call)
    return json_reply(await _shown(call, record), headers=((b"etag", _tag(record).encode()),))


@TABLE.add(
    "PATCH",
    "/v1/endpoints/{id}",
    access=Access.ENDPOINTS,
    summary="Change an endpoint",
    body=Body(type=EndpointPatch, examples={"Other events": examples.ENDPOINT_PATCH}, media_types=JSON_OR_MERGE_PATCH),
    answers=ENDPOINT_ANSWER,
    takes_if_match=True,
)
async def patch_endpoint(call: Call) -> Reply:
    """Change what you give, as a JSON merge patch; null brings a field back to its default.

    `events` and `filter` apply to the events after the change, everything else to the next request.
    """
    account_id, endpoint_id = call.account_id, _endpoint_id(call)
    patch, meant_for = read_object(await call.body()), call.header(b"if-match")
    await _check_addresses(call, patch.get("url"), patch.get("auth"))
    key = _new_key()

    def change(tx: Tx) -> EndpointRecord:
        current = units.read_endpoint(tx, account_id, endpoint_id)
        if meant_for not in (None, "*") and _tag(current) not in map(str.strip, meant_for.split(",")):
            raise PreconditionFailed("Somebody else changed the endpoint meanwhile. Read it, and decide anew.")
        settings, wants = read_changed_endpoint(current, patch, units.read_own_type_names(tx, account_id))
        start = start_of(settings) if "start" in patch else None
        return units.change_endpoint(account_id, endpoint_id, settings, wants, signing_key=key, start=start).work(tx)

    work = Unit(account_id, change, locks=True)
    changed = audited(work, call.actor, "endpoint.changed", endpoint_id, ", ".join(sorted(patch)))
    return await _answer_endpoint(call, changed)


@TABLE.add(
    "DELETE",
    "/v1/endpoints/{id}",
    access=Access.ENDPOINTS,
    summary="Delete an endpoint",
    answers=Answer(status=204, description="Deleted, and what waited for it with it."),
)
async def delete_endpoint(call: Call) -> Reply:
    """Delete an endpoint. The record of its attempts stays for as long as attempts are kept."""
    endpoint_id = _endpoint_id(call)
    work = units.delete_endpoint(call.account_id, endpoint_id)
    await call.services.log.do(audited(work, call.actor, "endpoint.deleted", endpoint_id))
    return NO_CONTENT


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/secret",
    access=Access.ENDPOINTS,
    summary="Reveal the secret",
    answers=Answer(status=200, type=Secret, description="The secret that signs."),
)
async def get_endpoint_secret(call: Call) -> Reply:
    """Give the signing secret. Who asked, and when, stands in the audit log."""
    work = units.reveal_secret(call.account_id, _endpoint_id(call), call.actor)
    return _secret_reply(await call.services.log.do(work))


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/secret/rotate",
    access=Access.ENDPOINTS,
    summary="Rotate the secret",
    body=Body(type=Rotation, examples={"A day of overlap": {"overlap_seconds": OVERLAP_S_DEFAULT}}, required=False),
    answers=Answer(status=200, type=Secret, description="The new secret, and until when the old one signs too."),
)
async def rotate_endpoint_secret(call: Call) -> Reply:
    """Sign with a new secret. During the overlap both sign, so that the receiver can change over in its own time."""
    given = read_object(await call.body() or b"{}")
    check_object(given, {"overlap_seconds": whole_number(0, OVERLAP_S_MAX)})
    secret = new_secret(secrets.token_bytes(SECRET_BYTES))
    overlap_s = given.get("overlap_seconds", OVERLAP_S_DEFAULT)
    endpoint_id = _endpoint_id(call)
    work = units.rotate_secret(call.account_id, endpoint_id, secret, overlap_s, signing_key=_new_key())
    rotated = audited(work, call.actor, "endpoint.secret_rotated", endpoint_id, f"overlap {overlap_s} s")
    return await answer_once(call, rotated, _secret_reply, secret=True)


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/test",
    access=Access.ENDPOINTS,
    summary="Send a test event",
    body=Body(type=TestRequest, examples={"As if delivered": {"type": "shipment.status.delivered"}}, required=False),
    answers=Answer(status=200, type=TestResult, description="The attempt, whatever the receiver said."),
)
async def test_endpoint(call: Call) -> Reply:
    """Send the example of a type now, marked `"test": true`, and give the attempt with its verdict.

    The type is one of the catalogue, or one of your own that has an example. Any state of the endpoint allows it. It
    stands in no log, is not tried again and does not change the state. At most 60 a minute for each endpoint, 20 at
    once.
    """
    endpoint_id = _endpoint_id(call)
    given = read_object(await call.body() or b"{}")
    check_object(given, {"type": text(PATTERN_LENGTH_MAX)})
    await _check_can_be_tested(call, given.get("type"))
    await call.services.log.get_endpoint(call.account_id, endpoint_id)

    async def send() -> TestResult:
        call.shared.test_button.take((call.account_id, endpoint_id))
        return await call.services.delivery.send_test(call.account_id, endpoint_id, given.get("type"))

    return await answer_once_outside(call, send, json_reply)


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/pause",
    access=Access.ENDPOINTS,
    summary="Hold deliveries",
    answers=ENDPOINT_ANSWER,
)
async def pause_endpoint(call: Call) -> Reply:
    """Hold the endpoint's events. They are counted and go out in order on resume."""
    endpoint_id = _endpoint_id(call)
    work = units.pause_endpoint(call.account_id, endpoint_id)
    return await _answer_endpoint(call, audited(work, call.actor, "endpoint.paused", endpoint_id))


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/resume",
    access=Access.ENDPOINTS,
    summary="Go on with deliveries",
    answers=ENDPOINT_ANSWER,
)
async def resume_endpoint(call: Call) -> Reply:
    """Go on where it stopped, in order, after a pause, or after the endpoint was suspended or failing.

    Resuming an active endpoint changes nothing; `state_reason` then says so.
    """
    account_id, endpoint_id = call.account_id, _endpoint_id(call)
    await call.body()
    waiting = await call.services.log.waiting(call.account_id, _endpoint_id(call))

    def resume(tx: Tx) -> tuple[bool, EndpointRecord]:
        was_active = units.read_endpoint(tx, account_id, endpoint_id).state == "active"
        return was_active, units.resume_endpoint(account_id, endpoint_id).work(tx)

    def render(resumed: tuple[bool, EndpointRecord]) -> Reply:
        was_active, record = resumed
        shown = show_endpoint(record, waiting, reveal=True)
        return json_reply(msgspec.structs.replace(shown, state_reason=ALREADY_ACTIVE) if was_active else shown)

    work = audited(Unit(account_id, resume), call.actor, "endpoint.resumed", endpoint_id)
    return await answer_once(call, work, render, secret=True)


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/events",
    access=Access.READ,
    summary="List what an endpoint is owed",
    queries=[AFTER_POSITION, LIMIT],
    answers=Answer(status=200, type=Page[Event], description="Whole events; `next` is the last `position`."),
)
async def list_endpoint_events(call: Call) -> Reply:
    """Give exactly the events this endpoint is owed, in order, delivered or not: for reconciliation.

    A page may hold fewer than `limit` events, even none, where few of many are wanted; go on with `next`.
    """
    rows, following = await call.services.log.owed_events(
        call.account_id, _endpoint_id(call), call.query("after"), call.query("limit")
    )
    return raw_page((row.body for row in rows), following)


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/stats",
    access=Access.READ,
    summary="How an endpoint fares",
    queries=[Window(name="window", description="How far back to look.", default=timedelta(hours=24))],
    answers=Answer(status=200, type=EndpointStats, description="Counts, quantiles and health."),
)
async def get_endpoint_stats(call: Call) -> Reply:
    """Give the attempts within a window by what came of them, how long they took, and how the endpoint stands."""
    record = await _record(call)
    window: timedelta = call.query("window")
    since = call.services.clock.now() - window
    stats = await call.services.log.stats(call.account_id, record.endpoint_id, since)
    waiting = await call.services.log.waiting(call.account_id, record.endpoint_id)
    return json_reply(
        EndpointStats(
            since=since,
            attempts={"delivered": stats.delivered, "retrying": stats.retrying, "failed": stats.failed},
            outcomes=dict(stats.by_outcome),
            latency_ms=Latency(p50=_milliseconds(stats.p50_us), p99=_milliseconds(stats.p99_us)),
            state=record.state,
            state_reason=record.state_reason,
            state_since=record.state_since,
            waiting=waiting.count,
            waiting_more=waiting.more,
        )
    )


async def _answer_endpoint(call: Call, work: Unit[EndpointRecord]) -> Reply:
    """Do `work` and answer the endpoint. What waits is counted before: a moment is as good as another."""
    if not call.body_was_read:
        await call.body()
    waiting = await call.services.log.waiting(call.account_id, _endpoint_id(call))
    # What authenticates us is shown to who may change it, so an answer that is kept holds secrets.
    return await answer_once(
        call, work, lambda record: json_reply(show_endpoint(record, waiting, reveal=True)), secret=True
    )


async def _check_addresses(call: Call, url: object, auth: object) -> None:
    """Refuse addresses that requests may not go to: the endpoint's own, and that of its token endpoint.

    A client certificate that is not valid now is refused as well.

    What is of another shape than an address is left to those who read the document.
    """
    if isinstance(url, str):
        await call.services.egress.check_endpoint_url(url)
    token_url = auth.get("token_url") if isinstance(auth, Mapping) else None
    if isinstance(token_url, str):
        await call.services.egress.check_endpoint_url(token_url, path="/auth/token_url")
    check_certificate_now(auth, call.services.clock.now())


async def _shown(call: Call, record: EndpointRecord) -> Endpoint:
    waiting = await call.services.log.waiting(call.account_id, record.endpoint_id)
    return show_endpoint(record, waiting, reveal=_may_change(call))


def _may_change(call: Call) -> bool:
    """Whether the caller may see the values of headers."""
    return call.principal.operator or Access.ENDPOINTS.value in call.principal.scopes


def _tag(record: EndpointRecord) -> str:
    """The ETag of its settings; how many events wait is none of them."""
    return settings_tag(msgspec.to_builtins(show_endpoint(record, Waiting(0, False), reveal=True)))


async def _record(call: Call) -> EndpointRecord:
    return await call.services.log.get_endpoint(call.account_id, _endpoint_id(call))


def _endpoint_id(call: Call) -> EndpointId:
    return EndpointId(call.path_id("ep_"))


def _new_key() -> SigningKey:
    private_key = new_private_key(secrets.token_bytes(KEY_BYTES))
    return SigningKey(private_key, public_key(private_key))


def _secret_reply(rotated: Rotated) -> Reply:
    public = msgspec.UNSET if rotated.public_key is None else rotated.public_key
    return json_reply(Secret(secret=rotated.secret, previous_expires_at=rotated.previous_expires_at, public_key=public))


async def _check_can_be_tested(call: Call, name: str | None) -> None:
    """Refuse a type that does not exist, or that has no example to send."""
    if name is None or name in CATALOGUE:
        return
    own = await call.services.log.find_own_type(call.account_id, name)
    if own is None:
        known = [*CATALOGUE, *await call.services.log.own_type_names(call.account_id)]
        near = get_close_matches(name, known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        refuse([FieldError("/type", f"is not an event type of the catalogue or of your own{hint}")])
    elif own.example is None:
        refuse([FieldError("/type", "has no example to send; give it one: PUT /v1/event-types/{type}")])


def _milliseconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1000
