"""The log as a process of a world has it: the same methods, statements and answers, over the world's database."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import Connection

from waypost.ids import AccountId, EndpointId
from waypost.log import events, leases, owed
from waypost.log.accept import AcceptReport
from waypost.log.endpoints import read_endpoint
from waypost.log.group import Request
from waypost.log.records import (
    Accepted,
    Answer,
    EndpointRecord,
    EndpointWrite,
    Lease,
    LoadedEndpoint,
    LogRow,
    Waiting,
)
from waypost.log.transaction import Once, Tx, Unit

if TYPE_CHECKING:
    from waypost.simulator.process import Process

T = TypeVar("T")

Names = tuple[AccountId, EndpointId]


class LogClient:
    """What delivery and the API's callers use of the log. Every method may raise Unavailable."""

    def __init__(self, process: "Process") -> None:
        self.vault = process.world.database.vault
        self._process = process
        self._database = process.world.database

    # -- writing

    @overload
    async def do(self, work: AcceptReport) -> Accepted: ...

    @overload
    async def do(self, work: Unit[T]) -> T: ...

    async def do(self, work: AcceptReport | Unit[T]) -> Accepted | T:
        """Do a unit, or take a report; on return it is in the database."""
        (outcome,) = await self.do_all([Request(work)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[return-value]

    async def do_once(self, work: AcceptReport | Unit[Any], once: Once[Any]) -> Answer:
        """Do it once for its Idempotency-Key, and give the same answer each time."""
        (outcome,) = await self.do_all([Request(work, once)])
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Answer), outcome
        return outcome

    async def do_all(self, requests: Sequence[Request]) -> list[object]:
        """Do several in one transaction; gives what became of each."""
        if not requests:
            return []
        answer: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        self._process.writer.submit(requests, lambda outcomes: None if answer.done() else answer.set_result(outcomes))
        return await answer

    def noted(self, what: str, unit: Unit[T]) -> Unit[T]:
        """Give a unit that says in the history what it is."""

        def work(tx: Tx) -> T:
            self._database.noted.what.append(what)
            return unit.work(tx)

        return Unit(unit.account_id, work, locks=unit.locks, others=unit.others)

    # -- leases

    async def take_leases(
        self, owner: str, ttl_s: float, limit: int, held: frozenset[Names] | None = None
    ) -> list[Lease]:
        """Take endpoints that no living worker owns."""
        alone = self._process.world.config.alone
        return await self.do(self.noted("take_leases", leases.take_leases(owner, ttl_s, limit, held, alone=alone)))

    async def renew_lease(self, owner: str, ttl_s: float) -> bool:
        """Keep a worker alive."""
        return await self.do(self.noted("renew_lease", leases.renew_lease(owner, ttl_s)))

    async def release_leases(self, owner: str) -> None:
        """Let go of every endpoint of a worker that stops."""
        await self.do(self.noted("release_leases", leases.release_leases(owner)))

    async def persist(self, writes: Sequence[EndpointWrite]) -> set[Names]:
        """Store what owners have to store; give those whose epoch was stale."""
        unit = leases.persist(writes)

        def work(tx: Tx) -> set[Names]:
            noted = self._database.noted
            noted.what.append("persist")
            stale = unit.work(tx)
            noted.epochs += [((write.account_id, write.endpoint_id), write.epoch) for write in writes]
            noted.refused += stale
            return stale

        return await self.do(Unit(unit.account_id, work, locks=unit.locks, others=unit.others))

    # -- reading

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Read with a query."""
        return await self._process.read(query)

    async def load_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> LoadedEndpoint:
        """Give all that an owner needs to go on with an endpoint. NotFound when it was deleted."""
        vault = self._database.vault
        return await self.read(lambda connection: leases.load_endpoint(connection, vault, account_id, endpoint_id))

    async def load_endpoints(self, names: Sequence[Names]) -> dict[Names, LoadedEndpoint]:
        """Give the same of many endpoints; those that were deleted are left out."""
        vault = self._database.vault
        return await self.read(lambda connection: leases.load_endpoints(connection, vault, names))

    async def events_after(self, account_id: AccountId, position: int, limit: int = 50) -> list[LogRow]:
        """Give the account's events past `position`, in log order."""
        return await self.read(lambda connection: events.read_events_after(connection, account_id, position, limit))

    async def events_at(self, account_id: AccountId, positions: Sequence[int]) -> list[LogRow]:
        """Give the events at these positions, in log order."""
        return await self.read(lambda connection: events.read_events_at(connection, account_id, positions))

    async def get_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> EndpointRecord:
        """Give an endpoint, or raise NotFound."""
        vault = self._database.vault
        return await self.read(lambda connection: read_endpoint(connection, vault, account_id, endpoint_id))

    async def waiting(self, account_id: AccountId, endpoint_id: EndpointId) -> Waiting:
        """Give how many events wait for an endpoint."""
        vault = self._database.vault

        def query(connection: Connection) -> Waiting:
            return owed.waiting(connection, owed.Counts(), read_endpoint(connection, vault, account_id, endpoint_id))

        return await self.read(query)
