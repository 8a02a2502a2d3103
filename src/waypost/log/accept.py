"""Reports in, events out: the one way into the log.

All reports of a group are done as one: their accounts are locked, their shipments read in one statement an account,
each report is compared with what is known (pure), and everything that follows is written with one statement a table.
A report that is refused, or that a bug makes fail, takes no numbers: they are given out only once its events are ready.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, bindparam, delete, insert, select, update

from waypost.clock import to_micros
from waypost.errors import CallerError, NotFound, PreconditionFailed
from waypost.events.envelope import encode_event
from waypost.events.kinds import event_type
from waypost.ids import AccountId, EventId, ShipmentId
from waypost.log import erasure, numbers
from waypost.log.database import execute_many, insert_into
from waypost.log.records import Accepted, EventRef
from waypost.log.tables import events, intake_shipments, shipment_keys, shipments
from waypost.log.transaction import AccountHead, Tx
from waypost.shipments import (
    TRACKING_EVENTS_IN_EVENTS,
    ShipmentState,
    decode_state,
    encode_state,
    search_keys,
    shipment_json,
    untold_silence,
)
from waypost.shipments.report import CarrierReport, EraseReport, Outcome, Report, apply

KEY_LENGTH_MAX = 255  # what is longer is found by its beginning, and fits PostgreSQL's index pages
ANY_VERSION = 0

Known = dict[tuple[AccountId, str], "_Shipment"]
Key = tuple[str, str, str]
ChangedKeys = tuple[frozenset[Key], frozenset[Key]]


@dataclass(frozen=True, slots=True)
class AcceptReport:
    """A report on its way in.

    `find` is the shipment's reference or its `shp_…` id; None only for a carrier's report, which is found by its
    tracking number. `if_match` are the versions of which it must have one (`ANY_VERSION`: it must exist). `message_id`
    names the stored message that the report was read from. With `whole` false the answer leaves the shipment's JSON
    out.
    """

    account_id: AccountId
    find: str | None
    report: Report
    if_match: Collection[int] | None = None
    message_id: str | None = None
    whole: bool = True


@dataclass(slots=True)
class _Shipment:
    """A shipment while its group is being done: `state` None is one that does not exist yet.

    `loaded` is the state as the tables have it, and `keys` what has changed since of the keys that find it.
    """

    account_id: AccountId
    shipment_id: ShipmentId
    reference: str
    state: ShipmentState | None
    version: int = 0
    sequence: int = 0
    dirty: bool = False
    loaded: ShipmentState | None = None
    keys: ChangedKeys = (frozenset(), frozenset())
    json: bytes = b""  # with the last tracking events, as events carry it; empty until it changes


@dataclass(slots=True)
class _Writes:
    """The rows of one group, by table."""

    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    erased: list[_Shipment] = field(default_factory=list)


def accept_all(tx: Tx, reports: Sequence[AcceptReport]) -> list[Accepted | Exception]:
    """Take the reports in order and give what became of each: Accepted, or what it failed with."""
    outcomes: list[Accepted | Exception] = []
    for chunk in _chunks(reports):
        outcomes += _accept_chunk(tx, chunk)
    return outcomes


def _chunks(reports: Sequence[AcceptReport]) -> Iterator[Sequence[AcceptReport]]:
    """Cut where a report must see in the tables what the ones before it wrote: at those found by tracking number."""
    start = 0
    for index, report in enumerate(reports):
        if report.find is None:
            if start < index:
                yield reports[start:index]
            yield reports[index : index + 1]
            start = index + 1
    if start < len(reports):
        yield reports[start:]


def _accept_chunk(tx: Tx, reports: Sequence[AcceptReport]) -> list[Accepted | Exception]:
    tx.lock(report.account_id for report in reports)
    known = _load(tx, reports)
    writes = _Writes()
    outcomes = [_accept_one(tx, known, writes, report) for report in reports]
    _write(tx, known, writes)
    return outcomes


def _accept_one(tx: Tx, known: Known, writes: _Writes, report: AcceptReport) -> Accepted | Exception:
    try:
        return _accept(tx, known, writes, report)
    except CallerError as refusal:
        return refusal
    except Exception as bug:  # noqa: BLE001 - a bug that one report meets must not fail its neighbours
        return bug


def _accept(tx: Tx, known: Known, writes: _Writes, report: AcceptReport) -> Accepted:
    """Compare one report with what is known. Nothing is changed until everything about it has worked."""
    head = tx.head(report.account_id)
    shipment = _find(tx, known, report)
    _check_version(shipment, report.if_match)
    outcome = apply(
        shipment.state,
        report.report,
        reference=shipment.reference,
        shipment_id=shipment.shipment_id,
        now=tx.now,
        eta_threshold_minutes=head.settings.eta_threshold_minutes,
    )
    created = shipment.state is None
    refs: tuple[EventRef, ...] = ()
    if outcome.changed:
        refs = _change(tx, head, shipment, writes, outcome)
        known[shipment.account_id, shipment.reference] = known[shipment.account_id, shipment.shipment_id] = shipment
    if isinstance(report.report, EraseReport):
        writes.erased.append(shipment)
    if report.message_id is not None:
        link = {"account_id": report.account_id, "shipment_id": shipment.shipment_id, "message_id": report.message_id}
        writes.links.append(link)
    whole = _whole_json(shipment, outcome.state) if report.whole else b""
    return Accepted(
        shipment.shipment_id, shipment.reference, whole, outcome.state.version, created, outcome.stale, refs
    )


def _change(tx: Tx, head: AccountHead, shipment: _Shipment, writes: _Writes, outcome: Outcome) -> tuple[EventRef, ...]:
    json = shipment_json(outcome.state, TRACKING_EVENTS_IN_EVENTS)
    keys = _changed_keys(shipment.loaded, outcome.state)
    rows, refs = _events(tx, head, shipment, outcome, json)
    # From here on nothing fails.
    writes.events += rows
    head.position += len(rows)
    shipment.sequence += len(rows)
    shipment.state, shipment.version, shipment.dirty = outcome.state, outcome.state.version, True
    shipment.json, shipment.keys = json, keys
    return refs


def _events(
    tx: Tx, head: AccountHead, shipment: _Shipment, outcome: Outcome, json: bytes
) -> tuple[list[dict[str, Any]], tuple[EventRef, ...]]:
    """The rows of the events that follow, with the next numbers of the account and the shipment."""
    rows: list[dict[str, Any]] = []
    refs: list[EventRef] = []
    for offset, fact in enumerate(outcome.facts, start=1):
        event_id: EventId = tx.ids.event_id(tx.now)
        position, sequence, type_name = head.position + offset, shipment.sequence + offset, event_type(fact)
        body = encode_event(
            fact,
            shipment=json,
            event_id=event_id,
            account_id=shipment.account_id,
            shipment_id=shipment.shipment_id,
            reference=shipment.reference,
            sequence=sequence,
            position=position,
            recorded_at=tx.now,
        )
        row = {
            "account_id": shipment.account_id,
            "position": position,
            "event_id": event_id,
            "type": type_name,
            "key": shipment.shipment_id,
            "sequence": sequence,
            "recorded_at": tx.now_us,
            "body": body,
        }
        rows.append(row)
        refs.append(EventRef(event_id, type_name, sequence, position))
    return rows, tuple(refs)


def _check_version(shipment: _Shipment, if_match: Collection[int] | None) -> None:
    if if_match is None:
        return
    if shipment.state is not None and (ANY_VERSION in if_match or shipment.version in if_match):
        return
    if shipment.state is None:
        raise PreconditionFailed(f'There is no shipment "{shipment.reference}", and If-Match asks for one.')
    asked = " or ".join(map(str, sorted(if_match))) or "what If-Match asks for"
    raise PreconditionFailed(f'"{shipment.reference}" is at version {shipment.version}, not {asked}. Read it again.')


def _whole_json(shipment: _Shipment, state: ShipmentState) -> bytes:
    """The JSON with all tracking events; the one made for the events, when it holds them all."""
    if shipment.json and shipment.state is state and len(state.tracking_events) <= TRACKING_EVENTS_IN_EVENTS:
        return shipment.json
    return shipment_json(state, None)


# -- finding -----------------------------------------------------------------------------------------------------------


def _find(tx: Tx, known: Known, report: AcceptReport) -> _Shipment:
    if report.find is None:
        assert isinstance(report.report, CarrierReport), report.report
        return _find_by_number(tx, known, report.account_id, report.report)
    found = known.get((report.account_id, report.find))
    if found is not None:
        return found
    if report.find.startswith("shp_"):
        raise NotFound(f'There is no shipment "{report.find}".')
    return _Shipment(report.account_id, tx.ids.shipment_id(tx.now), report.find, None)


def _find_by_number(tx: Tx, known: Known, account_id: AccountId, report: CarrierReport) -> _Shipment:
    """Find the shipment with a carrier's tracking number, or begin one whose reference is that number."""
    shipment_id = numbers.shipment_with_number(
        tx.connection, account_id, report.carrier, report.tracking_number, tx.now_us
    )
    if shipment_id is not None:
        known.update(_load(tx, [AcceptReport(account_id, shipment_id, report)]))
        return known[account_id, shipment_id]
    reference = numbers.free_reference(tx.connection, account_id, report.carrier, report.tracking_number)
    return _Shipment(account_id, tx.ids.shipment_id(tx.now), reference, None)


def _load(tx: Tx, reports: Sequence[AcceptReport]) -> Known:
    """Read the shipments that the reports name, each findable by its reference and by its id."""
    wanted: dict[AccountId, set[str]] = {}
    for report in reports:
        if report.find is not None:
            wanted.setdefault(report.account_id, set()).add(report.find)
    known: Known = {}
    for account_id, names in wanted.items():
        ids = [name for name in names if name.startswith("shp_")]
        references = [name for name in names if not name.startswith("shp_")]
        for row in _rows(tx, account_id, ids, references):
            state = decode_state(row.state)
            shipment = _Shipment(
                account_id, row.shipment_id, row.reference, state, row.version, row.sequence, loaded=state
            )
            known[account_id, row.reference] = known[account_id, row.shipment_id] = shipment
    return known


def _rows(tx: Tx, account_id: AccountId, ids: list[str], references: list[str]) -> list[Any]:
    rows: list[Any] = []
    if references:
        parameters = {"account_id": account_id, "references": references}
        rows += tx.connection.execute(shipments_by_reference(), parameters).all()
    if ids:
        rows += tx.connection.execute(shipments_by_id(), {"account_id": account_id, "ids": ids}).all()
    return rows


def _changed_keys(before: ShipmentState | None, after: ShipmentState) -> ChangedKeys:
    """What a shipment is no longer found by, and what it is found by from now on.

    Most reports leave all of it alone, and comparing the parts is much quicker than listing the keys.
    """
    if before is not None and _searched_parts(before) == _searched_parts(after):
        return frozenset(), frozenset()
    old, new = _keys(before), _keys(after)
    return old - new, new - old


_searched_parts = attrgetter(
    "document.references", "document.tracking", "document.carrier", "document.handling_units", "carrier"
)


def _keys(state: ShipmentState | None) -> frozenset[Key]:
    if state is None:
        return frozenset()
    return frozenset([(key.value[:KEY_LENGTH_MAX], key.kind, key.carrier or "") for key in search_keys(state)])


def _key_row(shipment: _Shipment, key: Key) -> dict[str, Any]:
    value, kind, carrier = key
    return {
        "account_id": shipment.account_id,
        "shipment_id": shipment.shipment_id,
        "value": value,
        "kind": kind,
        "carrier": carrier,
    }


def _old_key_row(shipment: _Shipment, key: Key) -> dict[str, Any]:
    return {f"old_{name}": value for name, value in _key_row(shipment, key).items()}


# -- statements --------------------------------------------------------------------------------------------------------


def _write(tx: Tx, known: Known, writes: _Writes) -> None:
    """Write the rows of a group, one statement a table."""
    dirty = {id(shipment): shipment for shipment in known.values() if shipment.dirty}.values()
    rows_by_statement = (
        (insert_shipments(), [_shipment_row(shipment) for shipment in dirty if shipment.loaded is None]),
        (update_shipments(), [_changed_row(shipment) for shipment in dirty if shipment.loaded is not None]),
        (delete_shipment_keys(), [_old_key_row(shipment, key) for shipment in dirty for key in shipment.keys[0]]),
        (insert_shipment_keys(), [_key_row(shipment, key) for shipment in dirty for key in shipment.keys[1]]),
        (insert_events(), writes.events),
        (link_messages(tx.dialect), writes.links),
    )
    for statement, rows in rows_by_statement:
        execute_many(tx.connection, statement, rows)
    for shipment in writes.erased:
        erasure.erase_history(tx, shipment.account_id, shipment.shipment_id)


def _shipment_row(shipment: _Shipment) -> dict[str, Any]:
    assert shipment.state is not None, shipment
    identity = {"account_id": shipment.account_id, "shipment_id": shipment.shipment_id}
    return (
        identity
        | {"reference": shipment.reference, "created_at": to_micros(shipment.state.created_at)}
        | _contents(shipment)
    )


def _changed_row(shipment: _Shipment) -> dict[str, Any]:
    return {"of_account": shipment.account_id, "of_shipment": shipment.shipment_id} | _contents(shipment)


def _contents(shipment: _Shipment) -> dict[str, Any]:
    state = shipment.state
    assert state is not None, shipment
    carrier = state.document.carrier or state.carrier.carrier
    quiet_since = untold_silence(state)
    carrier_id, carrier_name = (carrier.id, carrier.name) if carrier else (None, None)
    return {
        "version": shipment.version,
        "sequence": shipment.sequence,
        "revision": state.revision,
        "status": state.standing.status,
        "condition": state.standing.condition,
        "carrier": carrier_id or carrier_name,
        "carrier_name": carrier_name if carrier_id and carrier_name != carrier_id else None,
        "updated_at": to_micros(state.updated_at),
        "quiet_since": None if quiet_since is None else to_micros(quiet_since),
        "state": encode_state(state),
    }


def _state_columns() -> Select[Any]:
    columns = shipments.c
    return select(columns.shipment_id, columns.reference, columns.version, columns.sequence, columns.state)


@cache
def shipments_by_reference() -> Select[Any]:
    """The shipments of `:account_id` with `:references`. By shipments_reference_once."""
    mine = _state_columns().where(shipments.c.account_id == bindparam("account_id"))
    return mine.where(shipments.c.reference.in_(bindparam("references", expanding=True)))


@cache
def shipments_by_id() -> Select[Any]:
    """The shipments of `:account_id` with `:ids`. By the primary key."""
    mine = _state_columns().where(shipments.c.account_id == bindparam("account_id"))
    return mine.where(shipments.c.shipment_id.in_(bindparam("ids", expanding=True)))


@cache
def insert_shipments() -> Insert:
    """New shipments, a row each."""
    return insert(shipments)


@cache
def update_shipments() -> Update:
    """Set what is known of the shipment `:of_shipment` of `:of_account`. By the primary key."""
    mine = shipments.c.account_id == bindparam("of_account"), shipments.c.shipment_id == bindparam("of_shipment")
    return update(shipments).where(*mine)


@cache
def insert_events() -> Insert:
    """Events at the end of the log, a row each. Every index but the one by key grows at its end."""
    return insert(events)


@cache
def link_messages(dialect: str) -> Insert:
    """Which shipments were read from which message, a row each; several reports of one message may say the same."""
    return insert_into(dialect, intake_shipments).on_conflict_do_nothing()


@cache
def insert_shipment_keys() -> Insert:
    """What a shipment is found by, a row each."""
    return insert(shipment_keys)


@cache
def delete_shipment_keys() -> Delete:
    """Drop what a shipment is no longer found by. By the primary key."""
    columns = ("account_id", "shipment_id", "value", "kind", "carrier")
    return delete(shipment_keys).where(*(shipment_keys.c[name] == bindparam(f"old_{name}") for name in columns))
