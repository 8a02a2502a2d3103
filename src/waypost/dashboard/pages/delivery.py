"""One delivery: the verdict in a sentence, every attempt with its answer, and the request as it was sent."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get, post

from waypost.dashboard.endpoint_form import in_units
from waypost.dashboard.pages.endpoint import title_of
from waypost.dashboard.pages.setup import WEBHOOKS, WRITE, name_of
from waypost.dashboard.visit import Visit
from waypost.delivery.attempt import HIDDEN
from waypost.delivery.signing import signature_header
from waypost.errors import NotFound
from waypost.ids import EndpointId

BODY_SHOWN_MAX = 64 * 1024
FOLLOWING_MAX = 5


@get(f"{WEBHOOKS}/{{endpoint_id:str}}/deliveries/{{event_id:str}}")
async def show_delivery(visit: Visit, endpoint_id: str, event_id: str) -> Response[str]:
    """Show a delivery with its attempts, the newest first."""
    path = {"id": endpoint_id, "event_id": event_id}
    delivery = await visit.call("get_delivery", path=path)
    endpoint = await visit.call("get_endpoint", path={"id": endpoint_id})
    event = await _event(visit, event_id)
    attempts = list(reversed(delivery["attempts"]))
    last = attempts[0] if attempts else None
    return visit.page(
        "delivery.html",
        active="webhooks",
        delivery=delivery,
        endpoint=endpoint,
        name=name_of(endpoint),
        event=event,
        title=title_of(visit, delivery["type"]),
        attempts=attempts,
        last=last,
        longest_ms=max((attempt["timings_ms"]["total"] for attempt in attempts), default=0) or 1,
        planned=_planned(endpoint, attempts, delivery),
        reason_of=reason_of,
        request=last["request"] if last and last["request"]["headers"] else None,
        body=_body(last, event),
        there=f"{WEBHOOKS}/{endpoint_id}",
        here=f"{WEBHOOKS}/{endpoint_id}/deliveries/{event_id}",
        may_change=visit.may(WRITE),
    )


@post(f"{WEBHOOKS}/{{endpoint_id:str}}/deliveries/{{event_id:str}}", status_code=200)
async def send_again(visit: Visit, endpoint_id: str, event_id: str) -> Response[Any]:
    """Try now, or send once more what was delivered or given up."""
    visit.require(WRITE)
    await visit.call("resend_delivery", path={"id": endpoint_id, "event_id": event_id})
    there = f"{WEBHOOKS}/{endpoint_id}/deliveries/{event_id}"
    return visit.go(there, said=visit.words("It is on its way."))


@post(f"{WEBHOOKS}/{{endpoint_id:str}}/deliveries/{{event_id:str}}/curl", status_code=200)
async def as_curl(visit: Visit, endpoint_id: str, event_id: str) -> Response[str]:
    """Give the request as a command, signed afresh so that it passes a check for five minutes; without login data."""
    visit.require(WRITE)
    delivery = await visit.call("get_delivery", path={"id": endpoint_id, "event_id": event_id})
    attempts = delivery["attempts"]
    if not attempts or not attempts[-1]["request"]["headers"]:
        raise NotFound(visit.words("Nothing was sent yet, so there is no request to copy."))
    request = attempts[-1]["request"]
    record = await visit.log.get_endpoint(visit.account_id, EndpointId(endpoint_id))
    now = int(visit.now.timestamp())
    headers = {name: value for name, value in request["headers"].items() if value != HIDDEN}
    secrets = [one.secret for one in record.secrets if one.expires_at is None or one.expires_at > visit.now]
    body = request["body"].encode()
    headers["webhook-timestamp"] = str(now)
    headers["webhook-signature"] = signature_header(secrets, headers["webhook-id"], now, body)
    return visit.page(
        "delivery_curl.html", active="webhooks", command=curl_of(request["url"], headers, request["body"])
    )


def curl_of(url: str, headers: Mapping[str, str], body: str) -> str:
    """Write a POST as a command for a shell; every text stands in single quotes."""
    lines = [f"curl --request POST {quoted(url)}"]
    lines += [f"  --header {quoted(f'{name}: {value}')}" for name, value in headers.items() if name != "content-length"]
    return " \\\n".join([*lines, f"  --data-binary {quoted(body)}"])


def quoted(text: str) -> str:
    """Quote a text for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def reason_of(attempt: Mapping[str, Any]) -> str:
    """Give the answer of an attempt in two words: "401 Unauthorized", "timeout"."""
    status = attempt["status"]
    if status is None:
        return str(attempt["outcome"]).replace("_", " ")
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


async def _event(visit: Visit, event_id: str) -> Mapping[str, Any] | None:
    """The event as stored; None once it has left by age."""
    try:
        event: Mapping[str, Any] = await visit.call("get_event", path={"id": event_id})
    except NotFound:
        return None
    return event


def _planned(endpoint: Mapping[str, Any], attempts: Sequence[Any], delivery: Mapping[str, Any]) -> str | None:
    """The waits that the schedule still has after the next attempt: "2 h, 5 h, 10 h"."""
    rest = endpoint["retry_schedule"][len(attempts) :]
    if delivery["next_attempt_at"] is None or not rest:
        return None
    return ", ".join(in_units(seconds) for seconds in rest)


def _body(last: Mapping[str, Any] | None, event: Mapping[str, Any] | None) -> str:
    """What the newest request carried; before the first, the event as it will be sent in full."""
    if last is not None and last["request"]["body"]:
        return str(last["request"]["body"])
    return "" if event is None else msgspec.json.encode(event).decode()


HANDLERS = [show_delivery, send_again, as_curl]
