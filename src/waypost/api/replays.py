"""Replays of an endpoint: begin one, see how far it is, cancel it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from waypost.api import examples
from waypost.api.auth_fields import check_url_with_auth
from waypost.api.bodies import check_object, read_object, refuse
from waypost.api.call import Call
from waypost.api.checks import Check, boolean, nullable, one_of, text
from waypost.api.listing import page
from waypost.api.once import answer_once
from waypost.api.operations import Access, Answer, Body, Table
from waypost.api.queries import CURSOR, LIMIT, read_instant
from waypost.api.reply import Reply, json_reply
from waypost.api.shapes import Matched, NewReplay, Page, Replay
from waypost.errors import FieldError
from waypost.events.patterns import check_patterns
from waypost.ids import EndpointId
from waypost.log import ReplayAsked, ReplayRecord, Unit, units
from waypost.log.auditing import audited

TABLE = Table("Replays")

SHIPMENTS_MAX = 500
SHIPMENT_LENGTH_MAX = 255
URL_LENGTH_MAX = 2048


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/replay",
    access=Access.ENDPOINTS,
    summary="Replay events",
    body=Body(type=NewReplay, examples={"What failed in an outage": examples.REPLAY}),
    answers=(
        Answer(status=202, type=Replay, description="The job, which goes on by itself."),
        Answer(status=200, type=Matched, description="With `dry_run`: how many deliveries match, exactly."),
    ),
    problems=[409],
)
async def replay(call: Call) -> Reply:
    """Send events of the past to an endpoint again, or for the first time, as a job that survives a restart.

    `which` is `failed` (deliveries that stand as failed), `missing` (events it wants that never got through, those
    from before its start included) or `all` (every event it wants). What is on its way to it anyway is left out.
    Patterns and filter are those at each event's position. Requests carry the same `webhook-id` and the same bytes as
    before, and the header `waypost-replay` with the job's id; events of one shipment go out one after the other, beside
    those that happen meanwhile. Pause and suspension hold them as they hold others.

    With `to_url` they go to that URL instead, with the endpoint's settings, signed with its secrets, and its own
    deliveries stay as they are. At most 10 replays of an endpoint run at a time.
    """
    given = read_object(await call.body())
    endpoint_id = EndpointId(call.path_id("ep_"))
    own_types = await call.services.log.own_type_names(call.account_id)
    check_object(given, _checks(own_types), required=("which",))
    asked = _asked(given)
    if asked.to_url is not None:
        await call.services.egress.check_endpoint_url(asked.to_url, path="/to_url")
        endpoint = await call.services.log.get_endpoint(call.account_id, endpoint_id)
        refuse(check_url_with_auth(asked.to_url, endpoint.settings.auth, "/to_url"))
    scope, matched = await call.services.log.count_replay(call.account_id, endpoint_id, asked)
    if given.get("dry_run"):
        return await answer_once(call, Unit(call.account_id, lambda _: matched), _matched)
    work = units.create_replay(scope, asked, matched, actor=call.actor)
    return await answer_once(call, work, lambda job: json_reply(_shown(job), 202))


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/replays",
    access=Access.READ,
    summary="List replays",
    queries=[LIMIT, CURSOR],
    answers=Answer(status=200, type=Page[Replay], description="A page, the newest first."),
)
async def list_replays(call: Call) -> Reply:
    """Give the replays of an endpoint with their progress."""
    endpoint_id = EndpointId(call.path_id("ep_"))
    listed = await call.services.log.list_replays(
        call.account_id, endpoint_id, call.query("limit"), call.query("cursor")
    )
    return page(map(_shown, listed.items), listed.next)


@TABLE.add(
    "GET",
    "/v1/endpoints/{id}/replays/{job_id}",
    access=Access.READ,
    summary="Read a replay",
    answers=Answer(status=200, type=Replay, description="The job with its progress."),
)
async def get_replay(call: Call) -> Reply:
    """Give one replay: `done` of the `matched` deliveries are settled, delivered or failed for good."""
    endpoint_id, job_id = EndpointId(call.path_id("ep_")), call.path_id("job_", "job_id")
    return json_reply(_shown(await call.services.log.get_replay(call.account_id, endpoint_id, job_id)))


@TABLE.add(
    "POST",
    "/v1/endpoints/{id}/replays/{job_id}/cancel",
    access=Access.ENDPOINTS,
    summary="Cancel a replay",
    answers=Answer(status=200, type=Replay, description="The job, which sends nothing more."),
)
async def cancel_replay(call: Call) -> Reply:
    """Stop a replay. What was sent stays sent; one that has ended is left as it is."""
    await call.body()
    endpoint_id, job_id = EndpointId(call.path_id("ep_")), call.path_id("job_", "job_id")
    work = units.cancel_replay(call.account_id, endpoint_id, job_id)
    cancelled = audited(work, call.actor, "endpoint.replay_cancelled", endpoint_id, job_id)
    return await answer_once(call, cancelled, lambda job: json_reply(_shown(job)))


def _checks(own_types: Collection[str]) -> Mapping[str, Check]:
    def types(value: Any, path: str) -> list[FieldError]:
        return check_patterns(value, path=path, own_types=own_types)

    return {**_FIELDS, "types": _list_or_nothing(types)}


def _asked(given: Mapping[str, Any]) -> ReplayAsked:
    return ReplayAsked(
        which=given["which"],
        since=_instant_of(given.get("since")),
        until=_instant_of(given.get("until")),
        types=tuple(given.get("types") or ()),
        shipments=tuple(given.get("shipments") or ()),
        to_url=given.get("to_url"),
    )


def _instant_of(value: str | None) -> datetime | None:
    return None if value is None else read_instant(value)


def _matched(matched: int) -> Reply:
    return json_reply(Matched(matched=matched))


def _shown(job: ReplayRecord) -> Replay:
    asked = job.asked
    return Replay(
        id=job.replay_id,
        endpoint_id=job.endpoint_id,
        matched=job.matched,
        done=job.done,
        state=job.state,
        state_reason=job.state_reason,
        which=asked.which,
        since=asked.since,
        until=asked.until,
        types=list(asked.types),
        shipments=list(asked.shipments),
        to_url=asked.to_url,
        created_at=job.created_at,
        ended_at=job.ended_at,
    )


# -- what may be given -------------------------------------------------------------------------------------------------


def _list_or_nothing(check: Check) -> Check:
    """Null and an empty list both leave nothing out; anything else is what `check` takes."""
    return lambda value, path: [] if value is None or value == [] else check(value, path)


def _instant(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, str):
        return [FieldError(path, "must be a time such as 2026-11-23T13:31:00Z")]
    try:
        read_instant(value)
    except ValueError as error:
        return [FieldError(path, str(error))]
    return []


def _shipments(value: Any, path: str) -> list[FieldError]:
    if not isinstance(value, list) or len(value) > SHIPMENTS_MAX:
        return [FieldError(path, f"must be a list of at most {SHIPMENTS_MAX} references or `shp_…` ids")]
    name = text(SHIPMENT_LENGTH_MAX, length_min=1)
    return [error for place, one in enumerate(value) for error in name(one, f"{path}/{place}")]


_FIELDS: Mapping[str, Check] = {
    "which": one_of("failed", "missing", "all"),
    "since": nullable(_instant),
    "until": nullable(_instant),
    "shipments": _list_or_nothing(_shipments),
    "to_url": nullable(text(URL_LENGTH_MAX, length_min=1)),
    "dry_run": nullable(boolean),
}
