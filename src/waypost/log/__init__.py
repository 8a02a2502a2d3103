"""The log: every shipment, every event, every endpoint and what it was sent, in one database.

`Log` reads, and does what the functions of `units` make.
"""

from waypost.log import units
from waypost.log.accept import ANY_VERSION, AcceptReport
from waypost.log.accounts import MadeToken
from waypost.log.database import Database, DatabaseInUse, DatabaseProblem, open_database, sqlite_version
from waypost.log.endpoints import Rotated
from waypost.log.group import Committed, Request
from waypost.log.idempotency import is_kept
from waypost.log.log import Log
from waypost.log.migration import Migrated, MigrationNeeded
from waypost.log.own_events import NewType, OwnEvent, Posted, TypeChangedError
from waypost.log.records import (
    Accepted,
    Account,
    AccountSettings,
    Announcement,
    Answer,
    Attempt,
    AttemptRow,
    Delivery,
    DeliveryFilter,
    EndpointRecord,
    EndpointSecret,
    EndpointSettings,
    EndpointVersion,
    EndpointWrite,
    EventBytes,
    EventRef,
    IntakeMessage,
    Lease,
    LoadedEndpoint,
    LogRow,
    Page,
    PendingRow,
    Principal,
    ReplayAsked,
    ReplayRecord,
    SigningKey,
    Source,
    Standing,
    Stats,
    StoredShipment,
    TokenRecord,
    Waiting,
)
from waypost.log.shipments import ShipmentFilter
from waypost.log.signing_keys import PublicKey
from waypost.log.sources import TakenMessage
from waypost.log.transaction import Once, Tx, Unit, refusal
from waypost.log.vault import Vault, WrongKey

__all__ = [
    "ANY_VERSION",
    "AcceptReport",
    "Accepted",
    "Account",
    "AccountSettings",
    "Announcement",
    "Answer",
    "Attempt",
    "AttemptRow",
    "Committed",
    "Database",
    "DatabaseInUse",
    "DatabaseProblem",
    "Delivery",
    "DeliveryFilter",
    "EndpointRecord",
    "EndpointSecret",
    "EndpointSettings",
    "EndpointVersion",
    "EndpointWrite",
    "EventBytes",
    "EventRef",
    "IntakeMessage",
    "Lease",
    "LoadedEndpoint",
    "Log",
    "LogRow",
    "MadeToken",
    "Migrated",
    "MigrationNeeded",
    "NewType",
    "Once",
    "OwnEvent",
    "Page",
    "PendingRow",
    "Posted",
    "Principal",
    "PublicKey",
    "ReplayAsked",
    "ReplayRecord",
    "Request",
    "Rotated",
    "ShipmentFilter",
    "SigningKey",
    "Source",
    "Standing",
    "Stats",
    "StoredShipment",
    "TakenMessage",
    "TokenRecord",
    "Tx",
    "TypeChangedError",
    "Unit",
    "Vault",
    "Waiting",
    "WrongKey",
    "is_kept",
    "open_database",
    "refusal",
    "sqlite_version",
    "units",
]
