"""The shipments that the benchmarks put: alike in size, each with numbers of its own."""

import msgspec

SHIPMENT_EVENTS = 2  # of a first document: shipment.created, shipment.status.booked
EVENT_BYTES = 1500  # what the body of an event should weigh

_encode = msgspec.json.Encoder().encode


def purchase_order(number: int) -> str:
    """The number of the order that the shipment fulfils; they count up."""
    return f"PO-{number:08}"


def tracking_number(number: int) -> str:
    """The carrier's number. They come in no order, as if it had many customers, so their index grows inside."""
    return f"NRSU-{number * 2_654_435_761 % 2**32:010}"  # Knuth's multiplier scatters; it never gives a number twice


def document(number: int, padding: int = 0) -> dict[str, object]:
    """Give a shipment of one pallet. `padding` characters of marks bring its events to the size wanted."""
    unit = {"id": "hu_1", "kind": "EUR", "quantity": 1, "gross_weight_kg": "184", "marks": "x" * padding or None}
    return {
        "references": [{"type": "purchase_order", "value": purchase_order(number)}],
        "handling_units": [unit],
        "carrier": {"id": "norrsund"},
        "tracking": {"tracking_numbers": [{"value": tracking_number(number), "carrier": "norrsund"}]},
    }


def put_body(number: int, padding: int) -> bytes:
    """The document as a PUT carries it."""
    return _encode(document(number, padding))


def bulk_lines(prefix: str, numbers: range, padding: int) -> bytes:
    """The documents as NDJSON, with the references `prefix` + number."""
    lines = [_encode({"reference": f"{prefix}{number}", **document(number, padding)}) for number in numbers]
    return b"\n".join(lines) + b"\n"
