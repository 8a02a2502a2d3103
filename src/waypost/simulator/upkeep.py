"""What a service does beside delivering, as acts of a world: replays that are asked for and fed, and retention.

Both run as the service runs them, one bounded unit after the other, at whatever process answers.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from waypost.errors import CallerError
from waypost.ids import AccountId, EndpointId
from waypost.log import matching, retention, units
from waypost.log.auditing import Actor
from waypost.log.endpoints import read_endpoint
from waypost.log.keeping import Ages
from waypost.log.records import ReplayAsked, ReplayRecord
from waypost.log.transaction import Unit
from waypost.simulator.history import Name, OperatorAsked

if TYPE_CHECKING:
    from waypost.simulator.operator import Operator
    from waypost.simulator.world import World

JOBS_A_STEP = 4
FEED_EVERY_S = 2.0
IDLE_LOOKS = 100  # before a job that waits for a retry of tomorrow is looked at less and less often
# A service keeps things for days at least; here everything leaves as soon as it may.
AGES = Ages(days=0, owed_days=10_000)


async def replay(operator: "Operator", world: "World", name: Name, dice: random.Random, to_url: str | None) -> None:
    """Ask for a replay as the API does: count what matches, begin the job, and see it through."""
    asked = ReplayAsked(which=dice.choice(["all", "missing", "failed"]), to_url=to_url)
    account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
    asked_at = world.at
    counted = await world.insist(lambda log: log.read(lambda connection: _count(world, connection, name, asked)))
    if isinstance(counted, CallerError):
        return
    scope, positions = counted
    replay_id = await operator.insist(
        account,
        units.create_replay(scope, asked, len(positions), actor=Actor("operator", "tok_operator")),
        lambda made: made.replay_id if isinstance(made, ReplayRecord) else "",
    )
    if not replay_id:
        return
    target = name if to_url is None else Name(name.account_id, replay_id)
    world.record(
        OperatorAsked(
            world.at, asked_at, "replay", target, positions=tuple(positions), replay_id=replay_id,
            detail="" if to_url is None else "to_url", original=name,
        )
    )  # fmt: skip
    if positions:
        operator.begin(_feed(world, account, endpoint_id, replay_id))


def _count(world: "World", connection: Connection, name: Name, asked: ReplayAsked) -> tuple[matching.Scope, list[int]]:
    endpoint = read_endpoint(connection, world.database.vault, AccountId(name.account_id), EndpointId(name.endpoint_id))
    scope = matching.scope_of(connection, endpoint, asked)
    positions, place = list[int](), scope.after
    while place < scope.through:
        found = matching.find(connection, scope, place)
        positions += found.positions
        place = found.through
    return scope, positions


async def _feed(world: "World", account: AccountId, endpoint_id: EndpointId, replay_id: str) -> None:
    """Feed jobs until this one has ended, as the service's loop does."""
    idle = 0
    while True:
        fed = await world.insist(lambda log: log.do(log.noted("feed_replays", units.feed_replays(JOBS_A_STEP))))
        if isinstance(fed, CallerError) or not fed.running:
            return
        idle = 0 if fed.progress else idle + 1
        if idle:
            await asyncio.sleep(FEED_EVERY_S * max(1, idle - IDLE_LOOKS) + world.slot_s / 100)


async def retain(world: "World", name: Name) -> None:
    """Let leave what is old, step by step: events, their attempts, and what is noted of folds."""
    account, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)
    asked_at = world.at
    through = await _steps(world, lambda place: retention.remove_events(account, AGES, place))
    after = (0, 0)
    while True:
        unit = retention.remove_attempts(account, endpoint_id, AGES, after, through)
        heard = await world.insist(lambda log, unit=unit: log.do(log.noted("retention", unit)))  # type: ignore[misc]
        if isinstance(heard, CallerError) or not heard[0].more:
            break
        after = heard[1]
    await _steps(world, lambda place: retention.remove_folds(account, through))
    world.record(OperatorAsked(world.at, asked_at, "retention", name))


async def _steps(world: "World", make: Callable[[int], Unit[retention.Step]]) -> int:
    place = 0
    while True:
        unit = make(place)
        step = await world.insist(lambda log, unit=unit: log.do(log.noted("retention", unit)))  # type: ignore[misc]
        if isinstance(step, CallerError):
            return place
        place = int(step.place)
        if not step.more:
            return place
