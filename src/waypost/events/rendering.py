"""What an endpoint is sent of an event: a pure function of the stored bytes and the endpoint's settings.

So every attempt sends the same bytes while the settings stay, and an endpoint that wants the whole event gets the
stored bytes themselves.
"""

from collections.abc import Sequence

import msgspec

from waypost.events.cloudevents import structured
from waypost.events.folding import fold

EMPTY = msgspec.Raw(b"{}")
NULL = msgspec.Raw(b"null")

Object = dict[str, msgspec.Raw]

_read = msgspec.json.Decoder(Object).decode
_read_parties = msgspec.json.Decoder(dict[str, Object | None] | None).decode
_read_changes = msgspec.json.Decoder(list[Object]).decode
_read_text = msgspec.json.Decoder(str).decode
_write = msgspec.json.Encoder().encode


def render(body: bytes, folded: Sequence[bytes] = (), *, payload: str, personal_data: bool) -> bytes:
    """Give the bytes of a stored event as an endpoint wants them.

    `folded` are the stored events that were folded into it, oldest first. `payload` is `full` (the event), `changes`
    (without the shipment itself) or `reference` (ids only: `data` is `{}`). Without `personal_data` no contact is in
    it: they are null, and changes of them are left out. Events about no shipment have neither shipment nor contacts
    that we know of; of these, only `reference` takes something away.
    """
    whole = fold(body, folded) if folded else body
    if payload == "full" and personal_data:
        return whole
    event = _read(whole)
    if payload == "reference":
        event["data"] = EMPTY
    elif event["shipment_id"] != NULL:
        event["data"] = _data(event["data"], with_shipment=payload == "full", personal_data=personal_data)
    return _write(event)


def render_in(
    format: str,  # noqa: A002 - the word of the settings
    body: bytes,
    folded: Sequence[bytes] = (),
    *,
    payload: str,
    personal_data: bool,
) -> bytes:
    """Give one event as `render` does, in the form that an endpoint's format gives to each event."""
    rendered = render(body, folded, payload=payload, personal_data=personal_data)
    return structured(rendered) if format == "cloudevents" else rendered


def batch(rendered: Sequence[bytes]) -> bytes:
    """Give the JSON array of events that were rendered one by one."""
    return b"[" + b",".join(rendered) + b"]"


def _data(raw: msgspec.Raw, *, with_shipment: bool, personal_data: bool) -> msgspec.Raw:
    data = _read(raw)
    if not with_shipment:
        data.pop("shipment", None)
    if not personal_data:
        if "shipment" in data:
            data["shipment"] = _shipment_without_contacts(data["shipment"])
        if "changes" in data:
            data["changes"] = _changes_without_contacts(data["changes"])
    return msgspec.Raw(_write(data))


def _shipment_without_contacts(raw: msgspec.Raw) -> msgspec.Raw:
    shipment = _read(raw)
    if "parties" in shipment:
        shipment["parties"] = _parties_without_contacts(shipment["parties"])
    return msgspec.Raw(_write(shipment))


def _parties_without_contacts(raw: msgspec.Raw) -> msgspec.Raw:
    parties = _read_parties(raw)
    if parties is None:
        return raw
    return msgspec.Raw(_write({role: party and _party_without_contact(party) for role, party in parties.items()}))


def _party_without_contact(party: Object) -> Object:
    return party | {"contact": NULL} if "contact" in party else party


def _changes_without_contacts(raw: msgspec.Raw) -> msgspec.Raw:
    kept = []
    for change in _read_changes(raw):
        steps = _read_text(change["path"]).split("/")[1:]
        if steps[0] != "parties":
            kept.append(change)
        elif len(steps) < 3:
            clean = _parties_without_contacts if len(steps) == 1 else _value_without_contact
            kept.append(change | {"old": clean(change["old"]), "new": clean(change["new"])})
        elif steps[2] != "contact":
            kept.append(change)
    return msgspec.Raw(_write(kept))


def _value_without_contact(raw: msgspec.Raw) -> msgspec.Raw:
    return raw if raw == NULL else msgspec.Raw(_write(_party_without_contact(_read(raw))))
