"""Documents and scans drawn at random: small, so that equal and near-equal ones are common."""

from typing import Any

from hypothesis import strategies as st

from shipments.builders import at, carrier_scan
from waypost.shipments.standing import LIFECYCLE

TEXT = st.sampled_from(["a", "b", "c/d", "e~f", "ö"])
MEASURE = st.sampled_from(["1", "1.0", "2", "2.50", "10", "10.00"])
SET = st.lists(TEXT, max_size=3)


def some_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these fields, some of which are null."""
    return st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in fields.items()})


def items(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A list of items with different ids."""
    item = st.fixed_dictionaries({"id": st.sampled_from("xyz")}, optional={n: st.none() | v for n, v in fields.items()})
    return st.lists(item, max_size=3, unique_by=lambda one: one["id"])


ADDRESS = some_of(lines=st.lists(TEXT, max_size=2), city=TEXT, country=st.sampled_from(["EE", "IS"]))
PARTY = some_of(name=TEXT, address=ADDRESS, contact=some_of(phone=TEXT))
MONEY = some_of(amount=MEASURE, currency=st.sampled_from(["EUR", "ISK"]))
INSTANT = st.integers(0, 3).map(lambda days: at(24 * days).isoformat())

DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "tags": SET,
        "is_return": st.booleans(),
        "references": items(type=st.sampled_from(["bol", "asn"]), value=TEXT),
        "parties": some_of(shipper=PARTY, consignee=PARTY),
        "stops": items(kind=TEXT, address=ADDRESS, window=some_of(to=st.just("12:00")), planned=INSTANT),
        "handling_units": items(kind=st.just("EUR"), gross_weight_kg=MEASURE, stackable=st.booleans()),
        "goods": items(description=TEXT, value=MONEY, quantity=MEASURE),
        "temperature": some_of(min_c=MEASURE),
        "terms": some_of(services=SET, incoterm=some_of(place=TEXT), goods_value=MONEY),
        "carrier": some_of(name=TEXT, service=some_of(id=TEXT)),
        "tracking": some_of(tracking_numbers=items(value=TEXT), tracking_url=TEXT),
        "documents": items(kind=st.sampled_from(["pod", "cmr"]), url=TEXT),
        "prices": items(amount=MEASURE, charges=items(amount=MEASURE)),
        "eta": st.none() | st.fixed_dictionaries({"at": INSTANT}),
    },
)

# Half of the scans are of one unit, many fall together in one moment, and some take the place of another.
SCANS = st.lists(
    st.builds(
        lambda number, status, hours, unit, kind, condition, other: {
            "id": f"s{number}",
            "status": status,
            "occurred_at": at(hours).isoformat(),
            "handling_unit_id": unit,
            "kind": kind,
            "condition": condition,
            "supersedes": other and f"s{other}",
        },
        st.integers(1, 12),
        st.sampled_from(LIFECYCLE),
        st.integers(-5, 4),
        st.sampled_from([None, None, "x", "y"]),
        st.sampled_from(["scan", "scan", "scan", "manual"]),
        st.sampled_from([None, None, "ok", "delayed", "exception"]),
        st.sampled_from([None, None, None, *range(1, 13)]),
    ),
    max_size=7,
    unique_by=lambda scan: scan["id"],
)

# A carrier sends versions of one event, takes events back, and guesses the zone of those that it gives no id.
CARRIER_SCANS = st.lists(
    st.one_of(
        st.builds(
            lambda name, version, status, hours, retracted: carrier_scan(
                status, hours, id=name, updated_at=at(version), retracted=retracted
            ),
            st.sampled_from(["e1", "e2"]),
            st.integers(-20, -10),
            st.sampled_from(LIFECYCLE),
            st.integers(-5, 1),
            st.booleans(),
        ),
        st.builds(
            lambda status, hour, zone: carrier_scan(
                status, occurred_local=f"2026-12-01T{hour:02}:00:00", time_zone=zone[0], zone_source=zone[1]
            ),
            st.sampled_from(["collected", "in_transit", "delivered"]),
            st.integers(6, 9),
            st.sampled_from(
                [
                    ("Europe/Tallinn", "given"),
                    ("Europe/Stockholm", "given"),
                    (None, "given"),
                    ("Atlantic/Reykjavik", "location"),
                    ("UTC", "assumed"),
                    ("UTC", "account"),
                ]
            ),
        ),
    ),
    max_size=7,
    unique_by=lambda scan: (
        (scan.id, scan.updated_at, scan.status, scan.occurred_local, scan.zone_source, scan.time_zone)
        if scan.id is None
        else (scan.id, scan.updated_at)
    ),
)
