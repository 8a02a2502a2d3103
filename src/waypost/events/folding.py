"""Folds events of one shipment that an endpoint did not get yet into the newest of them.

What comes out tells in one event what all of them told: from the state before the oldest to that after the newest. A
change that was undone on the way is not told.
"""

from collections.abc import Sequence

import msgspec

from waypost.events.kinds import SHIPMENT_ETA_CHANGED, SHIPMENT_UPDATED
from waypost.shipments.changes import diff, groups, take_back
from waypost.shipments.eta import moved
from waypost.shipments.facts import Change, ChangeGroup
from waypost.shipments.model import Eta, Shipment

FOLDABLE = frozenset({SHIPMENT_UPDATED, SHIPMENT_ETA_CHANGED})

Object = dict[str, msgspec.Raw]


class _Event(msgspec.Struct):
    type: str
    data: Object


class _Updated(msgspec.Struct):
    changes: list[Change]
    changed: list[ChangeGroup]


class _EtaChanged(msgspec.Struct):
    previous: Eta | None
    eta: Eta | None


_read = msgspec.json.Decoder(Object).decode
_read_event = msgspec.json.Decoder(_Event).decode
_write = msgspec.json.Encoder().encode


def fold(body: bytes, folded: Sequence[bytes]) -> bytes:
    """Give the bytes of the newest event with those of its type in `folded` (oldest first) folded into it.

    A `shipment.updated` then tells the changes from before the oldest, and the groups they belong to: none when all was
    undone. A `shipment.eta_changed` tells the ETA that was announced before the oldest. All else stays as it is.
    """
    newest = _read_event(body)
    older = [event for event in map(_read_event, folded) if event.type == newest.type]
    if not older or newest.type not in FOLDABLE:
        return body
    told = _updates if newest.type == SHIPMENT_UPDATED else _etas
    event = _read(body)
    event["data"] = msgspec.Raw(_write(newest.data | told(newest.data, [one.data for one in older])))
    return _write(event)


def _updates(newest: Object, older: Sequence[Object]) -> Object:
    told = [msgspec.convert(_values(data, "changes", "changed"), _Updated) for data in (*older, newest)]
    try:
        changes = _between(newest["shipment"], [change for update in told for change in update.changes])
        changed = groups(changes)
    except msgspec.ValidationError:
        # Another version of Waypost wrote a field that this one does not know. One after the other they are as true.
        changes = [change for update in told for change in update.changes]
        changed = tuple(sorted({group for update in told for group in update.changed}))
    return {"changed": msgspec.Raw(_write(changed)), "changes": msgspec.Raw(_write(changes))}


def _between(shipment: bytes, changes: Sequence[Change]) -> list[Change]:
    """Give the changes from before the first of `changes` to `shipment`, the one after the last."""
    before = take_back(msgspec.json.decode(shipment), changes)
    return diff(msgspec.convert(before, Shipment), msgspec.json.decode(shipment, type=Shipment))


def _etas(newest: Object, older: Sequence[Object]) -> Object:
    before = msgspec.convert(_values(older[0], "previous", "eta"), _EtaChanged).previous
    now = msgspec.convert(_values(newest, "previous", "eta"), _EtaChanged).eta
    _, delta_minutes = moved(before, now, 0)
    return {"previous": older[0]["previous"], "delta_minutes": msgspec.Raw(_write(delta_minutes))}


def _values(data: Object, *names: str) -> dict[str, object]:
    return {name: msgspec.json.decode(data[name]) for name in names}
