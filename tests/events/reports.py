"""Random reports about one shipment, for properties of the events that follow from them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from waypost.events.kinds import CONDITIONS, STATUSES
from waypost.shipments.facts import Actor
from waypost.shipments.model import CarrierScan, Document, Eta
from waypost.shipments.reading import read_document, read_tracking_events
from waypost.shipments.report import (
    CancelReport,
    CarrierReport,
    DocumentReport,
    EraseReport,
    PatchReport,
    Report,
    TrackingReport,
)

DAY_ONE = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
ACTOR = Actor(kind="api", token="tms")

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text
)
decimals = st.decimals(0, 9999, places=2).map(str)
countries = st.sampled_from(["EE", "IS", "NO"])
instants = st.integers(0, 20 * 24 * 60).map(lambda minutes: DAY_ONE + timedelta(minutes=minutes))
unit_ids = st.sampled_from(["hu_1", "hu_2", "hu_3"])
money = st.fixed_dictionaries({"amount": decimals, "currency": st.sampled_from(["EUR", "ISK"])})


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def items(ids: st.SearchStrategy[str], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A list of items with different ids and any of these fields."""
    item = st.fixed_dictionaries({"id": ids}, optional=fields)
    return st.lists(item, max_size=3, unique_by=lambda given: given["id"])


addresses = some(lines=st.lists(texts, max_size=2), city=texts, country=countries)
parties = some(name=texts, address=addresses, contact=some(name=texts, email=texts))
documents = some(
    status=st.sampled_from(["draft", "booked", "in_transit", "delivered"]),
    tags=st.lists(texts, max_size=2),
    is_return=st.booleans(),
    references=items(st.sampled_from(["po", "cmr"]), type=st.sampled_from(["purchase_order", "other"]), value=texts),
    parties=some(shipper=parties, consignee=parties),
    stops=items(
        st.sampled_from(["pickup", "delivery"]),
        kind=st.sampled_from(["pickup", "delivery"]),
        address=addresses,
        planned=instants.map(datetime.isoformat),
    ),
    handling_units=items(
        unit_ids, kind=st.sampled_from(["EUR", "CTN"]), quantity=st.integers(0, 99), gross_weight_kg=decimals
    ),
    goods=items(st.sampled_from(["g_1", "g_2"]), description=texts, quantity=decimals, value=money),
    dangerous_goods=items(st.just("dg_1"), un_number=st.just("1950"), **{"class": st.just("2.1")}),
    temperature=st.fixed_dictionaries({"min_c": st.just("-18"), "max_c": st.just("-15")}),
    terms=some(
        incoterm=st.just({"code": "DAP", "place": "Reykjavík"}), services=st.lists(texts, max_size=2), goods_value=money
    ),
    carrier=some(id=st.just("norrsund"), name=texts, mode=st.just("road")),
    documents=items(st.sampled_from(["d_1", "d_2"]), kind=st.just("label"), url=st.just("https://tms.example/1")),
    prices=items(st.just("p_1"), kind=st.just("booked"), amount=decimals, currency=st.just("EUR")),
    eta=st.fixed_dictionaries({"at": instants.map(datetime.isoformat), "source": st.just("carrier")}),
)
scans = st.fixed_dictionaries(
    {
        "id": st.sampled_from([f"scan-{number}" for number in range(6)]),
        "status": st.sampled_from(STATUSES),
        "occurred_at": instants,
    },
    optional={
        "condition": st.sampled_from(CONDITIONS),
        "reason": st.sampled_from(["weather", "damaged", "other"]),
        "handling_unit_id": unit_ids,
        "location": some(name=texts, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180)),
        "carrier_text": texts,
        "classifier": st.sampled_from(["actual", "estimated"]),
    },
)


def _carrier_report(scan: dict[str, Any], minutes: int, retracted: bool) -> Report:
    said = msgspec.convert(scan, CarrierScan)
    said = msgspec.structs.replace(said, updated_at=DAY_ONE + timedelta(minutes=minutes), retracted=retracted)
    return CarrierReport(
        carrier="norrsund",
        tracking_number="NRSU-1",
        events=(said,),
        eta=Eta(at=DAY_ONE + timedelta(minutes=minutes), source="carrier"),
        documents=(Document(id=f"d_{minutes % 3}", kind="pod", url="https://carrier.example/pod"),),
        tracking_url="https://carrier.example/NRSU-1",
        actor=ACTOR,
    )


reports: st.SearchStrategy[Report] = st.one_of(
    documents.map(lambda said: DocumentReport(document=read_document(msgspec.json.encode(said)), actor=ACTOR)),
    documents.map(lambda said: PatchReport(patch=said, actor=ACTOR)),
    st.lists(scans, min_size=1, max_size=3).map(
        lambda said: TrackingReport(events=tuple(read_tracking_events(msgspec.json.encode(said))), actor=ACTOR)
    ),
    st.builds(_carrier_report, scans, st.integers(0, 20_000), st.booleans()),
    st.builds(CancelReport, reason=st.none() | texts, actor=st.just(ACTOR)),
    st.builds(EraseReport),
)
