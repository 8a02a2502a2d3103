"""The operator: makes endpoints, and changes, pauses, resumes and deletes them while everything runs.

One act of an account comes after the other, and each is repeated until it is answered, with one Idempotency-Key.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from waypost.clock import to_micros
from waypost.errors import CallerError
from waypost.events.filters import Filter
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import units
from waypost.log.accept import AcceptReport
from waypost.log.records import Answer, EndpointRecord, EndpointSettings
from waypost.log.transaction import Once, Unit
from waypost.shipments.report import EraseReport
from waypost.simulator import upkeep
from waypost.simulator.clocks import BEGAN_AT_US
from waypost.simulator.config import Config
from waypost.simulator.history import EndpointChanged, EndpointSettingsSeen, Name, OperatorAsked, Wishes
from waypost.simulator.network import a_secret
from waypost.simulator.senders import CARRIERS, COUNTRIES, TAGS, Senders

if TYPE_CHECKING:
    from waypost.simulator.log_client import LogClient
    from waypost.simulator.world import World

PATTERNS: tuple[tuple[str, ...], ...] = (
    ("*",), ("*",), ("shipment.*",), ("shipment.status.*", "tracking.*"), ("shipment.updated", "shipment.eta_changed"),
    ("shipment.*", "endpoint.*", "delivery.*"),
)  # fmt: skip
SCHEDULES: tuple[tuple[float, ...], ...] = (
    (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0), (1.0, 5.0), (5.0,), (0.1,) * 6,
    (30.0, 600.0, 3600.0),
)  # fmt: skip
# An endpoint that is away is probed by its schedule: in a run of weeks, minutes apart rather than every 0.1 s.
LONG_HOURS, STEP_S_AN_HOUR = 12.0, 0.5
RESENDS_MAX = 4
COALESCE_RATIO = 0.3  # of endpoints
REPLAYS_ELSEWHERE = 0.25  # of replays, those to another URL
PLAIN_RATIO = 0.6  # of endpoints, those that get whole events one by one


class Operator:
    """Acts on the endpoints of a world's accounts."""

    def __init__(self, world: "World", senders: Senders) -> None:
        self.endpoints: dict[Name, EndpointRecord] = {}
        self._world = world
        self._senders = senders
        self._locks = {account: asyncio.Lock() for account in world.accounts}
        self._acts = 0
        self._made = 0
        self._left = 0

    @property
    def idle(self) -> bool:
        """Whether everything was done and answered."""
        return self._left == 0

    def start(self) -> None:
        """Make the first endpoints, and let the acts of this run come in their time."""
        world = self._world
        for number in range(world.config.endpoints):
            account_id = world.accounts[number % len(world.accounts)]
            self._do(lambda account_id, dice: self._make(account_id, dice, "now"), account_id, f"endpoint/{number}")
        for name, act in {
            "settings_changed": self._change_settings,
            "url_changed": self._change_url,
            "wishes_changed": self._change_wishes,
            "secret_rotated": self._rotate,
            "endpoint_paused": self._pause_for_a_while,
            "endpoint_resumed": self._resume_any,
            "endpoint_added": lambda account_id, dice: self._make(account_id, dice, dice.choice(["beginning", 1])),
            "endpoint_deleted": self._delete,
            "resend_asked": self._resend,
            "erasure_asked": self._erase,
            "replay_asked": self._replay,
            "retention_run": self._retain,
        }.items():
            for place, at_s in enumerate(world.times_of(name)):
                world.loop.in_world(at_s, self._befall, name, act, f"{name}/{place}")

    def _befall(self, name: str, act: "Act", key: str) -> None:
        if self._world.harmful:
            account_id = self._world.dice(f"{key}/account").choice(self._world.accounts)
            self._world.harm(name, touches=())
            self._do(act, account_id, key)

    def _do(self, act: "Act", account_id: str, key: str) -> None:
        self._left += 1
        self._world.spawn(self._in_turn(act, account_id, key))

    async def _in_turn(self, act: "Act", account_id: str, key: str) -> None:
        async with self._locks[account_id]:
            await act(account_id, self._world.dice(key))
        self._left -= 1

    def begin(self, work: Awaitable[None]) -> None:
        """Do something beside; the operator is not idle before it is done."""
        self._left += 1
        self._world.loop.create_task(self._beside(work))

    async def _beside(self, work: Awaitable[None]) -> None:
        await work
        self._left -= 1

    async def resume_all(self) -> None:
        """Resume every endpoint, as the last act of a run; one that asked for a day's patience is asked at once."""
        self._left += 1
        for name in sorted(self.endpoints):
            async with self._locks[name.account_id]:
                if name in self.endpoints:
                    account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
                    await self._ask("pause", name, units.pause_endpoint(account, endpoint_id))
                    await self._ask("resume", name, units.resume_endpoint(account, endpoint_id))
        self._left -= 1

    # -- the acts

    def _any(self, account_id: str, dice: random.Random) -> Name | None:
        mine = [name for name in self.endpoints if name.account_id == account_id]
        return dice.choice(mine) if mine else None

    async def _make(self, account_id: str, dice: random.Random, start: Any) -> None:
        self._made += 1
        settings = EndpointSettings(url=self._url(account_id), **_limits(dice, self._world.config))
        wants = _wants(dice, first=self._made == 1)
        secret = a_secret(dice)
        account = AccountId(account_id)
        if isinstance(start, int):
            start = dice.randrange(self._end_of(account_id) + 1)
        unit = units.create_endpoint(account, settings, wants, secret=secret, start=start)
        asked_at = self._world.at
        self._world.network.will_know(secret)
        answer = await self.insist(account, unit, lambda made: made.endpoint_id)
        name = Name(account_id, answer)
        self._world.network.knows(name, secret)
        await self._told(name, asked_at, made=True, start=start)

    async def _change_settings(self, account_id: str, dice: random.Random) -> None:
        await self._change(account_id, dice, _limits(dice, self._world.config), None)

    async def _change_url(self, account_id: str, dice: random.Random) -> None:
        self._made += 1
        await self._change(account_id, dice, {"url": self._url(account_id)}, None)

    async def _change_wishes(self, account_id: str, dice: random.Random) -> None:
        await self._change(account_id, dice, {}, _wants(dice, first=False))

    async def _change(self, account_id: str, dice: random.Random, given: dict[str, Any], wants: Wants | None) -> None:
        name = self._any(account_id, dice)
        if name is None:
            return
        before = self.endpoints[name]
        settings = msgspec.structs.replace(before.settings, **given)
        account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
        unit = units.change_endpoint(account, endpoint_id, settings, wants or before.wants)
        asked_at = self._world.at
        await self.insist(account, unit, lambda changed: changed.endpoint_id)
        await self._told(name, asked_at)

    async def _rotate(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is None:
            return
        secret, overlap_s = a_secret(dice), dice.choice([0, 3600, 86400])
        self._world.network.knows(name, secret)
        account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
        asked_at = self._world.at
        await self.insist(account, units.rotate_secret(account, endpoint_id, secret, overlap_s), lambda _: "")
        await self._told(name, asked_at)

    async def _pause_for_a_while(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is None:
            return
        account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
        await self._ask("pause", name, units.pause_endpoint(account, endpoint_id))
        span_s = self._world.slot_s * dice.choice([0.01, 0.3, 2.0])
        self._world.loop.in_world(
            span_s, self._do, lambda _account, _dice: self._resume(name), account_id, f"resume/{self._acts}"
        )

    async def _resume_any(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is not None:
            await self._resume(name)

    async def _resume(self, name: Name) -> None:
        if name in self.endpoints:
            unit = units.resume_endpoint(AccountId(name.account_id), EndpointId(name.endpoint_id))
            await self._ask("resume", name, unit)

    async def _delete(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is None or len(self.endpoints) == 1:
            return
        del self.endpoints[name]
        unit = units.delete_endpoint(AccountId(name.account_id), EndpointId(name.endpoint_id))
        await self._ask("delete", name, unit)

    async def _replay(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is not None:
            self._made += 1
            to_url = self._url(account_id) if dice.random() < REPLAYS_ELSEWHERE else None
            await upkeep.replay(self, self._world, name, dice, to_url)

    async def _retain(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        if name is not None:
            await upkeep.retain(self._world, name)

    async def _resend(self, account_id: str, dice: random.Random) -> None:
        name = self._any(account_id, dice)
        events = [event for (account, _), event in self._world.database.watcher.events.items() if account == account_id]
        if name is None or not events:
            return
        account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
        for _ in range(dice.randrange(1, RESENDS_MAX + 1)):
            event = dice.choice(events)
            unit = units.resend(account, endpoint_id, event.event_id)
            await self._ask("resend", name, unit, positions=(event.position,), key=event.key)

    async def _erase(self, account_id: str, dice: random.Random) -> None:
        mine = [
            one
            for one in self._senders.shipments
            if one.account_id == account_id and one.known and not one.busy and not one.erased
        ]
        if not mine:
            return
        shipment = dice.choice(mine)
        self._senders.erase(shipment)
        work = AcceptReport(AccountId(account_id), shipment.reference, EraseReport(), whole=False)
        asked_at = self._world.at
        await self._world.insist(lambda log: log.do(work))
        nobody = Name(account_id, "")
        self._world.record(OperatorAsked(self._world.at, asked_at, "erase", nobody, key=shipment.reference))

    # -- how

    def _url(self, account_id: str) -> str:
        return f"https://erp{self._made}.{account_id}.example/hooks"

    def _end_of(self, account_id: str) -> int:
        return max(
            (place for account, place in self._world.database.watcher.events if account == account_id), default=0
        )

    async def _ask(
        self, what: str, name: Name, unit: Unit[Any], *, positions: tuple[int, ...] = (), key: str | None = None
    ) -> None:
        asked_at = self._world.at
        await self.insist(unit.account_id, unit, lambda _: "")
        self._world.record(OperatorAsked(self._world.at, asked_at, what, name, positions=positions, key=key))

    async def insist(self, account: AccountId, unit: Unit[Any], said: Callable[[Any], str]) -> str:
        """Have a unit done, however often it has to be asked for; gives what the answer says."""
        self._acts += 1
        once: Once[Any] = Once(
            key=f"act/{self._acts}",
            method="POST",
            path="/v1/endpoints",
            body_sha256=b"",
            render=lambda value: Answer(200, {}, said(value).encode()),
            render_error=lambda error: Answer(error.status, {}, b""),
        )

        async def call(log: "LogClient") -> Answer:
            return await log.do_once(log.noted("operator", unit), once)

        answer = await self._world.insist(call)
        assert isinstance(answer, Answer), answer
        return answer.body.decode()

    async def _told(self, name: Name, asked_at: int, *, made: bool = False, start: Any = "now") -> None:
        """Write down how an endpoint stands after a call."""
        account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
        endpoint = await self._world.insist(lambda log: log.get_endpoint(account, endpoint_id))
        if isinstance(endpoint, CallerError):
            return
        self.endpoints[name] = endpoint
        self._world.record(
            EndpointChanged(
                at=self._world.at,
                asked_at=asked_at,
                name=name,
                settings=settings_seen(endpoint),
                wishes=tuple(
                    Wishes(version.from_position, version.wants.patterns, _filter(version.wants.filter))
                    for version in endpoint.versions
                ),
                start_position=endpoint.start_position,
                secrets=tuple(
                    (one.secret, None if one.expires_at is None else to_micros(one.expires_at) - BEGAN_AT_US)
                    for one in endpoint.secrets
                ),
                made=made,
                start=start,
            )
        )


Act = Callable[[str, random.Random], Awaitable[None]]


def settings_seen(endpoint: EndpointRecord) -> EndpointSettingsSeen:
    """Give an endpoint's settings as the history has them."""
    settings = endpoint.settings
    return EndpointSettingsSeen(
        url=settings.url,
        ordering=settings.ordering,
        timeout_s=settings.timeout_seconds,
        in_flight_max=settings.max_in_flight,
        rate_per_second=settings.rate_per_second,
        retry_schedule_s=settings.retry_schedule,
        format=settings.format,
        payload=settings.payload,
        personal_data=settings.personal_data,
        batch_size=getattr(settings, "batch_size", 1),
        batch_wait_ms=getattr(settings, "batch_wait_ms", 0),
        coalesce=settings.coalesce,
        signature=settings.signature,
    )


def _limits(dice: random.Random, config: Config) -> dict[str, Any]:
    """Draw the settings that change how fast and in which order an endpoint is sent to."""
    timeout_s = dice.choice([1.0, 5.0, 15.0, 60.0])
    step_s_min = config.hours * STEP_S_AN_HOUR if config.hours > LONG_HOURS else 0.0
    return {
        "timeout_seconds": min(timeout_s, max(1.0, config.lease_ttl_s * 12)),
        "max_in_flight": dice.choice([1, 2, 16, 16]),
        "rate_per_second": dice.choice([None, None, None, 0.5, 5.0]),
        "retry_schedule": tuple(max(step_s, step_s_min) for step_s in dice.choice(SCHEDULES)),
        "ordering": dice.choice(["shipment", "shipment", "shipment", "none"]),
        "coalesce": dice.random() < COALESCE_RATIO,
    } | ({} if dice.random() < PLAIN_RATIO else _form(dice))


def _form(dice: random.Random) -> dict[str, Any]:
    """Draw in which form an endpoint gets its events."""
    return {
        "format": dice.choice(["waypost", "cloudevents", "batch", "batch"]),
        "batch_size": dice.choice([1, 2, 5]),
        "batch_wait_ms": dice.choice([0, 200, 5000]),
        "payload": dice.choice(["full", "changes", "reference"]),
        "personal_data": dice.random() < 0.7,
    }


def _wants(dice: random.Random, *, first: bool) -> Wants:
    """Draw what an endpoint wants; the first of a world wants everything."""
    if first:
        return Wants(("*",))
    patterns = dice.choice(PATTERNS)
    if dice.random() < 0.6:
        return Wants(patterns)
    conditions: dict[str, tuple[str, ...]] = {
        "carriers": tuple(dice.sample(CARRIERS, 2)),
        "countries": tuple(dice.sample(COUNTRIES, 2)),
        "tags": (dice.choice(TAGS),),
        "statuses": ("collected", "in_transit", "delivered"),
        "changed": ("items", "address"),
    }
    given = dice.sample(sorted(conditions), dice.randrange(1, 3))
    return Wants(patterns, Filter(**{name: conditions[name] for name in given}))


def _filter(asked: Filter | None) -> dict[str, tuple[str, ...]]:
    if asked is None:
        return {}
    return {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
