"""EasyPost's webhook: a tracker's whole history in, one report about its shipment out.

A message repeats every scan that EasyPost knows, old ones first. Scans have no ids, so each gets one from what does not
change from message to message. What the message calls changed (`previous_attributes`) is not believed, as it can equal
the present value: what is new is found by comparing with what is known.

Times are instants with a zone. EasyPost reads a carrier's wall clock in the zone of the scan's place and, where it
knows no place, as UTC; so the zone of a scan without a place is an assumption, and is marked as one.

Source: docs.easypost.com, the pages Trackers, Events and Webhooks.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec

from waypost.errors import BadRequest, FieldError, InvalidDocument, TooLarge
from waypost.intake.status_table import Meaning, Scan, StatusTable, packaged_table
from waypost.shipments.body import check_nesting, parse
from waypost.shipments.facts import Actor
from waypost.shipments.model import CarrierScan, Eta, Location, Source, Window
from waypost.shipments.report import CarrierReport

SIGNATURE_SCHEME = "hmac-sha256-hex="
TRACKER_EVENTS = frozenset({"tracker.created", "tracker.updated"})
FORMAT = "easypost"
MESSAGE_BYTES_MAX = 1024 * 1024  # ten thousand scans fit; a parcel has some dozens
SCANS_MAX = 5_000
# A shipment that a message makes may be called CARRIER-NUMBER, and a reference has at most 255 characters.
CARRIER_CHARACTERS_MAX = 80
NUMBER_CHARACTERS_MAX = 160

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(T.*)?\Z", re.ASCII)
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\Z", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


T = TypeVar("T")


class _Place(msgspec.Struct):
    city: str | None = None
    state: str | None = None
    country: str | None = None
    zip: str | None = None


class _Detail(msgspec.Struct):
    """One of a tracker's `tracking_details`."""

    datetime: str
    status: str | None = None
    status_detail: str | None = None
    message: str | None = None
    description: str | None = None
    carrier_code: str | None = None
    tracking_location: _Place | None = None


class _CarrierDetail(msgspec.Struct):
    est_delivery_date_local: str | None = None
    est_delivery_time_local: str | None = None


class _Tracker(msgspec.Struct):
    tracking_code: str
    carrier: str
    status: str | None = None
    status_detail: str | None = None
    updated_at: str | None = None
    est_delivery_date: str | None = None
    public_url: str | None = None
    is_return: bool | None = None
    tracking_details: list[_Detail] | None = None
    carrier_detail: _CarrierDetail | None = None


class _Message(msgspec.Struct):
    description: str
    result: msgspec.Raw
    id: str | None = None


class _Places:
    """Collects every wrong place of a message, so that its sender hears of all of them at once."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def wrong(self, path: str, message: str) -> None:
        self.errors.append(FieldError(path, message))

    def refuse_if_any(self) -> None:
        if self.errors:
            count = "1 field is" if len(self.errors) == 1 else f"{len(self.errors)} fields are"
            raise InvalidDocument(f"{count} wrong.", errors=self.errors)


def check_signature(secret: str, header: str | None, body: bytes) -> bool:
    """Whether `header`, the value of X-Hmac-Signature, was made with `secret` over exactly these bytes.

    Closed on any doubt: without a header, without a secret, with another scheme, the answer is no. The comparison takes
    the same time wherever the first difference is.
    """
    if not secret or not header:
        return False
    try:
        # EasyPost signs with the secret in this normal form, so that it does not matter how the letters were typed.
        key = unicodedata.normalize("NFKD", secret).encode()
        given = header.encode()
    except UnicodeEncodeError:
        return False
    expected = SIGNATURE_SCHEME + hmac.digest(key, body, hashlib.sha256).hex()
    return hmac.compare_digest(expected.encode(), given)


def read(body: bytes, table: StatusTable | None = None, *, actor: Actor | None = None) -> list[CarrierReport]:
    """Read one webhook message: a report for a tracker, nothing for a message about anything else.

    `table` says what the statuses mean, the packaged one when left out. Raises BadRequest when `body` is not JSON in
    UTF-8, TooLarge over MESSAGE_BYTES_MAX, InvalidDocument naming each wrong place.
    """
    message = _decode(body)
    if message.description not in TRACKER_EVENTS:
        return []
    tracker = _convert(bytes(message.result), _Tracker, "/result")
    places = _Places()
    report = CarrierReport(
        carrier=_key(tracker.carrier, CARRIER_CHARACTERS_MAX, "/result/carrier", places),
        tracking_number=_key(tracker.tracking_code, NUMBER_CHARACTERS_MAX, "/result/tracking_code", places),
        events=tuple(_scans(tracker, table or packaged_table(FORMAT), places)),
        eta=_eta(tracker, places),
        tracking_url=_text(tracker.public_url),
        actor=actor or Actor(kind="source"),
        source=Source(channel="carrier", format=FORMAT, message_id=_text(message.id)),
    )
    places.refuse_if_any()
    return [report]


# -- bytes to structs


def _decode(body: bytes) -> _Message:
    if len(body) > MESSAGE_BYTES_MAX:
        raise TooLarge(f"The message has {len(body)} bytes; at most {MESSAGE_BYTES_MAX} are taken.")
    check_nesting(body)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The message is not UTF-8: byte {error.start} is wrong.") from None
    return _convert(body, _Message, "")


def _convert(body: bytes, shape: type[T], at: str) -> T:
    """Read `body` as `shape`; `at` is the JSON Pointer of `body` in the message."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise InvalidDocument("1 field is wrong.", errors=[_wrong_field(what, at + _pointer(where))]) from None
    except msgspec.DecodeError:
        parse(body)  # says in plain words what is wrong
        raise BadRequest("The message is not JSON.") from None


def _wrong_field(what: str, path: str) -> FieldError:
    """Say in plain words what the decoder found at a place of the message."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return FieldError(f"{path}/{missing[1]}", "is missing")
    if other := re.fullmatch(r"Expected `([a-z]+)(?: \| null)?`, got `(\w+)`", what):
        expected, got = (_KINDS.get(kind, kind) for kind in other.groups())
        return FieldError(path, f"must be {expected}, not {got}")
    return FieldError(path, "is not what a message of this kind has here")


_KINDS: Mapping[str, str] = {
    "str": "a text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


def _pointer(where: str) -> str:
    """`.tracking_details[0].datetime` as a JSON Pointer."""
    return "".join(f"/{name or number}" for name, number in re.findall(r"\.([a-z_]+)|\[(\d+)\]", where))


def _key(text: str, characters_max: int, path: str, places: _Places) -> str:
    text = text.strip()
    if not text:
        places.wrong(path, "is empty")
    elif len(text) > characters_max or _UNPRINTABLE.search(text):
        places.wrong(path, f"must be at most {characters_max} characters without control characters")
    return text


def _text(text: str | None) -> str | None:
    """A carrier's own words, without what no database and no terminal takes; None when nothing is left."""
    return _UNPRINTABLE.sub(" ", text or "").strip() or None


# -- scans


def _scans(tracker: _Tracker, table: StatusTable, places: _Places) -> Iterator[CarrierScan]:
    details = tracker.tracking_details or []
    if len(details) > SCANS_MAX:
        places.wrong("/result/tracking_details", f"has {len(details)} items; at most {SCANS_MAX} are taken")
        return
    times = [_instant(d.datetime, f"/result/tracking_details/{n}/datetime", places) for n, d in enumerate(details)]
    firsts = _first_of_each_status(details, times)
    for number, (detail, occurred_at) in enumerate(zip(details, times, strict=True)):
        if occurred_at is not None:
            scan = _codes(tracker, detail.status, detail.status_detail, is_first=number in firsts)
            yield _scan(tracker, detail, occurred_at, scan, table.meaning(scan))
    yield from _scan_that_is_missing(tracker, table, places)


def _scan(
    tracker: _Tracker, detail: _Detail, occurred_at: datetime, scan: Scan, meaning: Meaning | None
) -> CarrierScan:
    says = meaning or Meaning()
    location = _location(detail.tracking_location)
    text = _text(detail.message) or _text(detail.description)
    code = _text(detail.carrier_code)
    return CarrierScan(
        id=_scan_id(tracker, code or text or scan.status, detail.datetime, location),
        status=says.status,
        condition=says.condition,
        reason=says.reason,
        action_required_by=says.action_required_by,
        carrier_code=code,
        carrier_text=text,
        carrier_reason=_own_words(scan, meaning),
        occurred_at=occurred_at,
        zone_source="given" if location and (location.name or location.postcode) else "assumed",
        location=location,
        flags=() if meaning else ("unmapped_code",),
    )


def _scan_that_is_missing(tracker: _Tracker, table: StatusTable, places: _Places) -> Iterator[CarrierScan]:
    """What the tracker's own status says beyond its scans: a cancelled label, for example, was never scanned.

    Its id holds no time, for the tracker's time of change moves on with each message.
    """
    told = {detail.status for detail in tracker.tracking_details or []}
    if not tracker.status or tracker.status in told or tracker.updated_at is None:
        return
    occurred_at = _instant(tracker.updated_at, "/result/updated_at", places)
    scan = _codes(tracker, tracker.status, tracker.status_detail, is_first=True)
    meaning = table.meaning(scan)
    # Before its first scan a tracker says pre_transit or unknown. That is no news and would be a scan nobody made.
    if occurred_at is None or meaning is None or meaning.status in (None, "booked", "unknown"):
        return
    yield CarrierScan(
        id=_scan_id(tracker, f"tracker {tracker.status}", "", None),
        status=meaning.status,
        condition=meaning.condition,
        reason=meaning.reason,
        action_required_by=meaning.action_required_by,
        carrier_reason=_own_words(scan, meaning),
        occurred_at=occurred_at,
        flags=("without_scan",),
    )


def _codes(tracker: _Tracker, status: str | None, detail: str | None, *, is_first: bool) -> Scan:
    return Scan(
        status=(status or "unknown").strip().casefold(),
        status_detail=(detail or "unknown").strip().casefold(),
        is_first=is_first,
        is_return=bool(tracker.is_return),
    )


def _first_of_each_status(details: Sequence[_Detail], times: Sequence[datetime | None]) -> frozenset[int]:
    """The numbers of the scans that are, in time, the first ones with their status. Of equal times the upper one."""
    firsts: dict[str | None, tuple[datetime, int]] = {}
    for number, (detail, at) in enumerate(zip(details, times, strict=True)):
        status = detail.status and detail.status.casefold()
        if at is not None and (status not in firsts or at < firsts[status][0]):
            firsts[status] = (at, number)
    return frozenset(number for _, number in firsts.values())


def _own_words(scan: Scan, meaning: Meaning | None) -> str | None:
    """EasyPost's reading of the scan: its detail where it has one, and all of it where we have no meaning for it."""
    if meaning is None:
        return _text(f"{scan.status}/{scan.status_detail}")
    return None if scan.status_detail == "unknown" else _text(scan.status_detail)


def _scan_id(tracker: _Tracker, code: str, time_as_sent: str, location: Location | None) -> str:
    """What makes the scan itself in every message: carrier, number, code (its words where it has none), time, place."""
    place = (location.name, location.postcode, location.country) if location else ()
    parts = [tracker.carrier.casefold(), tracker.tracking_code, code, time_as_sent, *(part or "" for part in place)]
    return "easypost-" + hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _location(place: _Place | None) -> Location | None:
    if place is None:
        return None
    names = [name for name in (_text(place.city), _text(place.state)) if name]
    postcode, country = _text(place.zip), _text(place.country)
    if not (names or postcode or country):
        return None
    return Location(name=", ".join(names) or None, postcode=postcode, country=country)


# -- times


def _instant(text: str, path: str, places: _Places) -> datetime | None:
    """An instant in UTC; one without a zone is UTC, as EasyPost says. None, and a wrong place, when it is none."""
    if not _INSTANT.match(text):
        places.wrong(path, f"{text[:40]!r} is not a time, such as 2026-11-25T07:40:00Z")
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        places.wrong(path, f"{text[:40]!r} does not exist: {error}")
        return None


def _eta(tracker: _Tracker, places: _Places) -> Eta | None:
    """When the parcel should arrive. The local date comes first: the other is often only its midnight, in UTC."""
    local = tracker.carrier_detail or _CarrierDetail()
    if local.est_delivery_date_local:
        path = "/result/carrier_detail/est_delivery_"
        day = _date(local.est_delivery_date_local, f"{path}date_local", places)
        if not local.est_delivery_time_local or day is None:
            return Eta(date=day, precision="date", source="carrier")
        if not _TIME_OF_DAY.match(local.est_delivery_time_local):
            places.wrong(f"{path}time_local", f"{local.est_delivery_time_local[:40]!r} is not a time, such as 17:00:00")
            return None
        window = Window(date=day, to=local.est_delivery_time_local)
        return Eta(date=day, window=window, precision="date", source="carrier")
    if not tracker.est_delivery_date:
        return None
    at = _instant(tracker.est_delivery_date, "/result/est_delivery_date", places)
    if at is None:
        return None
    if (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0):
        return Eta(date=at.date(), precision="date", source="carrier")
    return Eta(at=at, precision="minute", source="carrier")


def _date(text: str, path: str, places: _Places) -> date | None:
    found = _DATE.match(text)
    try:
        return date.fromisoformat(found[1] if found else text)
    except ValueError:
        places.wrong(path, f"{text[:40]!r} is not a date, such as 2026-11-28")
        return None
