"""Checks that what the service told and what the shop did are the same, exactly once and in order.

It compares the service's log with the shop's own database and knows neither's code: which events have an effect, and
what the orders must look like in the end, is said here once more.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from waypost.demo.orders import ORDERS
from waypost.demo.story import ENDS, reference

FAULTS_SHOWN_MAX = 20
# Types whose arrival changes nothing at the shop; every other type that it is sent does.
WITHOUT_EFFECT = ("tracking.", "handling_unit.", "shipment.status.booked")


class LogEvent(msgspec.Struct, frozen=True):
    """An event of the service's log."""

    id: str
    type: str
    reference: str
    sequence: int
    position: int


@dataclass(frozen=True, slots=True)
class ShopRecord:
    """What the shop wrote down: arrivals in order, (event id, what was done), the orders' states, the stock."""

    arrivals: Sequence[str]
    effects: Sequence[str]
    orders: Mapping[str, str]
    stock: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Result:
    """The summary, and what is wrong, a sentence each; nothing is wrong when `faults` is empty."""

    shipments: int
    events: int
    deliveries: int
    effects: int
    faults: tuple[str, ...]

    def lines(self) -> list[str]:
        """The summary, one line each."""
        return [
            f"shipments {self.shipments}",
            f"events {self.events}",
            f"deliveries {self.deliveries}",
            f"effects {self.effects}",
        ]


def check(
    events: Sequence[LogEvent], delivered: Iterable[str], shop: ShopRecord, stock_before: Mapping[str, int]
) -> Result:
    """Compare one round of the story. `events` are those owed to the shop, `delivered` the ids the service settled."""
    settled = set(delivered) & {event.id for event in events}
    faults = [
        *_gaps(events),
        *_not_delivered(events, settled),
        *_not_arrived(events, shop),
        *_out_of_order(events, shop),
        *_wrong_effects(events, shop),
        *_wrong_orders(shop),
        *_wrong_stock(shop, stock_before),
    ]
    shipments = len({event.reference for event in events})
    return Result(shipments, len(events), len(settled), len(shop.effects), tuple(faults))


def has_effect(event_type: str) -> bool:
    """Whether the shop does something when an event of this type arrives."""
    return not event_type.startswith(WITHOUT_EFFECT)


def _gaps(events: Sequence[LogEvent]) -> Iterable[str]:
    sequences: dict[str, list[int]] = defaultdict(list)
    for event in events:
        sequences[event.reference].append(event.sequence)
    for name, found in sequences.items():
        if found != list(range(1, len(found) + 1)):
            yield f"The events of {name} are numbered {found}, not from 1 without a gap."
    if any(after.position <= before.position for before, after in pairwise(events)):
        yield "The log is not in the order of its positions."


def _not_delivered(events: Sequence[LogEvent], settled: set[str]) -> Iterable[str]:
    return (f"{_name(event)} is not recorded as delivered." for event in events if event.id not in settled)


def _not_arrived(events: Sequence[LogEvent], shop: ShopRecord) -> Iterable[str]:
    arrived, known = set(shop.arrivals), {event.id for event in events}
    yield from (f"{_name(event)} never arrived at the shop." for event in events if event.id not in arrived)
    yield from (f"{event_id} arrived at the shop and is not in the log." for event_id in sorted(arrived - known))


def _out_of_order(events: Sequence[LogEvent], shop: ShopRecord) -> Iterable[str]:
    by_id = {event.id: event for event in events}
    last: dict[str, int] = {}
    for event_id in dict.fromkeys(shop.arrivals):  # first arrivals, in order
        event = by_id.get(event_id)
        if event is None:
            continue
        if event.sequence < last.get(event.reference, 0):
            yield f"{_name(event)} arrived after sequence {last[event.reference]} of {event.reference}."
        last[event.reference] = event.sequence


def _wrong_effects(events: Sequence[LogEvent], shop: ShopRecord) -> Iterable[str]:
    done = Counter(shop.effects)
    for event in events:
        wanted = 1 if has_effect(event.type) else 0
        if done[event.id] != wanted:
            yield f"{_name(event)} had {done[event.id]} effects at the shop, not {wanted}."


def _wrong_orders(shop: ShopRecord) -> Iterable[str]:
    for number, state in ENDS.items():
        name = reference(number)
        if shop.orders.get(name) != state:
            yield f"The shop has {name} as {shop.orders.get(name, 'unknown')}, not as {state}."


def _wrong_stock(shop: ShopRecord, stock_before: Mapping[str, int]) -> Iterable[str]:
    expected = Counter(stock_before)
    for order in ORDERS:
        if ENDS[order.number] not in {"cancelled", "returned"}:
            expected[order.article] -= order.quantity
    for article, pieces in expected.items():
        if shop.stock.get(article) != pieces:
            yield f"The shop has {shop.stock.get(article)} × {article} in stock, not {pieces}."


def _name(event: LogEvent) -> str:
    return f"{event.type} of {event.reference} (sequence {event.sequence})"
