from dataclasses import replace

from waypost.demo.check import LogEvent, ShopRecord, check
from waypost.demo.orders import ORDERS
from waypost.demo.story import ENDS, reference

STOCK = {"Wool blanket": 100, "Oak table": 100, "Reading lamp": 100, "Birch stool": 200}


def log() -> list[LogEvent]:
    """Two events for each shipment: stored, and moved to its end."""
    events = []
    for number, end in ENDS.items():
        for sequence, kind in enumerate(["shipment.created", f"shipment.status.{end}"], start=1):
            event_id = f"evt_{number}_{sequence}"
            events.append(LogEvent(event_id, kind, reference(number), sequence, len(events) + 1))
    return events


def shop() -> ShopRecord:
    """A shop that did everything right."""
    stock = dict(STOCK)
    for order in ORDERS:
        if ENDS[order.number] not in {"cancelled", "returned"}:
            stock[order.article] -= order.quantity
    ids = [event.id for event in log()]
    return ShopRecord(ids, ids, {reference(number): end for number, end in ENDS.items()}, stock)


def faults(record: ShopRecord, events: list[LogEvent] | None = None) -> tuple[str, ...]:
    return check(events or log(), [event.id for event in log()], record, STOCK).faults


def test_a_shop_that_did_everything_right_has_no_fault_and_four_lines_of_summary():
    result = check(log(), [event.id for event in log()], shop(), STOCK)
    assert result.faults == ()
    assert result.lines() == ["shipments 12", "events 24", "deliveries 24", "effects 24"]


def test_a_second_arrival_of_an_event_without_a_second_effect_is_no_fault():
    assert faults(replace(shop(), arrivals=[*shop().arrivals, "evt_1_1"])) == ()


def test_an_event_that_never_arrived_is_named():
    record = replace(shop(), arrivals=shop().arrivals[:-1])
    assert faults(record) == ("shipment.status.in_transit of SO-1012 (sequence 2) never arrived at the shop.",)


def test_an_effect_that_happened_twice_is_named():
    record = replace(shop(), effects=[*shop().effects, "evt_3_2"])
    assert faults(record) == ("shipment.status.delivered of SO-1003 (sequence 2) had 2 effects at the shop, not 1.",)


def test_an_effect_that_did_not_happen_is_named():
    record = replace(shop(), effects=shop().effects[1:])
    assert faults(record) == ("shipment.created of SO-1001 (sequence 1) had 0 effects at the shop, not 1.",)


def test_an_event_that_overtook_another_of_its_shipment_is_named():
    first, second, *rest = shop().arrivals
    record = replace(shop(), arrivals=[second, first, *rest])
    assert faults(record) == ("shipment.created of SO-1001 (sequence 1) arrived after sequence 2 of SO-1001.",)


def test_an_event_that_the_log_does_not_know_is_named():
    record = replace(shop(), arrivals=[*shop().arrivals, "evt_stranger"])
    assert faults(record) == ("evt_stranger arrived at the shop and is not in the log.",)


def test_a_gap_in_the_sequence_of_a_shipment_is_named():
    gap = [replace_sequence(event) if event.id == "evt_2_2" else event for event in log()]
    assert faults(shop(), gap) == ("The events of SO-1002 are numbered [1, 3], not from 1 without a gap.",)


def replace_sequence(event: LogEvent) -> LogEvent:
    return LogEvent(event.id, event.type, event.reference, 3, event.position)


def test_a_delivery_that_the_service_does_not_know_of_is_named():
    result = check(log(), [event.id for event in log()][1:], shop(), STOCK)
    assert result.deliveries == 23
    assert result.faults == ("shipment.created of SO-1001 (sequence 1) is not recorded as delivered.",)


def test_an_order_in_another_state_and_a_wrong_stock_are_named():
    record = replace(shop(), orders=shop().orders | {"SO-1007": "returning"}, stock=shop().stock | {"Oak table": 7})
    assert faults(record) == (
        "The shop has SO-1007 as returning, not as returned.",
        "The shop has 7 × Oak table in stock, not 93.",
    )
