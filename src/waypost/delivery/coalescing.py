"""Which events are folded while an endpoint is behind: into the newest of their type of one shipment.

Only what was never tried is folded, so what the receiver may have seen stands. How the bytes are folded is told in
`waypost.events.folding`.
"""

from collections.abc import Iterable

from waypost.delivery.parcels import Delivery
from waypost.events.folding import FOLDABLE


class Coalescer:
    """Knows the deliveries that may be folded with each other. Does nothing while it is not `active`."""

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self._families: dict[tuple[str, str], list[Delivery]] = {}

    def switch(self, deliveries: Iterable[Delivery], *, active: bool) -> None:
        """Begin with these deliveries, in log order, or cease."""
        if active == self.active:
            return
        self.active = active
        self._families.clear()
        for delivery in deliveries:
            delivery.family = None
            self.add(delivery)

    def add(self, delivery: Delivery) -> None:
        """Let a delivery be folded with others that come."""
        if self.active and delivery.type in FOLDABLE:
            delivery.family = (delivery.subject, delivery.type)
            self._families.setdefault(delivery.family, []).append(delivery)

    def forget(self, delivery: Delivery) -> None:
        """Let it be folded no more: it goes out, or has gone."""
        if delivery.family is None:
            return
        family = self._families.get(delivery.family)
        if family is not None:
            family[:] = [other for other in family if other is not delivery]
            if not family:
                del self._families[delivery.family]
        delivery.family = None

    def fold(self, delivery: Delivery) -> tuple[list[Delivery], Delivery] | None:
        """Fold `delivery`, which is about to go out, and all untried ones of its family into the newest of them.

        Gives those that were folded, and the one that holds them now with what they held; None when it stands alone.
        """
        if delivery.family is None or not delivery.untried:
            return None
        family = sorted(other for other in self._families[delivery.family] if other.untried)
        *older, holder = family
        if not older:
            return None
        told = {position for other in family for position in other.folded} | {other.position for other in older}
        holder.folded = tuple(sorted(told))
        for other in older:
            self.forget(other)
        return older, holder
