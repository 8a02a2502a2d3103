"""A report being applied: what is known, what the report changes of it, and the facts told so far."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, assert_never

import msgspec

from waypost.shipments import eta as etas
from waypost.shipments.changes import diff, groups, reconcile
from waypost.shipments.erase import blank_scan
from waypost.shipments.facts import (
    Actor,
    ConditionChanged,
    DetailsChanged,
    DocumentAdded,
    EtaChanged,
    Fact,
    Progress,
    ShipmentCreated,
    StatusChanged,
    TrackingEventCorrected,
    TrackingEventRecorded,
    TrackingEventRetracted,
    UnitStatusChanged,
)
from waypost.shipments.model import (
    Carrier,
    Document,
    Eta,
    HandlingUnit,
    Reason,
    ShipmentDocument,
    Source,
    Status,
    TrackingEvent,
    TrackingEventInput,
    TrackingNumber,
)
from waypost.shipments.naming import natural_key
from waypost.shipments.scans import FUTURE_MAX, Scan, ScanContext, derived_id, read_scan
from waypost.shipments.state import (
    CarrierStatement,
    ShipmentState,
    carrier_key,
    shown_documents,
    tracked_unit,
    view,
)
from waypost.shipments.timeline import Corrected, Effect, Recorded, Retracted, Timeline

TELLING_KINDS = ("scan", "eta")  # a manual event or a paper is told by what follows from it
Speaker = Literal["document", "carrier"]
TICK = dt.timedelta(milliseconds=1)
DOCUMENT = Source(channel="api", format="waypost")
SHOWN = ("document", "carrier", "tracking_events", "standing", "eta")  # a difference here is a new version

# The order in which the facts of one report, or of one scan in it, go out.
FACT_ORDER: tuple[type[Fact], ...] = (
    ShipmentCreated,
    TrackingEventRecorded,
    TrackingEventCorrected,
    TrackingEventRetracted,
    UnitStatusChanged,
    StatusChanged,
    DetailsChanged,
    ConditionChanged,
    EtaChanged,
    DocumentAdded,
)
_PLACE = {fact: place for place, fact in enumerate(FACT_ORDER)}


class Working:
    """One report on its way into one shipment.

    `take_…` changes what is known, `tell_…` adds the facts that follow since the last telling; `finished` gives the
    new state, or the old one itself when nothing changed. Each scan begins facts of its own, which go out before those
    of the next.
    """

    def __init__(self, before: ShipmentState, *, now: dt.datetime, is_new: bool, eta_threshold_minutes: int) -> None:
        self.before = before
        self.is_new = is_new
        self._now = now
        self._eta_threshold_minutes = eta_threshold_minutes
        self._state = before
        self._facts: list[list[Fact]] = [[]]
        self._timeline: Timeline | None = None
        self._taken: TrackingEvent | None = None
        self._told = before.standing
        self._told_status: Status | None = None if is_new else before.standing.status

    def take_document(self, document: ShipmentDocument) -> None:
        """Take what a document says in place of what documents said before."""
        old = self._state.document
        said = msgspec.structs.replace(document, revision=None, status=None, status_at=None)
        details = said if self.is_new else reconcile(old, said)
        if details is not old:
            self._set(document=details)
            if _unit_ids(details) != _unit_ids(old) or details.is_return is not old.is_return:
                self._timeline = None
                if self._state.tracking_events:
                    self._refresh()
            if details.eta != old.eta:
                # What a document repeats is no new statement: a carrier's later one stands.
                self._restate_eta(by="document" if details.eta is not None else self._state.eta_by)
        self._take_document_status(document.status, document.status_at)

    def take_manual(
        self,
        status: Status,
        *,
        at: dt.datetime | None,
        source: Source,
        reason: Reason | None = None,
        text: str | None = None,
    ) -> None:
        """Take a status that a person states; `at` None means now, after everything that is known."""
        moment = at or self._after_all_known()
        event = TrackingEvent(
            id=derived_id("manual", status, moment, self._history.received),
            kind="manual",
            status=status,
            reason=reason,
            carrier_text=text,
            occurred_at=moment,
            received_at=self._now,
            sequence=0,
            source=source,
            flags=("future",) if moment > self._now + FUTURE_MAX else (),
        )
        self._take(Scan(event, own_id=True, wall_id=None, updated_at=None))

    def take_scans(
        self,
        given: Sequence[TrackingEventInput],
        source: Source,
        *,
        carrier: str | None = None,
        tracking_number: str | None = None,
    ) -> None:
        """Take scans in the order in which they happened, and tell of each by itself."""
        context = ScanContext(self._now, source, carrier, tracking_number)
        units = _unit_names(self._state.document.handling_units)
        scans = [read_scan(event, context, units) for event in given]
        if self.before.erased_at is not None:
            # Only now: what a scan is known by must be the same as before the erasure.
            scans = [replace(scan, event=blank_scan(scan.event)) for scan in scans]
        for scan in sorted(scans, key=lambda scan: scan.event.occurred_at):
            self._take_and_tell(scan)

    def take_statement(self, *, eta: Eta | None, documents: Sequence[Document], tracking_url: str | None) -> None:
        """Take what a carrier says besides its scans."""
        said = self._state.carrier
        if added := self._new_documents(documents):
            said = msgspec.structs.replace(said, documents=said.documents + added)
        if tracking_url and tracking_url != said.tracking_url:
            said = msgspec.structs.replace(said, tracking_url=tracking_url)
        is_new_eta = eta is not None and eta != said.eta
        if is_new_eta:
            said = msgspec.structs.replace(said, eta=eta, eta_stated_at=self._now)
        if said is not self._state.carrier:
            self._set(carrier=said)
        if is_new_eta:
            self._restate_eta(by="carrier")

    def create_for_carrier(self, carrier: str, tracking_number: str) -> None:
        """Begin a shipment that only a carrier has spoken of."""
        number = TrackingNumber(id=f"{tracking_number}:{carrier}", value=tracking_number, carrier=carrier, primary=True)
        named = Carrier(id=carrier_key(carrier) or None, name=carrier)
        self._set(carrier=CarrierStatement(carrier=named, tracking_numbers=(number,)))
        self._tell(ShipmentCreated(occurred_at=self._now))

    def announce_creation(self) -> None:
        """Tell that a document made the shipment: its ETA and papers are part of what was created."""
        self._tell(ShipmentCreated(occurred_at=self._now))
        if self._state.eta is not None:
            self._set(announced_eta=etas.plain(self._state.eta))
        if self._state.standing.status == "draft":
            self._set(seen=("draft",))
            self._told_status = "draft"
        self.tell_status()

    def tell_all(self, actor: Actor) -> None:
        """Tell of everything that a report changed besides its scans."""
        self.tell_status()
        self._tell_condition()
        self._tell_eta(None)
        if not self.is_new:
            self._tell_details(actor)
        self._tell_documents()

    def tell_status(self) -> None:
        """Tell of a status that is not the one told last; the first one of a shipment always is."""
        if self._state.standing.status != self._told_status:
            self._tell_status(self._history.tally.status_cause if self._state.tracking_events else None)

    def finished(self) -> tuple[ShipmentState, tuple[Fact, ...]]:
        """Give the new state and all facts, in the order in which their events go out."""
        before, state = self.before, self._state
        if self.is_new or any(getattr(before, name) != getattr(state, name) for name in SHOWN):
            state = msgspec.structs.replace(state, version=before.version + 1, updated_at=self._now)
        elif state == before:
            return before, ()
        return state, tuple(fact for facts in self._facts for fact in sorted(facts, key=_place))

    @property
    def _history(self) -> Timeline:
        """The history as it is now; made when first asked for, since most documents never need it."""
        if self._timeline is None:
            state = self._state
            self._timeline = Timeline(
                state.tracking_events,
                units=_unit_ids(state.document),
                is_return=state.document.is_return,
                created_at=state.created_at,
                source_updates=state.source_updates,
                twins=state.twins,
                received=state.events_received,
            )
        return self._timeline

    def _set(self, **changes: Any) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)

    def _tell(self, fact: Fact) -> None:
        self._facts[-1].append(fact)

    def _take_document_status(self, status: Status | None, status_at: dt.datetime | None) -> None:
        said, said_at = self._state.status_said, self._state.status_at_said
        if said is None and status in (None, "booked"):
            # "Booked" is where every shipment begins, so a first document that says it says no more than one that is
            # silent: only with its time is it an event. Else it would be as new as the document, and scans older.
            self._set(status_said="booked", status_at_said=status_at)
            if status_at is not None:
                self.take_manual("booked", at=status_at, source=DOCUMENT)
        elif status is not None and (status != said or status_at not in (None, said_at)):
            self.take_manual(status, at=status_at, source=DOCUMENT)
            self._set(status_said=status, status_at_said=status_at)

    def _after_all_known(self) -> dt.datetime:
        """Now, or just after the newest event, if a carrier's clock runs ahead of ours: a person has seen it."""
        newest = self._history.newest()
        return self._now if newest is None or newest < self._now else newest + TICK

    def _take(self, scan: Scan) -> Effect | None:
        history = self._history
        effect = history.take(scan)
        if effect is None:
            # A scan that says nothing new may still say by what else it is known, or that it is of a later time.
            if (history.twins, history.source_updates) != (self._state.twins, self._state.source_updates):
                self._set(twins=history.twins, source_updates=history.source_updates)
        else:
            self._taken = _event_of(effect)
            self._set(
                tracking_events=tuple(history.events),
                events_received=history.received,
                source_updates=history.source_updates,
                twins=history.twins,
            )
            self._refresh()
        return effect

    def _refresh(self) -> None:
        standing = self._history.standing
        if standing != self._state.standing:
            self._set(standing=standing)

    def _take_and_tell(self, scan: Scan) -> None:
        unit = scan.event.handling_unit_id
        unit_before = self._history.unit_status(unit) if unit else None
        effect = self._take(scan)
        if effect is None:
            return
        self._facts.append([])
        self._tell_effect(effect)
        attempt = _another_attempt(effect) and self._history.counts(scan.event)
        if unit and unit_before:
            self._tell_unit(unit, unit_before, attempt=attempt)
        if attempt and self._state.standing.status == self._told_status == "delivery_attempted":
            self._tell_status(self._taken)
        else:
            self.tell_status()
        self._tell_condition()
        if scan.event.eta is not None or not isinstance(effect, Recorded):
            self._restate_eta(by=None)
            self._tell_eta(scan.event if scan.event.classifier == "actual" else None)

    def _restate_eta(self, *, by: Speaker | None) -> None:
        """Work out which ETA stands; `by` says who has just stated one, None that a scan may have, or taken it back."""
        state, history = self._state, self._history
        of_document = state.document.eta
        of_carrier, stated_by = etas.carriers_eta(filter(history.is_valid, state.tracking_events), state.carrier)
        taken = self._taken.id if self._taken else None
        speaker: Speaker = by or ("carrier" if stated_by is not None and stated_by == taken else state.eta_by)
        first, second = (of_document, of_carrier) if speaker == "document" else (of_carrier, of_document)
        eta = etas.current(state.eta, first or second, self._now)
        if eta is not state.eta or speaker != state.eta_by:
            self._set(eta=eta, eta_by=speaker)

    def _new_documents(self, documents: Sequence[Document]) -> tuple[Document, ...]:
        shown = shown_documents(self._state)
        known = {document.id for document in shown} | {(document.kind, document.url) for document in shown}
        new = []
        for document in documents:
            if document.id in known or (document.kind, document.url) in known:
                continue
            if not document.id:
                key = natural_key(document) or derived_id("document", document)
                document = msgspec.structs.replace(document, id=key)
            known |= {document.id, (document.kind, document.url)}
            new.append(document)
        return tuple(new)

    def _tell_effect(self, effect: Effect) -> None:
        match effect:
            case Recorded(event, late):
                if event.kind in TELLING_KINDS:
                    self._tell(TrackingEventRecorded(occurred_at=event.occurred_at, tracking_event=event, late=late))
            case Corrected(old, new):
                self._tell(TrackingEventCorrected(occurred_at=self._now, old=old, new=new))
            case Retracted(old):
                if old is not None:
                    self._tell(TrackingEventRetracted(occurred_at=self._now, old=old))
            case _:
                assert_never(effect)

    def _tell_unit(self, unit_id: str, before: Status, *, attempt: bool) -> None:
        after = self._history.unit_status(unit_id)
        moved = after != before or (attempt and after == "delivery_attempted")
        if not moved or self._history.units_count < 2:
            return
        units = self._state.document.handling_units
        unit = next((unit for unit in units if unit.id == unit_id), HandlingUnit(id=unit_id))
        self._tell(
            UnitStatusChanged(
                occurred_at=self._moment_of(self._taken),
                handling_unit=tracked_unit(unit, self._state.standing),
                previous=before,
            )
        )

    def _tell_status(self, cause: TrackingEvent | None) -> None:
        status, told = self._state.standing.status, self._told_status
        self._tell(
            StatusChanged(
                occurred_at=self._moment_of(cause),
                status=status,
                previous=None if told is None else Progress(status=told, condition=self._told.condition),
                tracking_event=cause,
                first_time=status not in self._state.seen,
            )
        )
        if status not in self._state.seen:
            self._set(seen=(*self._state.seen, status))
        self._told_status = status

    def _tell_condition(self) -> None:
        standing, told = self._state.standing, self._told
        if standing.condition != told.condition:
            self._tell(
                ConditionChanged(
                    occurred_at=self._moment_of(self._history.tally.condition_cause),
                    condition=standing.condition,
                    reason=standing.reason,
                    action_required_by=standing.action_required_by,
                    previous=Progress(status=told.status, condition=told.condition),
                )
            )
        self._told = standing

    def _tell_eta(self, cause: TrackingEvent | None) -> None:
        eta, announced = etas.plain(self._state.eta), self._state.announced_eta
        if eta == announced:
            return
        is_moved, delta_minutes = etas.moved(announced, eta, self._eta_threshold_minutes)
        if is_moved:
            moment = self._moment_of(cause)
            self._tell(EtaChanged(occurred_at=moment, previous=announced, eta=eta, delta_minutes=delta_minutes))
            self._set(announced_eta=eta)

    def _tell_details(self, actor: Actor) -> None:
        if self._state.document is self.before.document and self._state.carrier is self.before.carrier:
            return
        changes = tuple(diff(view(self.before), view(self._state)))
        if changes:
            self._tell(DetailsChanged(occurred_at=self._now, changes=changes, changed=groups(changes), actor=actor))

    def _tell_documents(self) -> None:
        before, after = shown_documents(self.before), shown_documents(self._state)
        if before is not after:
            known = {document.id for document in before}
            for document in after:
                if document.id not in known:
                    self._tell(DocumentAdded(occurred_at=self._now, document=document))

    def _moment_of(self, cause: TrackingEvent | None) -> dt.datetime:
        """When a fact happened: at the scan that made it, if that was taken now; else its cause is our own act."""
        taken = self._taken
        return taken.occurred_at if cause is not None and taken is not None and cause.id == taken.id else self._now


def _unit_ids(document: ShipmentDocument) -> list[str]:
    return [unit.id for unit in document.handling_units]


def _unit_names(units: Iterable[HandlingUnit]) -> dict[str, str]:
    """List the names by which carriers may call the units: id, SSCC and tracking number."""
    names: dict[str, str] = {}
    for unit in units:
        for name in (unit.sscc, unit.tracking_number):
            if name:
                names.setdefault(name, unit.id)
    return names | {unit.id: unit.id for unit in units}


def _event_of(effect: Effect) -> TrackingEvent | None:
    match effect:
        case Recorded(event, _):
            return event
        case Corrected(_, new):
            return new
        case Retracted():
            return None


def _another_attempt(effect: Effect) -> bool:
    return isinstance(effect, Recorded) and effect.event.status == "delivery_attempted"


def _place(fact: Fact) -> int:
    return _PLACE[type(fact)]
