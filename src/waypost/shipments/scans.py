"""From what a caller or carrier says about a scan to a tracking event with an identity and a time in UTC."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from waypost.shipments.forms import country_problem, unlocode_problem
from waypost.shipments.model import (
    CarrierScan,
    Classifier,
    Eta,
    Source,
    TimePrecision,
    TrackingEvent,
    TrackingEventInput,
    ZoneSource,
)
from waypost.shipments.state import carrier_key
from waypost.shipments.status_codes import CodeRow, look_up

FUTURE_MAX = dt.timedelta(hours=2)  # more is a wrong zone or clock, not a scan

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class ScanContext:
    """What a scan's report says about all its scans."""

    received_at: dt.datetime
    source: Source
    carrier: str | None = None
    tracking_number: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """A tracking event on its way into the history.

    `own_id` says that the source gave the id. `wall_id` is the identity by the clock on the wall: it is the same for
    two reports that differ only by a guessed zone. `updated_at` is the source's time of this version, if it gave one.
    """

    event: TrackingEvent
    own_id: bool
    wall_id: str | None
    updated_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a scan happened, in all the ways we know it."""

    instant: dt.datetime
    local: dt.datetime | None
    zone: str | None
    zone_source: ZoneSource
    precision: TimePrecision
    flags: tuple[str, ...] = ()


def read_scan(given: TrackingEventInput, context: ScanContext, units: Mapping[str, str]) -> Scan:
    """Work out the tracking event that `given` describes; its `sequence` is still 0.

    `units` gives the ids of the shipment's handling units by id, SSCC and tracking number. A code that the table
    does not know, a unit that the document does not have, a time far in the future are kept and flagged.
    """
    row = look_up(given)
    moment = _moment(given)
    classifier = _classifier(given, row)
    unit = units.get(given.handling_unit_id, given.handling_unit_id) if given.handling_unit_id else None
    event = TrackingEvent(
        id=given.id or "",
        kind=given.kind,
        classifier=classifier,
        status=given.status or (row.status if row else None),
        condition=given.condition,
        reason=given.reason,
        action_required_by=given.action_required_by,
        carrier_code=given.carrier_code if given.carrier_code is not None else given.code,
        carrier_text=given.carrier_text,
        carrier_reason=given.carrier_reason,
        code=given.code,
        code_list=given.code_list,
        occurred_at=moment.instant,
        occurred_local=moment.local,
        time_zone=moment.zone,
        time_precision=moment.precision,
        zone_source=moment.zone_source,
        received_at=context.received_at,
        sequence=0,
        location=given.location,
        handling_unit_id=unit,
        source=given.source or context.source,
        supersedes=given.supersedes,
        retracted=given.retracted if isinstance(given, CarrierScan) else False,
        eta=given.eta or _eta_of_estimate(given, row, classifier, moment),
        flags=_flags(given, row, moment, classifier, context, units),
    )
    return _identified(event, given, moment, context)


def derived_id(*parts: object) -> str:
    """Make an id that is the same whenever the same is said again."""
    return f"te_{hashlib.blake2b(_encode(parts), digest_size=10).hexdigest()}"


def _identified(event: TrackingEvent, given: TrackingEventInput, moment: _Moment, context: ScanContext) -> Scan:
    updated_at = given.updated_at if isinstance(given, CarrierScan) else None
    if given.id:
        return Scan(event, own_id=True, wall_id=None, updated_at=updated_at)
    what = (
        carrier_key(context.carrier),
        (context.tracking_number or "").casefold(),
        given.handling_unit_id,  # as sent: which unit it names may only be known from a later document
        (event.kind, event.classifier, event.status, event.code_list, event.code, event.carrier_code),
        (event.condition, event.reason, given.eta),
        event.location,
    )
    # Only carriers' scans may have a guessed zone, and they have a twin only among themselves.
    wall = moment.local or moment.instant.replace(tzinfo=None)
    wall_id = derived_id(*what, "wall", wall) if isinstance(given, CarrierScan) else None
    event_id = derived_id(*what, moment.instant) if moment.zone_source == "given" or wall_id is None else wall_id
    event = msgspec.structs.replace(event, id=event_id)
    return Scan(event, own_id=False, wall_id=wall_id, updated_at=updated_at)


def _classifier(given: TrackingEventInput, row: CodeRow | None) -> Classifier:
    # X12 AG and X2, Rec 24 361: the code itself is an estimate, whatever stands beside it.
    return (row.classifier if row else None) or given.classifier or "actual"


def _eta_of_estimate(
    given: TrackingEventInput, row: CodeRow | None, classifier: Classifier, moment: _Moment
) -> Eta | None:
    """The time of an estimated or planned arrival is the ETA; that of an estimated departure is not."""
    status = given.status or (row.status if row else None)
    if classifier == "actual" or not (status == "delivered" or (row is not None and row.moves_eta)):
        return None
    if moment.precision == "date":
        return Eta(date=(moment.local or moment.instant).date(), precision="date", source="carrier")
    return Eta(at=moment.instant, precision="minute", source="carrier")


def _flags(
    given: TrackingEventInput,
    row: CodeRow | None,
    moment: _Moment,
    classifier: Classifier,
    context: ScanContext,
    units: Mapping[str, str],
) -> tuple[str, ...]:
    flags = list(given.flags) if isinstance(given, CarrierScan) else []
    flags += moment.flags
    if classifier == "actual" and moment.instant > context.received_at + FUTURE_MAX:
        flags.append("future")
    if given.code is not None and row is None:
        flags.append("unmapped_code")
    if given.handling_unit_id and units and given.handling_unit_id not in units:
        flags.append("unknown_unit")
    place = given.location
    if place and place.country and country_problem(place.country):
        flags.append("country_unknown")
    if place and place.unlocode and unlocode_problem(place.unlocode):
        flags.append("unlocode_form")
    return tuple(dict.fromkeys(flags))


def _moment(given: TrackingEventInput) -> _Moment:
    precision = given.time_precision or "second"
    zone_source: ZoneSource = given.zone_source if isinstance(given, CarrierScan) else "given"
    zone = _zone(given.time_zone)
    if given.time_zone and zone is None:
        # Only a carrier can get here: the API refuses zones that do not exist.
        return _moment(msgspec.structs.replace(given, time_zone="UTC", zone_source="assumed"))
    if given.occurred_at is not None:
        instant = given.occurred_at.astimezone(dt.UTC)
        local = given.occurred_local or _wall_clock(given.occurred_at, zone)
        return _Moment(instant, local, given.time_zone, zone_source, precision)
    local = given.occurred_local
    assert local is not None, given
    instant, flags = _from_local(local, zone or dt.UTC)
    return _Moment(instant, local, given.time_zone, zone_source, precision, flags)


def _wall_clock(sent: dt.datetime, zone: ZoneInfo | None) -> dt.datetime | None:
    """The clock on the wall where it happened: in the zone given, else as the sender wrote it, unless that was UTC."""
    if zone is not None:
        return sent.astimezone(zone).replace(tzinfo=None)
    return sent.replace(tzinfo=None) if sent.utcoffset() else None


def _from_local(local: dt.datetime, zone: dt.tzinfo) -> tuple[dt.datetime, tuple[str, ...]]:
    """Turn a local time into UTC.

    A time that the clock skipped in spring is read with the offset before the change; one that came twice in autumn
    is the first of the two. Both are flagged, since the carrier may have meant otherwise.
    """
    instant = local.replace(tzinfo=zone, fold=0).astimezone(dt.UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    if instant == second:
        return instant, ()
    skipped = instant.astimezone(zone).replace(tzinfo=None, fold=0) != local
    return instant, ("dst_gap",) if skipped else ("dst_fold",)


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
