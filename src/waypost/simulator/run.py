"""One run: a world is made from a seed, lives its time, heals and comes to rest; its history is what remains."""

import hashlib
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Any

import structlog

from waypost.errors import Unavailable
from waypost.ids import AccountId, EndpointId
from waypost.log import deliveries, owed
from waypost.log.endpoints import read_endpoint
from waypost.log.records import DeliveryFilter
from waypost.simulator.config import Config, draw
from waypost.simulator.history import Ending, FaultsStopped, History, Name
from waypost.simulator.loop import current_life
from waypost.simulator.operator import Operator
from waypost.simulator.planted import PLANTED
from waypost.simulator.senders import Senders
from waypost.simulator.world import World

SETTLING_S_MIN = 180.0  # from the last harm until all that was under way has ended
REST_S_MAX = 3 * 86400.0  # for the longest step of a retry schedule, and what follows
LOOKS_S = 20.0
CALM_AFTER_S = 600.0  # of waiting for rest: then leases are held for longer, or a day's wait costs a day of renewals
CALM_LEASE_S = (6600.0, 2000.0)  # how long they hold, and how often they are renewed
SHOWN_A_PAGE = 500


def run_seed(seed: int, planted: str | None = None, config: Config | None = None) -> History:
    """Live through the run of a seed and give its history: the same one each time.

    `planted` puts a known bug back into the product for this run; `config` is lived through instead of the drawn one.
    """
    with ExitStack() as stack:
        if planted is not None:
            stack.enter_context(PLANTED[planted].apply())
        world = World(seed, config or draw(seed))
        stack.callback(_end, world)
        stack.enter_context(_hushed(world))
        return _live(world)


def digest(history: History) -> str:
    """Name a history: equal histories have equal names."""
    hashing = hashlib.sha256()
    for record in history.records:
        hashing.update(repr(record).encode())
    return hashing.hexdigest()[:16]


def virtual_hours(history: History) -> float:
    """Give how long a run lasted in its own time, healing included."""
    return history.records[-1].at / 3_600_000_000


def _live(world: World) -> History:
    senders = Senders(world)
    operator = Operator(world, senders)
    operator.start()
    world.start()
    senders.start()
    world.loop.run(world.config.hours * 3600)
    world.heal()
    world.loop.run(world.loop.time() + max(SETTLING_S_MIN, 2 * world.config.lease_ttl_s))
    resuming = world.spawn(operator.resume_all())
    world.loop.run(world.loop.time() + REST_S_MAX, resuming.done)
    world.record(FaultsStopped(world.at))
    rest = _Rest(world, senders, operator)
    world.loop.run(world.loop.time() + REST_S_MAX, rest)
    world.record(_ending(world, idle=rest.reached))
    return History(world.seed, world.config.plain(), tuple(world.history), dict(world.event_facts))


class _Rest:
    """Says whether a world has come to rest; looked at now and then."""

    def __init__(self, world: World, senders: Senders, operator: Operator) -> None:
        self.reached = False
        self._world = world
        self._senders = senders
        self._operator = operator
        self._next_s = world.loop.time()
        self._calm_s = world.loop.time() + CALM_AFTER_S

    def __call__(self) -> bool:
        world = self._world
        if world.loop.time() < self._next_s:
            return False
        self._next_s = world.loop.time() + LOOKS_S
        if world.loop.time() >= self._calm_s:
            self._calm_s = inf
            for process in world.living():
                process.calm(*CALM_LEASE_S)
        watcher = world.database.watcher
        if not (self._senders.idle and self._operator.idle) or watcher.pending:
            return False
        ends: dict[str, int] = {}
        for account_id, position in watcher.events:
            ends[account_id] = max(position, ends.get(account_id, 0))
        behind = any(row.cursor < ends.get(name.account_id, 0) for name, row in watcher.endpoints.items())
        self.reached = not behind and all(process.worker.idle for process in world.living())
        return self.reached


def _ending(world: World, *, idle: bool) -> Ending:
    """Read the database whole, and what a reader is told of it."""
    watcher, vault = world.database.watcher, world.database.vault
    shown: list[tuple[Name, int, str]] = []
    waiting: list[tuple[Name, int]] = []
    for name in sorted(watcher.endpoints):
        account_id, endpoint_id = AccountId(name.account_id), EndpointId(name.endpoint_id)

        def look(connection: Any, account_id: AccountId = account_id, endpoint_id: EndpointId = endpoint_id) -> None:
            name = Name(account_id, endpoint_id)
            endpoint = read_endpoint(connection, vault, account_id, endpoint_id)
            waiting.append((name, owed.waiting(connection, owed.Counts(), endpoint).count))
            cursor: str | None = None
            while True:
                page = deliveries.list_deliveries(connection, endpoint, DeliveryFilter(), SHOWN_A_PAGE, cursor)
                shown.extend((name, one.position, one.state) for one in page.items)
                if (cursor := page.next) is None:
                    return

        world.database.read(look)
    return Ending(
        at=world.at,
        idle=idle,
        endpoints=tuple(watcher.endpoints[name] for name in sorted(watcher.endpoints)),
        pending=tuple(watcher.pending[place] for place in sorted(watcher.pending)),
        attempts=tuple(watcher.attempts[place] for place in sorted(watcher.attempts)),
        folds=tuple((name, position, into) for (name, position), into in sorted(watcher.folds.items())),
        events=tuple((account_id, event) for (account_id, _), event in sorted(watcher.events.items())),
        shown=tuple(sorted(shown)),
        waiting=tuple(waiting),
        replays=_replays(world),
    )


def _replays(world: World) -> tuple[tuple[str, str, int, int, str], ...]:
    rows = world.database.raw.execute("SELECT account_id, replay_id, matched, fed, state FROM replays ORDER BY 1, 2")
    return tuple(tuple(row) for row in rows)


def _end(world: World) -> None:
    world.over = True
    for process in world.living():
        process.writer.close()
    world.loop.close()
    world.database.close()


@contextmanager
def _hushed(world: World) -> Iterator[None]:
    """Keep the product's log lines: an error that no harm explains is written down, the rest is dropped."""

    def take(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in ("error", "exception", "critical"):
            error = event.get("exc_info")
            error = sys.exc_info()[1] if error is True else error
            if not world.over and not isinstance(error, Unavailable):
                world.complain(current_life(), f"{event.get('event')}: {type(error).__name__}: {error}")
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [take]
    try:
        yield
    finally:
        processors[:] = before
