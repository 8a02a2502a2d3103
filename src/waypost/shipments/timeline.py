"""A shipment's history, and how another scan comes into it: once, in its place, whatever order scans arrive in."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from waypost.shipments.model import Status, TrackingEvent, ZoneSource
from waypost.shipments.scans import Scan
from waypost.shipments.standing import NOTHING, Fold, Tally, order_of
from waypost.shipments.state import Standing

# The better source of a zone wins when two reports of one scan guessed differently. Of two equal ones the first stays:
# what was given is no guess, and one kind of guess gives one zone for one place.
_ZONE_DOUBT: Mapping[ZoneSource, int] = {"given": 0, "location": 1, "account": 2, "assumed": 3}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A new event. `late` says that a newer one was known."""

    event: TrackingEvent
    late: bool


@dataclass(frozen=True, slots=True)
class Corrected:
    """A later version of an event, or another event that takes its place."""

    old: TrackingEvent
    new: TrackingEvent


@dataclass(frozen=True, slots=True)
class Retracted:
    """An event was taken back; `old` is None when it had never arrived."""

    old: TrackingEvent | None


Effect = Recorded | Corrected | Retracted


class Timeline:
    """The tracking events of one shipment, in the order in which they happened."""

    def __init__(
        self,
        events: Iterable[TrackingEvent],
        *,
        units: Iterable[str],
        is_return: bool,
        created_at: dt.datetime,
        source_updates: Mapping[str, dt.datetime],
        twins: Mapping[str, str],
        received: int,
    ) -> None:
        self.events = list(events)
        self.source_updates = dict(source_updates)
        self.twins = dict(twins)
        self.received = received
        self._document_units = frozenset(units)
        self._is_return = is_return
        self._created_at = created_at
        self._by_id = {event.id: event for event in self.events}
        self._replaced = replaced_events(self.events) if self.events else frozenset()
        # What the fold knew after each event: one that comes late changes little of it.
        self._tallies: list[Tally] = [NOTHING] * len(self.events)
        self._units = self._units_named()
        self._fold = Fold(self._units, is_return=is_return)
        self._fold_from(0)

    @property
    def tally(self) -> Tally:
        """What the fold knows after all events."""
        return self._tallies[-1] if self._tallies else NOTHING

    @property
    def standing(self) -> Standing:
        """Where the shipment stands."""
        return self.tally.standing(self._created_at)

    @property
    def units_count(self) -> int:
        """How many units the shipment has, as its document or else its scans name them."""
        return len(self._units)

    def unit_status(self, unit: str) -> Status:
        """Give the status of one unit."""
        return self.tally.unit_status(unit)

    def counts(self, event: TrackingEvent) -> bool:
        """Tell whether an event takes part in the status: actual, valid, and not far in the future."""
        return event.classifier == "actual" and "future" not in event.flags and self.is_valid(event)

    def is_valid(self, event: TrackingEvent) -> bool:
        """Tell whether an event was neither taken back nor replaced by another."""
        return not event.retracted and event.id not in self._replaced

    def newest(self) -> dt.datetime | None:
        """Give the time of the newest event that counts."""
        return next((event.occurred_at for event in reversed(self.events) if self.counts(event)), None)

    def take(self, scan: Scan) -> Effect | None:
        """Take a scan in; None when it says nothing new.

        The same scan again does nothing. A later version by the source's own time replaces; a retraction removes; one
        that differs from a known scan only by a guessed zone is that scan, and the more trusted zone stays. How the
        same moment is written is no difference: with or without a zone, in this zone or that.
        """
        known = self._known(scan)
        if known is None:
            return self._add(scan)
        if scan.own_id or scan.event.retracted:
            return self._take_again(known, scan)
        if _ZONE_DOUBT[scan.event.zone_source] < _ZONE_DOUBT[known.zone_source]:
            return self._take_better_zone(known, scan)
        return self._take_in_another_zone(known, scan)

    def _known(self, scan: Scan) -> TrackingEvent | None:
        event_id = scan.event.id
        if event_id in self._by_id or scan.own_id or scan.wall_id is None:
            return self._by_id.get(event_id)
        if scan.event.zone_source == "given":
            return self._by_id.get(scan.wall_id)
        return self._by_id.get(self.twins.get(scan.wall_id, ""))

    def _add(self, scan: Scan) -> Effect:
        self.received += 1
        event = msgspec.structs.replace(scan.event, sequence=self.received)
        self._note(scan, event)
        old = self._by_id.get(event.supersedes) if event.supersedes and not event.retracted else None
        newest = self.newest()
        self._insert(event)
        if event.retracted:
            return Retracted(None)
        if old is not None and old.id != event.id:
            return Corrected(old, event)
        late = newest is not None and event.classifier == "actual" and event.occurred_at < newest
        return Recorded(event, late)

    def _take_again(self, known: TrackingEvent, scan: Scan) -> Effect | None:
        before, now = self.source_updates.get(known.id), scan.updated_at
        # What was taken back at an unknown time stays so: its first version may only have been slower.
        is_later = now is not None and (now > before if before is not None else not known.retracted)
        takes_back = scan.event.retracted and not known.retracted and now is None
        if not is_later and not takes_back:
            return None
        event = msgspec.structs.replace(scan.event, sequence=known.sequence)
        if event.retracted:
            event = msgspec.structs.replace(known, retracted=True)
        self._note(scan, event)
        if not event.retracted and _same_but_for_arrival(known, event):
            return None
        self._replace(known, event)
        return Corrected(known, event) if not event.retracted else Retracted(None if known.retracted else known)

    def _take_better_zone(self, known: TrackingEvent, scan: Scan) -> Effect | None:
        event = msgspec.structs.replace(scan.event, sequence=known.sequence)
        self._note(scan, event)
        self._replace(known, event)
        return Corrected(known, event)

    def _take_in_another_zone(self, known: TrackingEvent, scan: Scan) -> Effect | None:
        """Learn that a known moment is also written by this clock on the wall; a guess about that clock is answered."""
        if scan.event.zone_source != "given" or scan.wall_id is None:
            return None
        self._note(scan, known)
        guess = self._by_id.get(scan.wall_id)
        if guess is None:
            return None
        self._remove(guess)
        self._fold_anew()
        return Corrected(guess, known)

    def _note(self, scan: Scan, event: TrackingEvent) -> None:
        if scan.updated_at is not None:
            self.source_updates[event.id] = scan.updated_at
        if scan.wall_id is not None and scan.wall_id != event.id:
            self.twins[scan.wall_id] = event.id

    def _insert(self, event: TrackingEvent) -> None:
        place = self._put_in(event)
        unit = event.handling_unit_id
        names_unit = unit is not None and not self._document_units and unit not in self._units
        old = self._by_id.get(event.supersedes) if event.supersedes != event.id and event.supersedes else None
        drops_unit = old is not None and old.handling_unit_id is not None and not self._document_units
        if event.retracted or names_unit or drops_unit:
            self._fold_anew()
            return
        if event.supersedes and event.supersedes != event.id:
            self._replaced |= {event.supersedes}
        places = [place] if old is None else [place, self._place_of(old)]
        self._fold_from(min(places), differing_to=max(places))

    def _replace(self, old: TrackingEvent, new: TrackingEvent) -> None:
        self._remove(old)
        self._put_in(new)
        self._fold_anew()

    def _remove(self, event: TrackingEvent) -> None:
        place = self._place_of(event)
        del self.events[place], self._tallies[place], self._by_id[event.id]

    def _put_in(self, event: TrackingEvent) -> int:
        place = bisect_right(self.events, order_of(event), key=order_of)
        self.events.insert(place, event)
        self._tallies.insert(place, NOTHING)
        self._by_id[event.id] = event
        return place

    def _place_of(self, event: TrackingEvent) -> int:
        place = bisect_right(self.events, order_of(event), key=order_of) - 1
        assert self.events[place].id == event.id, (event, self.events[place])
        return place

    def _fold_anew(self) -> None:
        self._replaced = replaced_events(self.events)
        self._units = self._units_named()
        self._fold = Fold(self._units, is_return=self._is_return)
        self._fold_from(0)

    def _fold_from(self, first: int, *, differing_to: int | None = None) -> None:
        """Fold the events from `first` on.

        Past `differing_to` the events are those of before: where the fold knows what it knew there, the rest stays.
        None means that nothing is known to be as before.
        """
        tally = self._tallies[first - 1] if first else NOTHING
        step, counts, tallies = self._fold.step, self.counts, self._tallies
        for place in range(first, len(self.events)):
            event = self.events[place]
            if counts(event):
                tally = step(tally, event)
            if differing_to is not None and place > differing_to and tally == tallies[place]:
                return
            tallies[place] = tally

    def _units_named(self) -> frozenset[str]:
        if self._document_units:
            return self._document_units
        # A shipment known only from scans has the units that its scans name.
        return frozenset(e.handling_unit_id for e in self.events if e.handling_unit_id and self.is_valid(e))


def replaced_events(events: Iterable[TrackingEvent]) -> frozenset[str]:
    """Give the ids of the events that others have replaced."""
    return frozenset(
        event.supersedes
        for event in events
        if event.supersedes and not event.retracted and event.supersedes != event.id
    )


def _same_but_for_arrival(one: TrackingEvent, other: TrackingEvent) -> bool:
    return one == msgspec.structs.replace(other, received_at=one.received_at, source=one.source)
