"""A glance at a freshly decoded document: is it surely sound, and in its stored form?

Nearly all documents are, and they come thousands a second, so this is written out field by field, without a loop over
plans: that takes a third of the time. It may doubt what is sound, and then settling.py looks closely; it must never
pass what is not. A field of model.py with a form, an instant, a set or a part inside belongs here, and a test holds
that each of them is looked at.
"""

import datetime as dt
import re
from typing import Any, Final

from waypost.shipments.codes import COUNTRIES, CURRENCIES, time_zones
from waypost.shipments.forms import COUNT_MAX, KEY_CHARACTERS_MAX, REVISION_MAX, UNIT_KIND, UNLOCODE, WALL_CLOCK
from waypost.shipments.identifiers import is_container_kind, is_gln, is_sscc
from waypost.shipments.model import (
    Address,
    Carrier,
    CarrierService,
    Charge,
    Contact,
    DangerousGoods,
    Document,
    Eta,
    Goods,
    HandlingUnit,
    Incoterm,
    Money,
    Parties,
    Party,
    Price,
    Reference,
    ShipmentDocument,
    Stop,
    Temperature,
    Terms,
    Tracking,
    TrackingNumber,
    Window,
)
from waypost.shipments.naming import name_items

UTC: Final = dt.UTC
TIME_ZONES: Final = time_zones()

# Nothing known stands for None, and to write that down is left to the thorough reading.
NO_ADDRESS, NO_CONTACT, NO_PARTY, NO_PARTIES, NO_WINDOW = Address(), Contact(), Party(), Parties(), Window()
NO_MONEY, NO_INCOTERM, NO_TERMS, NO_TEMPERATURE = Money(), Incoterm(), Terms(), Temperature()
NO_SERVICE, NO_CARRIER, NO_TRACKING = CarrierService(), Carrier(), Tracking()

_is_decimal = re.compile(r"-?[0-9]{1,28}(?:\.[0-9]{1,28})?\Z").match
_is_measure = re.compile(r"[0-9]{1,28}(?:\.[0-9]{1,28})?\Z").match
_is_unit_kind, _is_unlocode, _is_wall_clock = UNIT_KIND.match, UNLOCODE.match, WALL_CLOCK.match


def is_surely_settled(said: ShipmentDocument) -> bool:
    """Tell whether a document is surely sound and in its stored form; items without an id are given theirs.

    False means a doubt. The document must have been decoded a moment ago, and nobody else may have seen it.
    """
    return (
        (said.revision is None or 0 <= said.revision <= REVISION_MAX)
        and (said.status_at is None or said.status_at.tzinfo is UTC)
        and (not said.tags or _is_set(said.tags))
        and (said.eta is None or _eta(said.eta))
        and (said.parties is None or _parties(said.parties))
        and (said.carrier is None or _carrier(said.carrier))
        and (said.terms is None or _terms(said.terms))
        and (said.temperature is None or _temperature(said.temperature))
        and (said.tracking is None or _tracking(said.tracking))
        and (not said.references or _all(_reference, said.references))
        and (not said.stops or _all(_stop, said.stops))
        and (not said.handling_units or _all(_unit, said.handling_units))
        and (not said.goods or _all(_goods, said.goods))
        and (not said.dangerous_goods or _all(_dangerous_goods, said.dangerous_goods))
        and (not said.documents or _all(_document, said.documents))
        and (not said.prices or _all(_price, said.prices))
    )


def _all(look: Any, items: tuple[Any, ...]) -> bool:
    for item in items:
        if not look(item):
            return False
    return name_items(items)


def _is_key(text: str) -> bool:
    return len(text) <= KEY_CHARACTERS_MAX and text.isprintable()


def _is_set(texts: tuple[str, ...]) -> bool:
    for text in texts:
        if not text or not _is_key(text):
            return False
    return len(texts) == 1 or len(set(texts)) == len(texts)


def _reference(part: Reference) -> bool:
    return _is_key(part.id) and (part.value is None or _is_key(part.value))


def _address(part: Address) -> bool:
    return (
        (part.country is None or part.country in COUNTRIES)
        and (part.unlocode is None or _is_unlocode(part.unlocode) is not None)
        and (part.gln is None or is_gln(part.gln))
        and (part.latitude is None or -90 <= part.latitude <= 90)
        and (part.longitude is None or -180 <= part.longitude <= 180)
        and (part.time_zone is None or part.time_zone in TIME_ZONES)
        and part != NO_ADDRESS
    )


def _party(part: Party) -> bool:
    return (
        (part.gln is None or is_gln(part.gln))
        and (part.address is None or _address(part.address))
        and (part.contact is None or part.contact != NO_CONTACT)
        and part != NO_PARTY
    )


def _parties(part: Parties) -> bool:
    return (
        (part.shipper is None or _party(part.shipper))
        and (part.consignor is None or _party(part.consignor))
        and (part.consignee is None or _party(part.consignee))
        and (part.notify is None or _party(part.notify))
        and (part.freight_payer is None or _party(part.freight_payer))
        and (part.carrier is None or _party(part.carrier))
        and (part.subcontractor is None or _party(part.subcontractor))
        and (part.forwarder is None or _party(part.forwarder))
        and part != NO_PARTIES
    )


def _window(part: Window) -> bool:
    return (
        (part.from_ is None or _is_wall_clock(part.from_) is not None)
        and (part.to is None or _is_wall_clock(part.to) is not None)
        and (part.time_zone is None or part.time_zone in TIME_ZONES)
        and part != NO_WINDOW
    )


def _stop(part: Stop) -> bool:
    return (
        _is_key(part.id)
        and (part.address is None or _address(part.address))
        and (part.window is None or _window(part.window))
        and (part.requested is None or part.requested.tzinfo is UTC)
        and (part.planned is None or part.planned.tzinfo is UTC)
        and (part.estimated is None or part.estimated.tzinfo is UTC)
        and (part.actual is None or part.actual.tzinfo is UTC)
    )


def _unit(part: HandlingUnit) -> bool:
    return (
        _is_key(part.id)
        and (part.sscc is None or is_sscc(part.sscc))
        and (part.tracking_number is None or _is_key(part.tracking_number))
        and (part.parent_id is None or _is_key(part.parent_id))
        # A container has a rule of its own.
        and (part.kind is None or (_is_unit_kind(part.kind) is not None and not is_container_kind(part.kind)))
        and (part.quantity is None or 0 <= part.quantity <= COUNT_MAX)
        and (part.gross_weight_kg is None or _is_measure(part.gross_weight_kg) is not None)
        and (part.length_cm is None or _is_measure(part.length_cm) is not None)
        and (part.width_cm is None or _is_measure(part.width_cm) is not None)
        and (part.height_cm is None or _is_measure(part.height_cm) is not None)
        and (part.volume_m3 is None or _is_measure(part.volume_m3) is not None)
        and (part.loading_metres is None or _is_measure(part.loading_metres) is not None)
    )


def _money(part: Money) -> bool:
    return (
        (part.amount is None or _is_decimal(part.amount) is not None)
        and (part.currency is None or part.currency in CURRENCIES)
        and part != NO_MONEY
    )


def _goods(part: Goods) -> bool:
    return (
        _is_key(part.id)
        and (part.handling_unit_id is None or _is_key(part.handling_unit_id))
        and (part.origin_country is None or part.origin_country in COUNTRIES)
        and (part.quantity is None or _is_measure(part.quantity) is not None)
        and (part.net_weight_kg is None or _is_measure(part.net_weight_kg) is not None)
        and (part.value is None or _money(part.value))
    )


def _dangerous_goods(part: DangerousGoods) -> bool:
    return _is_key(part.id) and (part.handling_unit_id is None or _is_key(part.handling_unit_id))


def _temperature(part: Temperature) -> bool:
    return (
        (part.min_c is None or _is_decimal(part.min_c) is not None)
        and (part.max_c is None or _is_decimal(part.max_c) is not None)
        and part != NO_TEMPERATURE
    )


def _terms(part: Terms) -> bool:
    return (
        (part.incoterm is None or part.incoterm != NO_INCOTERM)
        and (not part.services or _is_set(part.services))
        and (part.goods_value is None or _money(part.goods_value))
        and part != NO_TERMS
    )


def _carrier(part: Carrier) -> bool:
    return (
        (part.id is None or _is_key(part.id))
        and (part.name is None or _is_key(part.name))
        and (part.service is None or part.service != NO_SERVICE)
        and part != NO_CARRIER
    )


def _number(part: TrackingNumber) -> bool:
    return (
        _is_key(part.id)
        and (part.value is None or _is_key(part.value))
        and (part.carrier is None or _is_key(part.carrier))
        and (part.active_from is None or part.active_from.tzinfo is UTC)
    )


def _tracking(part: Tracking) -> bool:
    return (not part.tracking_numbers or _all(_number, part.tracking_numbers)) and part != NO_TRACKING


def _document(part: Document) -> bool:
    return _is_key(part.id) and (part.size_bytes is None or 0 <= part.size_bytes <= COUNT_MAX)


def _charge(part: Charge) -> bool:
    return (
        _is_key(part.id)
        and (part.amount is None or _is_decimal(part.amount) is not None)
        and (part.currency is None or part.currency in CURRENCIES)
    )


def _price(part: Price) -> bool:
    return (
        _is_key(part.id)
        and (part.amount is None or _is_decimal(part.amount) is not None)
        and (part.currency is None or part.currency in CURRENCIES)
        and (not part.charges or _all(_charge, part.charges))
    )


def _eta(part: Eta) -> bool:
    # One that says only a window has a rule of its own.
    return (
        (part.at is not None or part.date is not None)
        and (part.at is None or part.at.tzinfo is UTC)
        and (part.window is None or _window(part.window))
    )
