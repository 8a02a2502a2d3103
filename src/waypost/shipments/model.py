"""What a shipment is: every part of it, field by field, in the words of freight people.

All parts are frozen values. Weights, measures and money are decimal strings, kept as the sender wrote them; instants
are aware datetimes in UTC; unknown is None, never an empty text; a list item has an `id` that stays the same from one
version of the document to the next. A `form` in an annotation names the rule in forms.py that a value must keep.
"""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from waypost.ids import ShipmentId

Status = Literal[
    "draft",
    "booked",
    "awaiting_collection",
    "collection_failed",
    "collected",
    "in_transit",
    "customs",
    "out_for_delivery",
    "available_for_pickup",
    "delivery_attempted",
    "partially_delivered",
    "delivered",
    "returning",
    "returned",
    "cancelled",
    "lost",
    "unknown",
]
Condition = Literal["ok", "delayed", "on_hold", "exception"]
Reason = Literal[
    "address_incorrect",
    "access_blocked",
    "consignee_absent",
    "consignee_closed",
    "refused",
    "rescheduled_by_customer",
    "appointment_needed",
    "payment_due",
    "customs_hold",
    "documents_missing",
    "damaged",
    "lost",
    "partial_or_missing_item",
    "missorted",
    "vehicle_or_equipment",
    "capacity_or_time",
    "weather",
    "strike_or_civil",
    "shipper_not_ready",
    "other",
]
ActionRequiredBy = Literal["none", "shipper", "consignee", "carrier", "customs"]
ReferenceType = Literal[
    "customer_order",
    "purchase_order",
    "invoice",
    "booking",
    "carrier_reference",
    "consignment_note",
    "bol",
    "mawb",
    "hawb",
    "pro_number",
    "delivery_note",
    "asn",
    "erp_document",
    "other",
]
DocumentKind = Literal[
    "label", "cmr", "waybill", "bol", "pod", "invoice", "packing_list", "customs", "photo", "other"
]  # fmt: skip
PriceKind = Literal["quoted", "booked", "corrected", "invoiced"]
Mode = Literal["road", "parcel", "ocean", "air", "rail", "multimodal"]
IncotermCode = Literal["EXW", "FCA", "FAS", "FOB", "CFR", "CIF", "CPT", "CIP", "DAP", "DPU", "DDP", "DAT"]
EtaPrecision = Literal["minute", "hour", "date"]
EtaSource = Literal["carrier", "predicted", "shipper"]
TrackingEventKind = Literal["scan", "eta", "document", "manual"]
Classifier = Literal["planned", "estimated", "actual"]
TimePrecision = Literal["second", "minute", "date"]
ZoneSource = Literal["given", "location", "account", "assumed"]
CodeList = Literal["rec24", "x12-1650", "dcsa"]


def _form(name: str, description: str, **schema: object) -> Meta:
    return Meta(description=description, extra_json_schema=schema or None, extra={"form": name})


Instant = Annotated[dt.datetime, Meta(tz=True)]
LocalTime = Annotated[dt.datetime, Meta(tz=False)]
Decimal = Annotated[str, _form("decimal", "A decimal number as a string.", pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
Measure = Annotated[str, _form("measure", "A decimal number, not negative.", pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
Country = Annotated[str, _form("country", "ISO 3166-1 alpha-2.", pattern="^[A-Z]{2}$")]
Currency = Annotated[str, _form("currency", "ISO 4217.", pattern="^[A-Z]{3}$")]
Unlocode = Annotated[str, _form("unlocode", "UN/LOCODE without a blank, as `ISREY`.", pattern="^[A-Z]{2}[A-Z2-9]{3}$")]
Gln = Annotated[str, _form("gln", "GS1 Global Location Number, 13 digits.", pattern="^[0-9]{13}$")]
Sscc = Annotated[str, _form("sscc", "GS1 Serial Shipping Container Code, 18 digits.", pattern="^[0-9]{18}$")]
TimeZone = Annotated[str, _form("time_zone", "A name of the IANA time zone database.")]
WallClock = Annotated[str, _form("wall_clock", "A local time of day, as `09:00`.", pattern="^[0-9]{2}:[0-9]{2}")]
UnitKind = Annotated[str, _form("unit_kind", "UN/CEFACT Recommendation 21 or container type, as `EUR` or `40HC`.")]
Key = Annotated[str, _form("key", "1 to 255 characters, no control characters.")]
Latitude = Annotated[float, _form("latitude", "Degrees north.", minimum=-90, maximum=90)]
Longitude = Annotated[float, _form("longitude", "Degrees east.", minimum=-180, maximum=180)]
Quantity = Annotated[int, _form("count", "A whole number, not negative.", minimum=0)]
Revision = Annotated[int, _form("revision", "The sender's own number of this version; a lower one is stale.")]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The base of all parts: frozen, named fields only, nothing unknown."""


class Reference(Part, frozen=True, kw_only=True):
    """A number under which somebody knows the shipment."""

    id: Key = ""
    type: ReferenceType | None = None
    value: Key | None = None
    issuer: str | None = None


class Address(Part, frozen=True, kw_only=True):
    """A place where people load, unload or live."""

    lines: tuple[str, ...] = ()
    postcode: str | None = None
    city: str | None = None
    region: str | None = None
    country: Country | None = None
    unlocode: Unlocode | None = None
    gln: Gln | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    time_zone: TimeZone | None = None


class Contact(Part, frozen=True, kw_only=True):
    """A person at a party."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None


class Party(Part, frozen=True, kw_only=True):
    """A company or person with a role in the shipment."""

    name: str | None = None
    registration_number: str | None = None
    vat_id: str | None = None
    gln: Gln | None = None
    address: Address | None = None
    contact: Contact | None = None


class Parties(Part, frozen=True, kw_only=True):
    """Who takes part, by role."""

    shipper: Party | None = None
    consignor: Party | None = None
    consignee: Party | None = None
    notify: Party | None = None
    freight_payer: Party | None = None
    carrier: Party | None = None
    subcontractor: Party | None = None
    forwarder: Party | None = None


class Window(Part, frozen=True, kw_only=True):
    """A span of local time on one day."""

    date: dt.date | None = None
    from_: WallClock | None = field(default=None, name="from")
    to: WallClock | None = None
    time_zone: TimeZone | None = None


class Stop(Part, frozen=True, kw_only=True):
    """A place on the way, with the times for it."""

    id: Key = ""
    kind: str | None = None
    address: Address | None = None
    window: Window | None = None
    requested: Instant | None = None
    planned: Instant | None = None
    estimated: Instant | None = None
    actual: Instant | None = None


class HandlingUnit(Part, frozen=True, kw_only=True):
    """A pallet, parcel or container, as documents say it."""

    id: Key = ""
    sscc: Sscc | None = None
    tracking_number: Key | None = None
    parent_id: Key | None = None
    kind: UnitKind | None = None
    quantity: Quantity | None = None
    gross_weight_kg: Measure | None = None
    length_cm: Measure | None = None
    width_cm: Measure | None = None
    height_cm: Measure | None = None
    volume_m3: Measure | None = None
    loading_metres: Measure | None = None
    stackable: bool | None = None
    marks: str | None = None


class TrackedUnit(HandlingUnit, frozen=True, kw_only=True):
    """A handling unit with the status that the tracking events give it."""

    status: Status = "booked"


class Money(Part, frozen=True, kw_only=True):
    """An amount in a currency."""

    amount: Decimal | None = None
    currency: Currency | None = None


class Goods(Part, frozen=True, kw_only=True):
    """What is inside."""

    id: Key = ""
    handling_unit_id: Key | None = None
    description: str | None = None
    hs_code: str | None = None
    origin_country: Country | None = None
    quantity: Measure | None = None
    net_weight_kg: Measure | None = None
    value: Money | None = None


class DangerousGoods(Part, frozen=True, kw_only=True):
    """Goods under the rules of ADR, IMDG or IATA."""

    id: Key = ""
    handling_unit_id: Key | None = None
    un_number: str | None = None
    proper_shipping_name: str | None = None
    class_: str | None = field(default=None, name="class")
    packing_group: str | None = None
    tunnel_code: str | None = None
    limited_quantity: bool | None = None


class Temperature(Part, frozen=True, kw_only=True):
    """The range to keep, in degrees Celsius."""

    min_c: Decimal | None = None
    max_c: Decimal | None = None


class Incoterm(Part, frozen=True, kw_only=True):
    """The term of delivery: Incoterms 2020, and DAT of 2010."""

    code: IncotermCode | None = None
    place: str | None = None


class Terms(Part, frozen=True, kw_only=True):
    """What was agreed. `services` is a set: order and repeats mean nothing."""

    incoterm: Incoterm | None = None
    services: tuple[Key, ...] = ()
    goods_value: Money | None = None


class CarrierService(Part, frozen=True, kw_only=True):
    """A product of the carrier."""

    id: str | None = None
    name: str | None = None


class Carrier(Part, frozen=True, kw_only=True):
    """Who moves the goods."""

    id: Key | None = None
    name: Key | None = None
    scac: str | None = None
    service: CarrierService | None = None
    mode: Mode | None = None


class TrackingNumber(Part, frozen=True, kw_only=True):
    """A number to follow the shipment by; carriers use one again after some months."""

    id: Key = ""
    value: Key | None = None
    carrier: Key | None = None
    primary: bool | None = None
    active_from: Instant | None = None


class Tracking(Part, frozen=True, kw_only=True):
    """How to follow the shipment at the carrier's."""

    tracking_numbers: tuple[TrackingNumber, ...] = ()
    tracking_url: str | None = None


class Document(Part, frozen=True, kw_only=True):
    """A link to a paper of the shipment, never its bytes."""

    id: Key = ""
    kind: DocumentKind | None = None
    mime: str | None = None
    sha256: str | None = None
    size_bytes: Quantity | None = None
    url: str | None = None


class Charge(Part, frozen=True, kw_only=True):
    """One line of a price."""

    id: Key = ""
    kind: str | None = None
    description: str | None = None
    amount: Decimal | None = None
    currency: Currency | None = None


class Price(Part, frozen=True, kw_only=True):
    """What the transport costs, at one stage of its life."""

    id: Key = ""
    kind: PriceKind | None = None
    amount: Decimal | None = None
    currency: Currency | None = None
    charges: tuple[Charge, ...] = ()


class Eta(Part, frozen=True, kw_only=True):
    """When the goods should arrive: an instant, or only a date."""

    at: Instant | None = None
    date: dt.date | None = None
    window: Window | None = None
    precision: EtaPrecision | None = None
    source: EtaSource | None = None


class PastEta(Eta, frozen=True, kw_only=True):
    """An ETA that a later one took the place of."""

    stated_at: Instant


class CurrentEta(Eta, frozen=True, kw_only=True):
    """The ETA that stands, with those before it, oldest first."""

    stated_at: Instant
    history: tuple[PastEta, ...] = ()


class ShipmentDocument(Part, frozen=True, kw_only=True):
    """What one PUT says: the whole shipment as the sender knows it. Fields left out are unknown."""

    revision: Revision | None = None
    status: Status | None = None
    status_at: Instant | None = None
    tags: tuple[Key, ...] = ()
    is_return: bool = False
    references: tuple[Reference, ...] = ()
    parties: Parties | None = None
    stops: tuple[Stop, ...] = ()
    handling_units: tuple[HandlingUnit, ...] = ()
    goods: tuple[Goods, ...] = ()
    dangerous_goods: tuple[DangerousGoods, ...] = ()
    temperature: Temperature | None = None
    terms: Terms | None = None
    carrier: Carrier | None = None
    tracking: Tracking | None = None
    documents: tuple[Document, ...] = ()
    prices: tuple[Price, ...] = ()
    eta: Eta | None = None


class Location(Part, frozen=True, kw_only=True):
    """Where a scan was made, as the carrier names it: a broken code is kept here and flagged on the event."""

    name: str | None = None
    postcode: str | None = None
    country: str | None = None
    unlocode: str | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None


class Source(Part, frozen=True, kw_only=True):
    """Where a tracking event came from."""

    channel: str | None = None
    format: str | None = None
    message_id: str | None = None


class TrackingEventInput(Part, frozen=True, kw_only=True):
    """A scan or milestone as a caller gives it, before it is merged into a shipment's history."""

    id: Key | None = None
    kind: TrackingEventKind = "scan"
    classifier: Classifier | None = None
    status: Status | None = None
    code: Key | None = None
    code_list: CodeList | None = None
    condition: Condition | None = None
    reason: Reason | None = None
    action_required_by: ActionRequiredBy | None = None
    carrier_code: str | None = None
    carrier_text: str | None = None
    carrier_reason: str | None = None
    occurred_at: Instant | None = None
    occurred_local: LocalTime | None = None
    time_zone: TimeZone | None = None
    time_precision: TimePrecision | None = None
    location: Location | None = None
    handling_unit_id: Key | None = None
    source: Source | None = None
    supersedes: Key | None = None
    eta: Eta | None = None


class CarrierScan(TrackingEventInput, frozen=True, kw_only=True):
    """A scan read from a carrier's message, with what only a carrier may say.

    `zone_source` says where `time_zone` came from. `updated_at` is the carrier's time of this version of the event: a
    later one takes the place of an earlier one with the same `id`. `retracted` takes the event back. `flags` name what
    was odd in the message, in snake case.
    """

    zone_source: ZoneSource = "given"
    updated_at: Instant | None = None
    retracted: bool = False
    flags: tuple[str, ...] = ()


class TrackingEvent(Part, frozen=True, kw_only=True):
    """One scan or milestone in a shipment's history.

    `sequence` is its place in the order of arrival, from 1. `flags` names what is odd about it: `future` (more than
    two hours ahead of its arrival; it moves nothing), `unmapped_code`, `unknown_unit`, `dst_gap`, `dst_fold`,
    `country_unknown`, `unlocode_form` and whatever a format adds.
    """

    id: str
    kind: TrackingEventKind = "scan"
    classifier: Classifier = "actual"
    status: Status | None = None
    condition: Condition | None = None
    reason: Reason | None = None
    action_required_by: ActionRequiredBy | None = None
    carrier_code: str | None = None
    carrier_text: str | None = None
    carrier_reason: str | None = None
    code: str | None = None
    code_list: CodeList | None = None
    occurred_at: Instant
    occurred_local: LocalTime | None = None
    time_zone: str | None = None
    time_precision: TimePrecision = "second"
    zone_source: ZoneSource = "given"
    received_at: Instant
    sequence: int
    location: Location | None = None
    handling_unit_id: str | None = None
    source: Source | None = None
    supersedes: str | None = None
    retracted: bool = False
    eta: Eta | None = None
    flags: tuple[str, ...] = ()


class Shipment(Part, frozen=True, kw_only=True):
    """The shipment as everybody outside sees it: what documents said and what carriers said, together."""

    id: ShipmentId
    reference: str
    version: int
    status: Status
    condition: Condition = "ok"
    reason: Reason | None = None
    action_required_by: ActionRequiredBy = "none"
    status_since: Instant
    created_at: Instant
    updated_at: Instant
    revision: int | None = None
    tags: tuple[str, ...] = ()
    is_return: bool = False
    references: tuple[Reference, ...] = ()
    parties: Parties | None = None
    stops: tuple[Stop, ...] = ()
    handling_units: tuple[TrackedUnit, ...] = ()
    goods: tuple[Goods, ...] = ()
    dangerous_goods: tuple[DangerousGoods, ...] = ()
    temperature: Temperature | None = None
    terms: Terms | None = None
    carrier: Carrier | None = None
    tracking: Tracking | None = None
    documents: tuple[Document, ...] = ()
    prices: tuple[Price, ...] = ()
    eta: CurrentEta | None = None
    tracking_events: tuple[TrackingEvent, ...] = ()
    erased_at: Instant | None = None
