"""The log as the rest of the service sees it: reports in, everything known out, and units of work for all else.

Reading happens on a few threads with connections that cannot write; each call sees one state of the database. Writing
happens in groups (writer.py). What changes something beside a report is a `Unit`, made by the functions of accounts,
endpoints, leases and sources, and done by `run`, or by `run_once` for a request with an Idempotency-Key.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from waypost.clock import Clock, IdSource, to_micros
from waypost.ids import AccountId, EndpointId
from waypost.log import accounts, deliveries, endpoints, events, leases, owed, shipments, sources
from waypost.log.accept import AcceptReport
from waypost.log.database import READERS, Database, reachable
from waypost.log.group import Request
from waypost.log.records import (
    Accepted,
    Account,
    Answer,
    Attempt,
    Delivery,
    DeliveryFilter,
    EndpointRecord,
    EndpointWrite,
    IntakeMessage,
    Lease,
    LoadedEndpoint,
    LogRow,
    Page,
    Principal,
    Source,
    Stats,
    StoredShipment,
    TokenRecord,
    Waiting,
)
from waypost.log.shipments import ShipmentFilter
from waypost.log.transaction import Once, Unit
from waypost.log.vault import Vault
from waypost.log.writer import Listener, Writer, unavailable

T = TypeVar("T")

Name = tuple[AccountId, EndpointId]


class Log:
    """The log of all accounts in one database. Make it on the event loop, `start` it, `close` it.

    Every method may raise Unavailable (503) when the database is away.
    """

    def __init__(self, database: Database, clock: Clock, ids: IdSource, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._writer = Writer(database, clock, ids, vault)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="waypost-reader")
        self._counts = owed.Counts()

    async def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    async def close(self) -> None:
        """Finish what is being written and let go of the threads; the database stays open."""
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` on the loop after each commit with the accounts whose log grew and the endpoints changed."""
        self._writer.on_commit(listener)

    async def check(self) -> None:
        """Ask the database for nothing, for readiness; raises Unavailable."""
        await self._read_threaded(lambda: reachable(self._database))

    # -- writing

    async def accept(self, report: AcceptReport) -> Accepted:
        """Take a report. On return it is on disk with the events that follow from it.

        Raises the CallerError that refuses it: InvalidDocument, NotFound, Conflict, PreconditionFailed.
        """
        (outcome,) = await self.accept_many([report])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def accept_many(self, reports: Sequence[AcceptReport]) -> list[Accepted | Exception]:
        """Take reports in order, in one transaction; each stands or falls alone. Gives what became of each."""
        return await self._writer.submit_all([Request(report) for report in reports])  # type: ignore[return-value]

    async def run(self, unit: Unit[T]) -> T:
        """Do a unit; on return it is on disk. Raises what it refuses with."""
        return await self._writer.submit(unit)

    async def run_once(self, work: Unit[T] | AcceptReport, once: Once[Any]) -> Answer:
        """Do a unit or a report once for its Idempotency-Key, and give the same answer each time, refusals included."""
        return await self._writer.submit_once(work, once)

    # -- accounts

    async def authenticate(self, token: str) -> Principal | None:
        """Give who a token stands for, or None for one that is unknown or revoked."""
        return await self._read(lambda connection: accounts.authenticate(connection, token))

    async def get_account(self, account_id: AccountId) -> Account:
        """Give an account, or raise NotFound."""
        return await self._read(lambda connection: accounts.read_account(connection, account_id))

    async def list_accounts(self, *, limit: int = 50, cursor: str | None = None) -> Page[Account]:
        """Give a page of all accounts, for an operator."""
        return await self._read(lambda connection: accounts.list_accounts(connection, limit, cursor))

    async def list_tokens(
        self, account_id: AccountId, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TokenRecord]:
        """Give a page of an account's tokens, revoked ones included."""
        return await self._read(lambda connection: accounts.list_tokens(connection, account_id, limit, cursor))

    # -- shipments and events

    async def get_shipment(self, account_id: AccountId, find: str) -> StoredShipment:
        """Give a shipment by reference or id with its whole history, or raise NotFound."""
        return await self._read(lambda connection: shipments.read_shipment(connection, account_id, find))

    async def list_shipments(
        self, account_id: AccountId, wanted: ShipmentFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[StoredShipment]:
        """Give a page of shipments: newest first, or by change with `updated_since`, or by key with `q`."""
        return await self._read(
            lambda connection: shipments.list_shipments(connection, account_id, wanted, limit, cursor)
        )

    async def shipment_events(self, account_id: AccountId, find: str, *, after: int, limit: int = 50) -> list[LogRow]:
        """Give a shipment's events past sequence `after`, in order. NotFound when there is no such shipment."""
        return await self._read(
            lambda connection: events.read_shipment_events(connection, account_id, find, after, limit)
        )

    async def events_after(self, account_id: AccountId, position: int, limit: int = 50) -> list[LogRow]:
        """Give the account's events past `position`, in log order."""
        return await self._read(lambda connection: events.read_events_after(connection, account_id, position, limit))

    async def events_at(self, account_id: AccountId, positions: Sequence[int]) -> dict[int, LogRow]:
        """Give the events at these positions, by position; what is not there is left out."""
        return await self._read(lambda connection: events.read_bodies(connection, account_id, positions))

    async def get_event(self, account_id: AccountId, event_id: str) -> LogRow:
        """Give one event, or raise NotFound."""
        return await self._read(lambda connection: events.read_event(connection, account_id, event_id))

    async def log_end(self, account_id: AccountId) -> int:
        """Give the last position of the account's log; 0 while it is empty."""
        return await self._read(lambda connection: events.log_end(connection, account_id))

    # -- endpoints and deliveries

    async def get_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> EndpointRecord:
        """Give an endpoint, or raise NotFound."""
        return await self._read(
            lambda connection: endpoints.read_endpoint(connection, self._vault, account_id, endpoint_id)
        )

    async def list_endpoints(
        self, account_id: AccountId, *, limit: int = 50, cursor: str | None = None
    ) -> Page[EndpointRecord]:
        """Give a page of an account's endpoints, the oldest first."""
        return await self._read(
            lambda connection: endpoints.list_endpoints(connection, self._vault, account_id, limit, cursor)
        )

    async def waiting(self, endpoint: EndpointRecord) -> Waiting:
        """Give how many events wait for an endpoint, those in retry included: exact up to 10,000."""
        return await self._read(lambda connection: owed.waiting(connection, self._counts, endpoint))

    async def owed_events(
        self, endpoint: EndpointRecord, *, after: int, limit: int = 50
    ) -> tuple[list[LogRow], int | None]:
        """Give the events an endpoint is owed past position `after`, and where to go on, None at the end."""
        return await self._read(lambda connection: owed.owed_after(connection, endpoint, after, limit))

    async def list_deliveries(
        self, endpoint: EndpointRecord, wanted: DeliveryFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Give a page of an endpoint's deliveries, the newest event first. A page may be short and not the last."""
        return await self._read(
            lambda connection: deliveries.list_deliveries(connection, endpoint, wanted, limit, cursor)
        )

    async def get_delivery(self, endpoint: EndpointRecord, event_id: str) -> tuple[Delivery, list[Attempt], bytes]:
        """Give how one event stands at an endpoint, its attempts in order, and the event's bytes, or raise NotFound."""
        return await self._read(lambda connection: deliveries.read_delivery(connection, endpoint, event_id))

    async def stats(self, account_id: AccountId, endpoint_id: EndpointId, since: datetime) -> Stats:
        """Count an endpoint's attempts since an instant."""
        return await self._read(
            lambda connection: deliveries.read_stats(connection, account_id, endpoint_id, to_micros(since))
        )

    # -- sources

    async def find_source(self, source_id: str) -> Source | None:
        """Give the source a message claims to come from, of whichever account, or None."""
        return await self._read(lambda connection: sources.find_source(connection, self._vault, source_id))

    async def get_source(self, account_id: AccountId, source_id: str) -> Source:
        """Give a source of an account, or raise NotFound."""
        return await self._read(lambda connection: sources.read_source(connection, self._vault, account_id, source_id))

    async def list_sources(self, account_id: AccountId, *, limit: int = 50, cursor: str | None = None) -> Page[Source]:
        """Give a page of an account's sources, the oldest first."""
        return await self._read(
            lambda connection: sources.list_sources(connection, self._vault, account_id, limit, cursor)
        )

    async def list_messages(
        self, account_id: AccountId, source_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[IntakeMessage]:
        """Give a page of a source's messages, the newest first."""
        return await self._read(
            lambda connection: sources.list_messages(connection, account_id, source_id, limit, cursor)
        )

    # -- delivery

    async def take_leases(self, owner: str, *, ttl_s: float, limit: int) -> list[Lease]:
        """Take endpoints that no living worker owns. Call it again for those made later."""
        return await self.run(leases.take_leases(owner, ttl_s, limit))

    async def renew_lease(self, owner: str, *, ttl_s: float) -> bool:
        """Keep a worker alive. False when its lease had lapsed: begin anew, under another owner's name."""
        return await self.run(leases.renew_lease(owner, ttl_s))

    async def release_leases(self, owner: str) -> None:
        """Let go of every endpoint of a worker that stops."""
        await self.run(leases.release_leases(owner))

    async def load_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> LoadedEndpoint:
        """Give all that an owner needs to go on with an endpoint. NotFound when it was deleted."""
        return await self._read(
            lambda connection: leases.load_endpoint(connection, self._vault, account_id, endpoint_id)
        )

    async def persist(self, writes: Sequence[EndpointWrite]) -> set[Name]:
        """Store what owners have to store, each endpoint whole or not at all; give those whose epoch was stale."""
        return await self.run(leases.persist(writes))

    # -- how

    async def _read(self, query: Callable[[Connection], T]) -> T:
        return await self._read_threaded(lambda: self._query(query))

    async def _read_threaded(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, call)
        except (DBAPIError, PoolTimeout) as error:
            raise unavailable("The database is away; try again.") from error

    def _query(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._database.readers.connect() as connection:
                return query(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The pooled connection died since its last use; the pool has thrown its companions away with it.
        with self._database.readers.connect() as connection:
            return query(connection)
