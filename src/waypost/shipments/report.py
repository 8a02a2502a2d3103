"""The one door of the core: a report goes in with the state it meets, the new state and the facts come out.

Nothing here reads a clock or makes a random id: `now` and the shipment's id are arguments, and every other id follows
from what was said, so the same report on the same state always gives the same outcome.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, assert_never, cast, get_args

import msgspec

from waypost.errors import Conflict, NotFound
from waypost.ids import ShipmentId
from waypost.shipments.erase import blank_state
from waypost.shipments.facts import Actor, Fact, TrackingStale
from waypost.shipments.model import Document, Eta, Reason, ShipmentDocument, Source, TrackingEventInput
from waypost.shipments.patch import patched
from waypost.shipments.silence import last_scan, untold_silence
from waypost.shipments.state import ShipmentState, Standing
from waypost.shipments.working import Working

ETA_THRESHOLD_MINUTES = 15
API = Source(channel="api", format="waypost")


class DocumentReport(msgspec.Struct, frozen=True):
    """A whole document, as `read_document` gives it."""

    document: ShipmentDocument
    actor: Actor


class PatchReport(msgspec.Struct, frozen=True):
    """A merge patch of the document, as `read_patch` gives it."""

    patch: Mapping[str, Any]
    actor: Actor


class TrackingReport(msgspec.Struct, frozen=True):
    """Scans and milestones, as `read_tracking_events` gives them. `source` is for those that name none."""

    events: tuple[TrackingEventInput, ...]
    actor: Actor
    source: Source = API


class CancelReport(msgspec.Struct, frozen=True):
    """The shipment is not to be carried out. `reason` is a word of `Reason`, or any other text."""

    reason: str | None
    actor: Actor


class EraseReport(msgspec.Struct, frozen=True):
    """The personal data are to go, for good."""


class StaleReport(msgspec.Struct, frozen=True):
    """A look at the silence: one of `after_hours` hours is to be told, once."""

    after_hours: int


class CarrierReport(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier's message about one tracking number.

    It may be the first that is heard of a shipment. `documents` may come without ids.
    """

    carrier: str
    tracking_number: str
    events: tuple[TrackingEventInput, ...]
    actor: Actor
    eta: Eta | None = None
    documents: tuple[Document, ...] = ()
    tracking_url: str | None = None
    source: Source = Source(channel="carrier")


Report = DocumentReport | PatchReport | TrackingReport | CancelReport | EraseReport | StaleReport | CarrierReport


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a report led to.

    `changed` says that `state` must be stored; its version is the old one when only the sender's revision moved.
    `stale` says that the report was older than what is known and was not applied.
    """

    state: ShipmentState
    facts: tuple[Fact, ...] = ()
    stale: bool = False
    changed: bool = False


def apply(
    state: ShipmentState | None,
    report: Report,
    *,
    reference: str,
    shipment_id: ShipmentId,
    now: dt.datetime,
    eta_threshold_minutes: int = ETA_THRESHOLD_MINUTES,
) -> Outcome:
    """Apply a report to a shipment; `state` is None when its reference is new, and only then `shipment_id` is used.

    The facts come in the order in which their events go out, and all of them carry the shipment of the new state.
    `now` is in UTC. An ETA is told of when it moved by more than `eta_threshold_minutes` since it was last told.

    Raises NotFound when a patch, scan, cancellation or erasure names a shipment that is unknown; Conflict when the
    state forbids it; InvalidDocument when a patch makes the document invalid.
    """
    if state is None and not isinstance(report, DocumentReport | CarrierReport):
        raise NotFound(f"There is no shipment {reference}.")
    is_new = state is None
    known = state or _new_state(reference, shipment_id, now)
    work = Working(known, now=now, is_new=is_new, eta_threshold_minutes=eta_threshold_minutes)
    match report:
        case DocumentReport(document, actor):
            return _apply_document(work, document, actor)
        case PatchReport(patch, actor):
            _refuse_erased(known)
            return _apply_document(work, patched(_with_papers_named(known, patch), patch), actor)
        case TrackingReport(events, _, source):
            work.take_scans(events, source)
        case CancelReport(reason, actor):
            _cancel(work, reason, actor)
        case EraseReport():
            return _erase(known, now)
        case StaleReport(after_hours):
            return _tell_silence(known, dt.timedelta(hours=after_hours), now)
        case CarrierReport():
            _apply_carrier(work, report)
        case _:
            assert_never(report)
    return _outcome(work)


def _new_state(reference: str, shipment_id: ShipmentId, now: dt.datetime) -> ShipmentState:
    standing = Standing(status="booked", since=now)
    return ShipmentState(
        id=shipment_id, reference=reference, version=0, created_at=now, updated_at=now, standing=standing
    )


def _apply_document(work: Working, document: ShipmentDocument, actor: Actor) -> Outcome:
    before = work.before
    _refuse_erased(before)
    if document.revision is not None and before.revision is not None and document.revision < before.revision:
        return Outcome(state=before, stale=True)
    work.take_document(document)
    if work.is_new:
        work.announce_creation()
    else:
        work.tell_all(actor)
    outcome = _outcome(work)
    if document.revision is None or document.revision == before.revision:
        return outcome
    # A new revision alone is no change, but it must be remembered: an older document may still be on its way.
    state = msgspec.structs.replace(outcome.state, revision=document.revision)
    return Outcome(state=state, facts=outcome.facts, changed=True)


def _with_papers_named(state: ShipmentState, patch: Mapping[str, Any]) -> ShipmentDocument:
    """Give the document to patch: with the carriers' papers that the patch names, so that it can add to them."""
    papers = patch.get("documents")
    if not state.carrier.documents or not isinstance(papers, list):
        return state.document
    named = {paper.get("id") for paper in papers if isinstance(paper, Mapping) and isinstance(paper.get("id"), str)}
    own = state.document.documents
    named -= {document.id for document in own}
    adopted = tuple(document for document in state.carrier.documents if document.id in named)
    return msgspec.structs.replace(state.document, documents=own + adopted)


def _apply_carrier(work: Working, report: CarrierReport) -> None:
    if work.is_new:
        work.create_for_carrier(report.carrier, report.tracking_number)
    erased = work.before.erased_at is not None
    work.take_scans(report.events, report.source, carrier=report.carrier, tracking_number=report.tracking_number)
    work.take_statement(
        eta=report.eta,
        documents=() if erased else report.documents,
        tracking_url=None if erased else report.tracking_url,
    )
    work.tell_all(report.actor)


def _cancel(work: Working, reason: str | None, actor: Actor) -> None:
    status = work.before.standing.status
    if status == "cancelled":
        return
    if status in ("delivered", "returned", "lost"):
        raise Conflict(f"The shipment is {status}; it cannot be cancelled any more.")
    known = cast(Reason, reason) if reason in get_args(Reason) else None
    text = reason if known is None and work.before.erased_at is None else None
    work.take_manual("cancelled", at=None, source=API, reason=known, text=text)
    work.tell_all(actor)


def _erase(state: ShipmentState, now: dt.datetime) -> Outcome:
    if state.erased_at is not None:
        return Outcome(state=state)
    erased = blank_state(state)
    erased = msgspec.structs.replace(erased, version=state.version + 1, updated_at=now, erased_at=now)
    return Outcome(state=erased, changed=True)


def _tell_silence(state: ShipmentState, longest: dt.timedelta, now: dt.datetime) -> Outcome:
    since = untold_silence(state)
    if since is None or now - since < longest:
        return Outcome(state=state)
    fact = TrackingStale(occurred_at=now, last_event=last_scan(state))
    return Outcome(state=msgspec.structs.replace(state, silence_told=since), facts=(fact,), changed=True)


def _outcome(work: Working) -> Outcome:
    state, facts = work.finished()
    return Outcome(state=state, facts=facts, changed=state is not work.before)


def _refuse_erased(state: ShipmentState) -> None:
    # A document would bring back what was erased for good; scans may go on, without their texts.
    if state.erased_at is not None:
        raise Conflict("The shipment's personal data were erased; documents are no longer taken.")
