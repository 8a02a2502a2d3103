"""The words of an alert: what happened, what it means, and what to do about it. Pure: rows in, a message out.

Many things at once become one mail: the last state of each endpoint, and refused deliveries counted by endpoint and
reason. What comes from outside (addresses, descriptions, reasons) stands in the text, as it is, and never in a header.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import msgspec

from waypost.clock import from_micros
from waypost.events.operations import DeliveryFailedData, EndpointBrief, EndpointStateData
from waypost.log.alerts import Alerts, Notice
from waypost.log.records import LogRow

DELIVERY_FAILED = "delivery.failed"
EXAMPLES_MAX = 5  # of the refused events of one kind that are named
ENDPOINTS_MAX = 50  # told of in one mail; the rest is counted
TEXT_LENGTH_MAX = 300  # of one thing that comes from outside


class _State(msgspec.Struct):
    data: EndpointStateData


class _Failed(msgspec.Struct):
    data: DeliveryFailedData


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing told: a few words for the subject, and its lines."""

    short: str
    lines: tuple[str, ...]


def compose(told: Alerts, *, sender: str, recipient: str, public_url: str, message_id: str) -> EmailMessage:
    """Write the mail that tells an account of `told`, which holds at least one thing.

    Raises ValueError for an address that is none: it never gets into a header.
    """
    items = [
        *_states(told.events, public_url),
        *_failures(told.events, public_url),
        *_notices(told.notices, public_url),
    ]
    assert items, told.position
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name="Waypost", addr_spec=sender)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = items[0].short if len(items) == 1 else f"{items[0].short}, and {len(items) - 1} more"
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    shown, rest = items[:ENDPOINTS_MAX], items[ENDPOINTS_MAX:]
    text = "\n\n".join("\n".join(item.lines) for item in shown)
    if rest:
        text += f"\n\n{len(rest)} more like these are in the log."
    account = _plain(told.account.name)
    message.set_content(
        f"{text}\n\n-- \nWaypost at {public_url}, for the account {account} ({told.account.account_id})\n"
    )
    return message


# -- endpoints ---------------------------------------------------------------------------------------------------------


def _states(rows: Iterable[LogRow], public_url: str) -> list[_Item]:
    """The last state of each endpoint, the latest change last."""
    last: dict[str, tuple[LogRow, EndpointStateData]] = {}
    for row in rows:
        if row.type != DELIVERY_FAILED:
            data = msgspec.json.decode(row.body, type=_State).data
            last.pop(data.endpoint.id, None)
            last[data.endpoint.id] = row, data
    return [_state(row, data, public_url) for row, data in last.values()]


def _state(row: LogRow, data: EndpointStateData, public_url: str) -> _Item:
    endpoint = data.endpoint
    at = _time(from_micros(row.recorded_at))
    lines = [_name(endpoint)]
    match data.state:
        case "failing":
            lines += [
                f"Nothing gets through to it since {at}. {_reason(data.state_reason)}".rstrip(),
                (
                    "Its events wait, and one is tried at least every five minutes; the first that gets through lets "
                    "all others follow. Nothing is lost."
                ),
                "What to do: see to it that the address answers 2xx.",
            ]
            short = f"An endpoint is failing: {endpoint.id}"
        case "suspended":
            lines += [
                f"It is suspended since {at}: nothing is sent any more. {_reason(data.state_reason)}".rstrip(),
                "Its events wait.",
                f"What to do: repair the receiver, then run: waypost endpoint resume {endpoint.id}",
            ]
            short = f"An endpoint is suspended: {endpoint.id}"
        case "active":
            lines += [f"It takes events again since {at}. What waited goes out, in order. Nothing needs to be done."]
            short = f"An endpoint is back: {endpoint.id}"
    return _Item(short, (*lines, _link(endpoint, "", public_url)))


# -- deliveries --------------------------------------------------------------------------------------------------------


def _failures(rows: Iterable[LogRow], public_url: str) -> list[_Item]:
    """Refused deliveries, counted by endpoint and reason."""
    groups: dict[tuple[str, str], list[DeliveryFailedData]] = {}
    for row in rows:
        if row.type == DELIVERY_FAILED:
            data = msgspec.json.decode(row.body, type=_Failed).data
            groups.setdefault((data.endpoint.id, data.explanation), []).append(data)
    return [_failure(group, public_url) for group in groups.values()]


def _failure(group: Sequence[DeliveryFailedData], public_url: str) -> _Item:
    endpoint, count = group[0].endpoint, len(group)
    named = [
        f"  {one.event.id}  {one.event.type}" + (f"  {_plain(one.event.reference)}" if one.event.reference else "")
        for one in group[:EXAMPLES_MAX]
    ]
    if count > EXAMPLES_MAX:
        named.append(f"  and {count - EXAMPLES_MAX} more")
    what = "1 delivery was refused" if count == 1 else f"{count} deliveries were refused"
    return _Item(
        f"{what} by {endpoint.id}",
        (
            _name(endpoint),
            f"{what} until its retries were used up, and others got through. {_reason(group[0].explanation)}".rstrip(),
            *named,
            "What to do: repair what refuses them, then send them again: waypost events replay, or resend each.",
            _link(endpoint, "/deliveries?state=failed", public_url),
        ),
    )


# -- what is owed for too long -----------------------------------------------------------------------------------------


def _notices(notices: Iterable[Notice], public_url: str) -> list[_Item]:
    """What is given up soon, or was; of an endpoint with both warnings the nearer one."""
    nearest: dict[tuple[str, bool], Notice] = {}
    for notice in notices:
        key = (notice.endpoint.id, notice.days_left > 0)
        if key not in nearest or notice.days_left < nearest[key].days_left:
            nearest[key] = notice
    return [_notice(notice, public_url) for notice in nearest.values()]


def _notice(notice: Notice, public_url: str) -> _Item:
    endpoint = notice.endpoint
    if notice.days_left:
        return _Item(
            f"Events for {endpoint.id} are given up soon",
            (
                _name(endpoint),
                (
                    f"Events wait for it that are given up from {_time(notice.expires_at)} on, since they will have "
                    "waited for as long as owed events are kept."
                ),
                (
                    "What to do: let it take events again, or resume it if it is paused or suspended: "
                    f"waypost endpoint resume {endpoint.id}"
                ),
                _link(endpoint, "", public_url),
            ),
        )
    what = "1 event was given up" if notice.events == 1 else f"{notice.events} events were given up"
    return _Item(
        f"{what} for {endpoint.id}",
        (
            _name(endpoint),
            (
                f"{what}: they waited for as long as owed events are kept. They stand as failed for a week and can be "
                "sent again until then."
            ),
            _link(endpoint, "/deliveries?state=failed", public_url),
        ),
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _name(endpoint: EndpointBrief) -> str:
    description = f" ({_plain(endpoint.description)})" if endpoint.description else ""
    return f"Endpoint {endpoint.id}{description}, {_plain(endpoint.url)}"


def _link(endpoint: EndpointBrief, path: str, public_url: str) -> str:
    return f"{public_url}/v1/endpoints/{endpoint.id}{path}"


def _reason(text: str | None) -> str:
    return _plain(text) if text else ""


def _plain(text: str) -> str:
    """A text of somebody else's on one line: no control characters, and no more than is read at a glance."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= TEXT_LENGTH_MAX else clean[:TEXT_LENGTH_MAX] + "…"


def _time(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
