"""The log: every shipment, every event, every endpoint and what it was sent, in one database.

`Log` reads, and does the units of work that the modules `accounts`, `endpoints`, `leases` and `sources` make.
"""

from waypost.log.accept import ANY_VERSION, AcceptReport
from waypost.log.database import Database, DatabaseInUse, DatabaseProblem, open_database, sqlite_version
from waypost.log.group import Committed
from waypost.log.log import Log
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
    EventRef,
    IntakeMessage,
    Lease,
    LoadedEndpoint,
    LogRow,
    Page,
    PendingRow,
    Principal,
    Source,
    Standing,
    Stats,
    StoredShipment,
    TokenRecord,
    Waiting,
)
from waypost.log.shipments import ShipmentFilter
from waypost.log.transaction import Once, Unit, refusal
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
    "EventRef",
    "IntakeMessage",
    "Lease",
    "LoadedEndpoint",
    "Log",
    "LogRow",
    "Once",
    "Page",
    "PendingRow",
    "Principal",
    "ShipmentFilter",
    "Source",
    "Standing",
    "Stats",
    "StoredShipment",
    "TokenRecord",
    "Unit",
    "Vault",
    "Waiting",
    "WrongKey",
    "open_database",
    "refusal",
    "sqlite_version",
]
