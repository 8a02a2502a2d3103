"""Which ETA stands, and when a new one is worth telling."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from waypost.shipments.model import CurrentEta, Eta, PastEta, TrackingEvent
from waypost.shipments.state import ETA_HISTORY_MAX, CarrierStatement

MINUTES_A_DAY = 24 * 60


def carriers_eta(events: Iterable[TrackingEvent], statement: CarrierStatement) -> tuple[Eta | None, str | None]:
    """Give the ETA that carriers stated last, and the id of the event that stated it, if it was one.

    `events` are the valid ones. A scan that came late does not bring its old ETA back: statements are ordered by when
    they were made. An estimate's own time is the ETA, so it was made when it arrived.
    """
    latest: tuple[dt.datetime, int] | None = None
    best: TrackingEvent | None = None
    for event in events:
        if event.eta is None:
            continue
        stated = event.received_at if event.classifier != "actual" else min(event.occurred_at, event.received_at)
        if latest is None or (stated, event.sequence) > latest:
            latest, best = (stated, event.sequence), event
    said_at = statement.eta_stated_at
    if statement.eta is not None and said_at is not None and (latest is None or said_at >= latest[0]):
        return statement.eta, None
    return (best.eta, best.id) if best else (None, None)


def current(before: CurrentEta | None, eta: Eta | None, now: dt.datetime) -> CurrentEta | None:
    """Make `eta` the one that stands, with the one before it in its history; `before` itself when nothing differs."""
    if plain(before) == eta:
        return before
    if eta is None:
        return None
    history: tuple[PastEta, ...] = ()
    if before is not None:
        past = PastEta(**_fields(before), stated_at=before.stated_at)
        history = (*before.history, past)[-ETA_HISTORY_MAX:]
    return CurrentEta(**_fields(eta), stated_at=now, history=history)


def plain(eta: CurrentEta | None) -> Eta | None:
    """Give the ETA alone, without when it was stated and what was before."""
    if eta is None:
        return None
    return Eta(at=eta.at, date=eta.date, window=eta.window, precision=eta.precision, source=eta.source)


def moved(announced: Eta | None, eta: Eta | None, threshold_minutes: int) -> tuple[bool, int | None]:
    """Tell whether an ETA moved enough to tell of it, and by how many minutes.

    Two times must differ by more than the threshold; where only a date is known, any other date counts. An ETA that
    appears or vanishes has moved, by an unknown time.
    """
    if announced is None or eta is None:
        return announced is not eta, None
    if announced.at is not None and eta.at is not None and "date" not in (announced.precision, eta.precision):
        delta = eta.at - announced.at
        return abs(delta) > dt.timedelta(minutes=threshold_minutes), round(delta / dt.timedelta(minutes=1))
    before, after = _day(announced), _day(eta)
    if before is None or after is None:
        return before != after, None
    return before != after, (after - before).days * MINUTES_A_DAY


def _day(eta: Eta) -> dt.date | None:
    if eta.date is not None:
        return eta.date
    if eta.at is not None:
        return eta.at.date()
    return eta.window.date if eta.window else None


def _fields(eta: Eta) -> dict[str, Any]:
    return {name: getattr(eta, name) for name in Eta.__struct_fields__}
