"""The log as the rest of the service sees it: reports in, everything known out, and units of work for all else.

Reading happens on a few threads with connections that cannot write; each call sees one state of the database. Writing
happens in groups (writer.py): a report, or a `Unit` made by one of the functions of units.py, is done by `do`, or by
`do_once` for a request with an Idempotency-Key.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar, overload

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from waypost.clock import Clock, IdSource, to_micros
from waypost.events.own_types import OwnType
from waypost.events.patterns import Wants
from waypost.ids import AccountId, EndpointId
from waypost.log import (
    accounts,
    deliveries,
    endpoints,
    events,
    leases,
    matching,
    migration,
    owed,
    own_events,
    replays,
    shipments,
    sources,
)
from waypost.log import overview as overview_reads
from waypost.log.accept import AcceptReport
from waypost.log.committing import unavailable
from waypost.log.database import READERS, Database, DatabaseProblem, open_database, reachable
from waypost.log.group import Committed, Request
from waypost.log.overview import Activity, Day, Overview, Window
from waypost.log.records import (
    Accepted,
    Account,
    Answer,
    Attempt,
    Delivery,
    DeliveryFilter,
    EndpointRecord,
    EndpointWrite,
    EventBytes,
    IntakeMessage,
    Lease,
    LoadedEndpoint,
    LogRow,
    Page,
    Principal,
    ReplayAsked,
    ReplayRecord,
    Source,
    Stats,
    StoredShipment,
    TokenRecord,
    Waiting,
)
from waypost.log.shipments import ShipmentFilter
from waypost.log.signing_keys import PublicKey, list_public_keys
from waypost.log.told import Told, ToldCount, count_told, read_told
from waypost.log.transaction import Once, Unit
from waypost.log.vault import Vault, WrongKey
from waypost.log.writer import Listener, Writer

log = structlog.get_logger(__name__)
T = TypeVar("T")

Name = tuple[AccountId, EndpointId]

PRINCIPALS_KEPT_MAX = 10_000


class Log:
    """The log of all accounts in one database. `open` it on the event loop, and `close` it there.

    Every method may raise Unavailable (503) when the database is away.
    """

    def __init__(self, database: Database, clock: Clock, ids: IdSource, vault: Vault) -> None:
        """Take over `database`, which is at this version's schema; `start` begins to write."""
        self._database = database
        self._vault = vault
        self._writer = Writer(database, clock, ids, vault)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="waypost-reader")
        self._memory = overview_reads.Memory()
        # A SQLite file is this process's alone, so it knows of every revocation; elsewhere the database is asked.
        self._principals: dict[bytes, Principal] | None = {} if database.is_sqlite else None
        self._writer.on_commit(self._forget_tokens)

    @classmethod
    async def open(cls, database_url: str, *, key: bytes, clock: Clock, ids: IdSource, migrate: bool) -> "Log":
        """Open the log in a database. `key` encrypts its secrets; `migrate` brings it to this version first.

        Raises DatabaseInUse when another service has the SQLite file, MigrationNeeded when it is older than this
        version and may not be migrated, and DatabaseProblem when it cannot be used at all, or not with this key.
        """
        database = open_database(database_url)
        try:
            await asyncio.to_thread(_bring_up_to_date if migrate else migration.require_current, database)
            log = cls(database, clock, ids, Vault(key))
            await log._read(lambda connection: endpoints.check_key(connection, log._vault))
            await log.start()
        except WrongKey as error:
            database.close()
            raise DatabaseProblem(str(error)) from error
        except BaseException:
            database.close()
            raise
        return log

    async def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    async def close(self) -> None:
        """Finish what is being written, and close the database."""
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        self._database.close()

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` on the loop after each commit: where logs end now, and which endpoints changed."""
        self._writer.on_commit(listener)

    async def check(self) -> None:
        """Ask the database for nothing, for readiness; raises Unavailable."""
        await self._read_threaded(lambda: reachable(self._database))

    # -- writing

    @overload
    async def do(self, work: AcceptReport) -> Accepted: ...

    @overload
    async def do(self, work: Unit[T]) -> T: ...

    async def do(self, work: AcceptReport | Unit[T]) -> Accepted | T:
        """Do a unit, or take a report; on return it is on disk, with the events that follow from it.

        Raises the CallerError that refuses it: for a report InvalidDocument, NotFound, Conflict, PreconditionFailed.
        """
        (outcome,) = await self.do_all([Request(work)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[return-value]

    async def do_once(self, work: AcceptReport | Unit[Any], once: Once[Any]) -> Answer:
        """Do it once for its Idempotency-Key, and give the same answer each time; a refusal is an answer too."""
        (outcome,) = await self.do_all([Request(work, once)])
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Answer), outcome
        return outcome

    async def do_all(self, requests: Sequence[Request]) -> list[object]:
        """Do several in order, in one transaction; each stands or falls alone.

        Gives what became of each: its value (Accepted for a report), the Answer of one with a key, or the exception it
        failed with. They are handed to the writer before this first waits, so calls are served in the order made.
        """
        return await self._writer.submit(requests)

    async def ensure_operator(self, token: str) -> None:
        """Make the account `default`, and let `token`, and no other, be the operator's."""
        await self.do(accounts.ensure_operator(token))

    # -- accounts

    async def authenticate(self, token: str) -> Principal | None:
        """Give who a token stands for, or None for one that is unknown or revoked."""
        known = self._principals
        digest = accounts.token_hash(token)
        if known is not None and digest in known:
            return known[digest]
        principal = await self._read(lambda connection: accounts.authenticate(connection, digest))
        # What was read before a revocation must not be remembered after it: the memory is another one by then.
        if principal is not None and known is not None and len(known) < PRINCIPALS_KEPT_MAX:
            known[digest] = principal
        return principal

    def _forget_tokens(self, committed: Committed) -> None:
        if committed.tokens and self._principals is not None:
            self._principals = {}

    async def get_account(self, account_id: AccountId) -> Account:
        """Give an account, or raise NotFound."""
        return await self._read(lambda connection: accounts.read_account(connection, account_id))

    async def account_exists(self, account_id: AccountId) -> bool:
        """Whether there is such an account."""
        return await self._read(lambda connection: accounts.account_exists(connection, account_id))

    async def list_accounts(self, limit: int = 50, cursor: str | None = None) -> Page[Account]:
        """Give a page of all accounts, for an operator."""
        return await self._read(lambda connection: accounts.list_accounts(connection, limit, cursor))

    async def list_tokens(self, account_id: AccountId, limit: int = 50, cursor: str | None = None) -> Page[TokenRecord]:
        """Give a page of an account's tokens, revoked ones included."""
        return await self._read(lambda connection: accounts.list_tokens(connection, account_id, limit, cursor))

    # -- shipments and events

    async def get_shipment(self, account_id: AccountId, find: str) -> StoredShipment:
        """Give a shipment by reference or id with its whole history, or raise NotFound."""
        return await self._read(lambda connection: shipments.read_shipment(connection, account_id, find))

    async def list_shipments(
        self,
        account_id: AccountId,
        *,
        status: str | None = None,
        condition: str | None = None,
        carrier: str | None = None,
        q: str | None = None,
        updated_since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[StoredShipment]:
        """Give a page of shipments: newest first, or by change with `updated_since`, or by key with `q`."""
        wanted = ShipmentFilter(status=status, condition=condition, carrier=carrier, q=q, updated_since=updated_since)
        return await self._read(
            lambda connection: shipments.list_shipments(connection, account_id, wanted, limit, cursor)
        )

    async def shipment_events(self, account_id: AccountId, find: str, sequence: int, limit: int = 50) -> list[LogRow]:
        """Give a shipment's events past `sequence`, in order. NotFound when there is no such shipment."""
        return await self._read(
            lambda connection: events.read_shipment_events(connection, account_id, find, sequence, limit)
        )

    async def events_after(self, account_id: AccountId, position: int, limit: int = 50) -> list[LogRow]:
        """Give the account's events past `position`, in log order."""
        return await self._read(lambda connection: events.read_events_after(connection, account_id, position, limit))

    async def events_at(self, account_id: AccountId, positions: Sequence[int]) -> list[LogRow]:
        """Give the events at these positions, in log order; what is not there is left out."""
        return await self._read(lambda connection: events.read_events_at(connection, account_id, positions))

    async def get_event(self, account_id: AccountId, event_id: str) -> LogRow:
        """Give one event, or raise NotFound."""
        return await self._read(lambda connection: events.read_event(connection, account_id, event_id))

    async def log_end(self, account_id: AccountId) -> int:
        """Give the last position of the account's log; 0 while it is empty."""
        return await self._read(lambda connection: events.log_end(connection, account_id))

    # -- types and events of the senders' own

    async def own_type_names(self, account_id: AccountId) -> frozenset[str]:
        """Give the names of the account's own types."""
        return await self._read(lambda connection: own_events.type_names(connection, account_id))

    async def find_own_type(self, account_id: AccountId, name: str) -> OwnType | None:
        """Give a type of the account's own, or None."""
        return await self._read(lambda connection: own_events.find_type(connection, account_id, name))

    async def own_types_after(self, account_id: AccountId, name: str, limit: int) -> list[OwnType]:
        """Give the account's own types past `name`, by name, at most `limit`."""
        return await self._read(lambda connection: own_events.types_after(connection, account_id, name, limit))

    async def is_posted(self, account_id: AccountId, event: own_events.OwnEvent) -> bool:
        """Whether this event stands in the log under its id; Conflict when another one does."""
        return await self._read(lambda connection: own_events.posted_before(connection, account_id, event) is not None)

    # -- endpoints and deliveries

    async def get_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> EndpointRecord:
        """Give an endpoint, or raise NotFound."""
        return await self._read(
            lambda connection: endpoints.read_endpoint(connection, self._vault, account_id, endpoint_id)
        )

    async def list_endpoints(
        self, account_id: AccountId, limit: int = 50, cursor: str | None = None
    ) -> Page[EndpointRecord]:
        """Give a page of an account's endpoints, the oldest first."""
        return await self._read(
            lambda connection: endpoints.list_endpoints(connection, self._vault, account_id, limit, cursor)
        )

    async def public_keys(
        self, account_id: AccountId, endpoint_id: EndpointId | None, now: datetime, limit: int, cursor: str | None
    ) -> Page[PublicKey]:
        """Give a page of the public keys that sign at `now`; an account or endpoint that does not exist has none."""
        return await self._read(
            lambda connection: list_public_keys(connection, account_id, endpoint_id, now, limit, cursor)
        )

    async def waiting(self, account_id: AccountId, endpoint_id: EndpointId) -> Waiting:
        """Give how many events wait for an endpoint, those in retry included: exact up to 10,000."""
        return await self._of_endpoint(
            account_id,
            endpoint_id,
            lambda connection, endpoint: owed.waiting(connection, self._memory.counts, endpoint),
        )

    async def waiting_of_many(self, account_id: AccountId, records: Sequence[EndpointRecord]) -> list[Waiting]:
        """Give the same of some endpoints of an account, in the same order and in far fewer statements."""

        def read(connection: Connection) -> list[Waiting]:
            end, types = events.log_end(connection, account_id), owed.types_of_account(connection, account_id)
            return owed.waiting_of_many(connection, self._memory.counts, records, end, types)

        return await self._read(read)

    async def waiting_from(self, account_id: AccountId, wants: Wants, start: str | int | datetime) -> Waiting:
        """Give how many events would wait for an endpoint made now with this start; bounded, so it may be `more`.

        InvalidDocument when the start is a position that is not in the log yet.
        """
        return await self._read(lambda connection: owed.waiting_from(connection, account_id, wants, start))

    async def owed_events(
        self, account_id: AccountId, endpoint_id: EndpointId, position: int, limit: int = 50
    ) -> tuple[list[LogRow], int | None]:
        """Give the events an endpoint is owed past `position`, in log order, and where to go on, None at the end.

        A page may come short, even empty, and not be the last, where few of many events are wanted.
        """
        return await self._of_endpoint(
            account_id, endpoint_id, lambda connection, endpoint: owed.owed_after(connection, endpoint, position, limit)
        )

    async def list_deliveries(
        self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        wanted: DeliveryFilter,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """Give a page of an endpoint's deliveries, the newest event first. A page may be short and not the last."""
        return await self._of_endpoint(
            account_id,
            endpoint_id,
            lambda connection, endpoint: deliveries.list_deliveries(connection, endpoint, wanted, limit, cursor),
        )

    async def get_delivery(
        self, account_id: AccountId, endpoint_id: EndpointId, event_id: str
    ) -> tuple[Delivery, list[Attempt], EventBytes]:
        """Give how one event stands at an endpoint, its attempts in order, and what it is sent of, or NotFound."""
        return await self._of_endpoint(
            account_id,
            endpoint_id,
            lambda connection, endpoint: deliveries.read_delivery(connection, endpoint, event_id),
        )

    async def stats(self, account_id: AccountId, endpoint_id: EndpointId, since: datetime) -> Stats:
        """Count an endpoint's attempts since an instant."""
        return await self._read(
            lambda connection: deliveries.read_stats(connection, account_id, endpoint_id, to_micros(since))
        )

    # -- figures for pages

    async def overview(self, account_id: AccountId, window: Window) -> Overview:
        """Give how an account fares, in the numbers of its overview."""
        return await self._read(
            lambda connection: overview_reads.read_overview(connection, self._vault, self._memory, account_id, window)
        )

    async def activity(
        self, account_id: AccountId, endpoint_id: EndpointId, hours: Sequence[int], now: datetime
    ) -> Activity:
        """Give how an endpoint fared between each two of `hours` (since 1970, UTC), or raise NotFound."""
        return await self._of_endpoint(
            account_id,
            endpoint_id,
            lambda connection, endpoint: overview_reads.read_activity(
                connection, self._memory, endpoint, hours, to_micros(now)
            ),
        )

    async def days_of(
        self, account_id: AccountId, endpoint_ids: Sequence[EndpointId], now: datetime, *, medians: bool = True
    ) -> dict[EndpointId, Day]:
        """Give the last 24 hours of some endpoints; one that does not exist is left out.

        Without `medians` the time that answers took is left out, which is a question for each endpoint.
        """

        def read(connection: Connection) -> dict[EndpointId, Day]:
            names = [(account_id, endpoint_id) for endpoint_id in endpoint_ids]
            records = endpoints.read_endpoints(connection, self._vault, names)
            days = overview_reads.days_of(connection, self._memory, account_id, records, to_micros(now), medians)
            return {record.endpoint_id: day for record, day in zip(records, days, strict=True)}

        return await self._read(read)

    async def told(self, account_id: AccountId, positions: Sequence[int]) -> Told:
        """Give how some events, by their positions in the log, stand at each endpoint."""
        return await self._read(lambda connection: read_told(connection, self._vault, account_id, positions))

    async def count_told(self, account_id: AccountId, positions: Sequence[int]) -> dict[int, ToldCount] | None:
        """Count at how many endpoints some events got through, of how many that want them.

        None where there are too many endpoints to say.
        """
        return await self._read(lambda connection: count_told(connection, account_id, positions))

    # -- replays

    async def count_replay(
        self, account_id: AccountId, endpoint_id: EndpointId, asked: ReplayAsked
    ) -> tuple[matching.Scope, int]:
        """Give what a replay asked for now would look at, and how many deliveries match: exactly, however many.

        It walks the log in steps, each a reading of its own, so that nobody waits for it. NotFound without such an
        endpoint, InvalidDocument for shipments that do not exist.
        """
        scope = await self._of_endpoint(
            account_id, endpoint_id, lambda connection, endpoint: matching.scope_of(connection, endpoint, asked)
        )
        matched, place = 0, scope.after
        while place < scope.through:
            found = await self._read(lambda connection, place=place: matching.find(connection, scope, place))  # type: ignore[misc]
            matched, place = matched + len(found.positions), found.through
        return scope, matched

    async def replays_due(self) -> replays.Fed:
        """Say whether feeding the running replays would come to anything, and how many run."""
        return await self._read(replays.look_for_due)

    async def get_replay(self, account_id: AccountId, endpoint_id: EndpointId, replay_id: str) -> ReplayRecord:
        """Give a replay of an endpoint with its progress, or raise NotFound."""
        return await self._read(lambda connection: replays.read_replay(connection, account_id, endpoint_id, replay_id))

    async def list_replays(
        self, account_id: AccountId, endpoint_id: EndpointId, limit: int = 50, cursor: str | None = None
    ) -> Page[ReplayRecord]:
        """Give a page of an endpoint's replays, the newest first, or raise NotFound when there is no such endpoint."""
        return await self._of_endpoint(
            account_id,
            endpoint_id,
            lambda connection, _: replays.list_replays(connection, account_id, endpoint_id, limit, cursor),
        )

    # -- sources

    async def find_source(self, source_id: str) -> Source | None:
        """Give the source a message claims to come from, of whichever account, or None."""
        return await self._read(lambda connection: sources.find_source(connection, self._vault, source_id))

    async def get_source(self, account_id: AccountId, source_id: str) -> Source:
        """Give a source of an account, or raise NotFound."""
        return await self._read(lambda connection: sources.read_source(connection, self._vault, account_id, source_id))

    async def list_sources(self, account_id: AccountId, limit: int = 50, cursor: str | None = None) -> Page[Source]:
        """Give a page of an account's sources, the oldest first."""
        return await self._read(
            lambda connection: sources.list_sources(connection, self._vault, account_id, limit, cursor)
        )

    async def list_messages(
        self, account_id: AccountId, source_id: str, limit: int = 50, cursor: str | None = None
    ) -> Page[IntakeMessage]:
        """Give a page of a source's messages, the newest first."""
        return await self._read(
            lambda connection: sources.list_messages(connection, account_id, source_id, limit, cursor)
        )

    # -- delivery

    async def take_leases(
        self, owner: str, ttl_s: float, limit: int, held: frozenset[Name] | None = None
    ) -> list[Lease]:
        """Take endpoints that no living worker owns, or that are the worker's own and not `held` by it.

        Call it again for those made later.
        """
        return await self.do(leases.take_leases(owner, ttl_s, limit, held, alone=self._database.is_sqlite))

    async def renew_lease(self, owner: str, ttl_s: float) -> bool:
        """Keep a worker alive. False when its lease had lapsed: begin anew, under another owner's name."""
        return await self.do(leases.renew_lease(owner, ttl_s, alone=self._database.is_sqlite))

    async def release_leases(self, owner: str) -> None:
        """Let go of every endpoint of a worker that stops."""
        await self.do(leases.release_leases(owner))

    async def load_endpoint(self, account_id: AccountId, endpoint_id: EndpointId) -> LoadedEndpoint:
        """Give all that an owner needs to go on with an endpoint. NotFound when it was deleted."""
        return await self._read(
            lambda connection: leases.load_endpoint(connection, self._vault, account_id, endpoint_id)
        )

    async def load_endpoints(self, names: Sequence[Name]) -> dict[Name, LoadedEndpoint]:
        """Give the same of many endpoints, as one moment saw them all; those that were deleted are left out."""
        return await self._read(lambda connection: leases.load_endpoints(connection, self._vault, names))

    async def persist(self, writes: Sequence[EndpointWrite]) -> set[Name]:
        """Store what owners have to store, each endpoint whole or not at all; give those whose epoch was stale."""
        return await self.do(leases.persist(writes))

    # -- upkeep

    async def look(self, query: Callable[[Connection, Vault], T]) -> T:
        """Give what a query of the modules for upkeep finds (expiry, alerts, erasure). It sees one state."""
        return await self._read(lambda connection: query(connection, self._vault))

    # -- how

    async def _of_endpoint(
        self, account_id: AccountId, endpoint_id: EndpointId, query: Callable[[Connection, EndpointRecord], T]
    ) -> T:
        def read(connection: Connection) -> T:
            return query(connection, endpoints.read_endpoint(connection, self._vault, account_id, endpoint_id))

        return await self._read(read)

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


def _bring_up_to_date(database: Database) -> None:
    migrated = migration.migrate(database)
    if migrated.changed:
        copy = None if migrated.copy is None else str(migrated.copy)
        log.info("database_migrated", before=migrated.before, after=migrated.after, copy=copy)
