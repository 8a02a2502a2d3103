"""Senders: they report shipments and scans, and repeat what was not answered until it is.

Each knows what it put in, and from that what a filter must see in the events that follow: the checker's own truth,
which does not come from the log.
"""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from waypost.errors import CallerError
from waypost.ids import AccountId
from waypost.log.accept import AcceptReport
from waypost.log.records import Accepted, Answer
from waypost.log.transaction import Once
from waypost.shipments import Actor
from waypost.shipments.reading import read_document, read_tracking_events
from waypost.shipments.report import DocumentReport, PatchReport, Report, TrackingReport
from waypost.simulator.clocks import BEGAN_AT
from waypost.simulator.history import EventSeen, ReportAnswered, ReportSent

if TYPE_CHECKING:
    from waypost.simulator.world import World

CARRIERS = ("dhl", "dpd", "gls")
COUNTRIES = ("DE", "FR", "PL", "SE")
TAGS = ("cold", "fragile", "priority")
FLOW = ("booked", "collected", "in_transit", "out_for_delivery", "delivered")
BURST_RATIO = 0.4
PAUSE_S_MIN = 0.5
CALL = "/v1/shipments"
ACTOR = Actor(kind="api", token="tms")  # noqa: S106 - its name

Facts = dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Shipment:
    """A shipment as its sender knows it."""

    reference: str
    account_id: str
    carrier: str
    countries: list[str]
    tags: list[str]
    weight: int = 100
    status: str = "booked"
    known: bool = False
    eta_at: datetime | None = None
    busy: bool = False
    erased: bool = False
    to_say: "deque[str]" = field(default_factory=deque)

    def document(self) -> dict[str, Any]:
        """Give what a PUT says of it."""
        return {
            "tags": self.tags,
            "references": [{"type": "customer_order", "value": f"PO-{self.reference}"}],
            "parties": {
                "consignee": {
                    "name": f"Person of {self.reference}",
                    "address": {"lines": ["Harbour Street 1"], "city": "Town", "country": self.countries[0]},
                }
            },
            "handling_units": [{"id": "hu_1", "gross_weight_kg": str(self.weight)}],
            "carrier": {"id": self.carrier},
        } | ({} if self.eta_at is None else {"eta": {"at": _rfc3339(self.eta_at), "source": "shipper"}})

    def facts(self, changed: tuple[str, ...]) -> Facts:
        """Give what a filter must see of it now."""
        return {
            "carriers": (self.carrier,),
            "countries": tuple(self.countries),
            "references": (self.reference, f"PO-{self.reference}"),
            "tags": tuple(self.tags),
            "statuses": (self.status,),
            "changed": changed,
        }


@dataclass(frozen=True, slots=True)
class _Told:
    """A report made ready, and which groups of fields it changes."""

    report: Report
    body: bytes
    changed: tuple[str, ...] = ()
    bad: bool = False


@dataclass(slots=True)
class Senders:
    """All senders of a world. `idle` once everything was said and answered."""

    world: "World"
    shipments: list[Shipment] = field(default_factory=list)
    _calls: int = 0
    _left: int = 0

    @property
    def idle(self) -> bool:
        """Whether all reports were sent and answered."""
        return self._left == 0

    def start(self) -> None:
        """Let every report be sent in its time."""
        world = self.world
        dice = world.dice("senders")
        for number in range(world.config.shipments):
            account_id = world.accounts[number % len(world.accounts)]
            self.shipments.append(
                Shipment(f"SO-{number + 1}", account_id, dice.choice(CARRIERS), [dice.choice(COUNTRIES)], [])
            )
        whole_s = world.config.hours * 3600
        at_s = [dice.uniform(0, whole_s) for _ in range(world.config.reports)]
        bursts = [dice.uniform(0, whole_s) for _ in range(3)]
        for number, when_s in enumerate(at_s):
            at = dice.choice(bursts) + dice.uniform(0, 2) if dice.random() < BURST_RATIO else when_s
            shipment = dice.choice(self.shipments)
            self._left += 1
            world.loop.in_world(min(at, whole_s), self._begin, shipment, f"report/{number}")

    def _begin(self, shipment: Shipment, name: str) -> None:
        """Have a report said; a sender says one thing of a shipment at a time, and nothing of one that is erased."""
        if shipment.erased:
            self._left -= 1
        elif shipment.busy:
            shipment.to_say.append(name)
        else:
            shipment.busy = True
            self.world.spawn(self._say(shipment, name))

    def erase(self, shipment: Shipment) -> None:
        """Say nothing more of a shipment."""
        shipment.erased = True

    async def _say(self, shipment: Shipment, name: str) -> None:
        dice = self.world.dice(name)
        said = self._tell(shipment, dice)
        account_id = AccountId(shipment.account_id)
        work = AcceptReport(account_id, shipment.reference, said.report, whole=False)
        once = self._once(shipment, said, f"{name}")
        if self.world.happens("report_repeated", dice):
            self.world.harm("report_repeated", touches=())
            await asyncio.gather(*(self._insist(shipment, work, once, said) for _ in range(2)))
        else:
            await self._insist(shipment, work, once, said)
        self._left -= 1
        shipment.busy = False
        while shipment.to_say and not shipment.busy:
            self._begin(shipment, shipment.to_say.popleft())

    async def _insist(self, shipment: Shipment, work: AcceptReport, once: Once[Any], said: _Told) -> None:
        """Send a report until it is answered."""
        world = self.world
        pause_s = PAUSE_S_MIN
        while True:
            self._calls += 1
            call = self._calls
            sent = ReportSent(world.at, call, shipment.account_id, shipment.reference, once.key, said.bad)
            world.record(sent)
            answer = await world.ask(lambda log: log.do_once(work, once))
            if isinstance(answer, Answer):
                events = msgspec.json.decode(answer.body, type=list[tuple[int, int, str, str, str]])
                seen = tuple(EventSeen(*event) for event in events)
                world.record(ReportAnswered(world.at, call, answer.status < 300, seen))
                return
            if isinstance(answer, CallerError):
                world.record(ReportAnswered(world.at, call, accepted=False))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, world.patience_s)

    # -- what is said

    def _tell(self, shipment: Shipment, dice: Any) -> _Told:
        if shipment.known and self.world.happens("bad_report", dice):
            self.world.harm("bad_report", touches=())
            return self._bad(shipment)
        if not shipment.known:
            shipment.known = True
            return _document(shipment, ())
        later = FLOW[FLOW.index(shipment.status) + 1 :]
        if later and dice.random() < 0.45:
            return self._scan(shipment, later[0])
        return self._change(shipment, dice)

    def _bad(self, shipment: Shipment) -> _Told:
        """A patch that would make the document invalid: only the transaction can tell."""
        patch = {"handling_units": [{"id": "hu_1", "gross_weight_kg": "-5"}]}
        return _Told(PatchReport(patch, ACTOR), msgspec.json.encode(patch), bad=True)

    def _scan(self, shipment: Shipment, status: str) -> _Told:
        shipment.status = status
        happened = BEGAN_AT + timedelta(seconds=int(self.world.loop.time()), milliseconds=0)
        scan = {"status": status, "occurred_at": _rfc3339(happened), "carrier_text": f"scan {self.world.at}"}
        body = msgspec.json.encode([scan])
        return _Told(TrackingReport(tuple(read_tracking_events(body)), ACTOR), body)

    def _change(self, shipment: Shipment, dice: Any) -> _Told:
        match dice.randrange(5):
            case 0:
                shipment.tags = sorted(dice.sample(TAGS, dice.randrange(len(TAGS) + 1)))
                return _document(shipment, ("other",))
            case 1:
                if (carrier := dice.choice(CARRIERS)) != shipment.carrier:
                    shipment.carrier = carrier
                    return _document(shipment, ("service",))
            case 2:
                if (country := dice.choice(COUNTRIES)) != shipment.countries[0]:
                    shipment.countries = [country]
                    return _document(shipment, ("address",))
            case 3:
                shipment.eta_at = BEGAN_AT + timedelta(
                    seconds=int(self.world.loop.time()) + dice.randrange(7200, 90000)
                )
                return _document(shipment, ())
        shipment.weight += 1
        return _document(shipment, ("items",))

    def _once(self, shipment: Shipment, said: _Told, key: str) -> Once[Any]:
        """Make the answer, and note what a filter must see of the events in it."""
        noted = self.world.database
        facts = shipment.facts(())

        def render(accepted: Accepted) -> Answer:
            for event in accepted.events:
                changed = said.changed if event.type == "shipment.updated" else ()
                noted.noted.facts[shipment.account_id, event.position] = facts | {"changed": changed}
            events = [
                (event.position, event.sequence, accepted.shipment_id, event.type, event.id)
                for event in accepted.events
            ]
            return Answer(200, {}, msgspec.json.encode(events))

        return Once(
            key=key,
            method="PUT",
            path=f"{CALL}/{shipment.reference}",
            body_sha256=hashlib.sha256(said.body).digest(),
            render=render,
            render_error=lambda error: Answer(error.status, {}, b"[]"),
        )


def _document(shipment: Shipment, changed: tuple[str, ...]) -> _Told:
    body = msgspec.json.encode(shipment.document())
    return _Told(DocumentReport(read_document(body), ACTOR), body, changed)


def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
