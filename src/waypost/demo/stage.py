"""The stage of the demo: the service and the shop in processes of their own, in a folder that is gone afterwards."""

import secrets
import signal
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.request import pathname2url

import msgspec

from waypost.client import Client, ClientError
from waypost.demo.check import LogEvent, ShopRecord
from waypost.demo.player import Player, Source
from waypost.demo.processes import Program, clean_environment, free_port

PATTERNS = ("shipment.*", "tracking.*", "handling_unit.*")
# Short, so that nobody waits: a real endpoint keeps the default, whose last attempts are a day apart.
RETRY_SCHEDULE_S = (
    0.2,
    0.3,
    0.5,
    0.5,
    1,
    1,
    1,
    1,
    1,
    1,
    2,
    2,
    2,
    2,
    2,
    2,
    2,
    2,
    2,
    2,
    5,
    5,
    5,
    5,
    5,
    5,
    10,
    10,
    10,
    10,
)

T = TypeVar("T")


class Endpoint(msgspec.Struct, frozen=True):
    """What the demo reads of its endpoint."""

    id: str
    state: str
    waiting: int
    secret: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """What the demo reads of a delivery."""

    event_id: str
    type: str
    state: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """One line of the shop's journal."""

    number: int
    reference: str
    did: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that plays: the service with its client, the shop with its database, the carrier's player."""

    client: Client
    player: Player
    shop: Program
    shop_url: str
    shop_port: int
    shop_database: Path
    endpoint_id: str

    def start_shop(self) -> None:
        """Start the shop, the first time or again, and wait until it listens."""
        self.shop.start(lambda: _listens(self.shop_port))

    def endpoint(self) -> Endpoint:
        """How the endpoint stands."""
        return self.client.read(f"/v1/endpoints/{self.endpoint_id}", Endpoint)

    def owed(self) -> list[LogEvent]:
        """Every event that the shop is owed, in the order of the log."""
        items = self.client.items(f"/v1/endpoints/{self.endpoint_id}/events", {"after": 0})
        return [msgspec.json.decode(item, type=LogEvent) for item in items]

    def deliveries(self, *, state: str | None = None, limit: int | None = None) -> list[Delivery]:
        """The deliveries to the shop, newest first."""
        items = self.client.items(f"/v1/endpoints/{self.endpoint_id}/deliveries", {"state": state}, limit=limit)
        return [msgspec.json.decode(item, type=Delivery) for item in items]

    def arrived(self) -> set[str]:
        """The ids of the events that arrived at the shop."""
        with closing(self._reading()) as database:
            return {row[0] for row in database.execute("SELECT DISTINCT event_id FROM arrivals")}

    def journal(self, after: int) -> list[Journal]:
        """What the shop did, past the journal's line `after`."""
        query = "SELECT id, reference, did FROM journal WHERE id > ? ORDER BY id"
        with closing(self._reading()) as database:
            return [Journal(*row) for row in database.execute(query, (after,))]

    def shop_record(self) -> ShopRecord:
        """Everything the shop wrote down."""
        with closing(self._reading()) as database:
            return ShopRecord(
                arrivals=[row[0] for row in database.execute("SELECT event_id FROM arrivals ORDER BY id")],
                effects=[row[0] for row in database.execute("SELECT event_id FROM journal ORDER BY id")],
                orders=dict(database.execute("SELECT reference, state FROM orders").fetchall()),
                stock=dict(database.execute("SELECT article, pieces FROM stock").fetchall()),
            )

    def _reading(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{pathname2url(str(self.shop_database))}?mode=ro", uri=True, timeout=10)


@contextmanager
def set_stage(port: int) -> Iterator[Stage]:
    """Start the service on `port` and the shop, and end both and remove their folder, however the play ends.

    Raises DemoError when one of them does not start, ClientError when the service refuses what the demo needs.
    """
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        try:
            yield _set(stack, port)
        finally:
            # A second Ctrl-C must not break off the ending: processes and folder would stay behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _set(stack: ExitStack, port: int) -> Stage:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="waypost-demo-")))
    client = Client(f"http://127.0.0.1:{port}", "wp_demo_" + secrets.token_urlsafe(24))
    service = _service(folder, client, port)
    stack.callback(service.stop)
    service.start(lambda: _is_ready(client))
    source_secret = secrets.token_urlsafe(24)
    source = _post(client, "/v1/sources", {"kind": "easypost", "name": "EasyPost", "secret": source_secret}, Source)
    shop_port = free_port()
    shop_url = f"http://127.0.0.1:{shop_port}/"
    endpoint = _post(client, "/v1/endpoints", _endpoint_document(shop_url + "webhooks/waypost"), Endpoint)
    shop = _shop(folder, shop_port, endpoint.secret)
    stack.callback(shop.kill)
    stage = Stage(
        client=client,
        player=Player(client, source.id, source_secret),
        shop=shop,
        shop_url=shop_url,
        shop_port=shop_port,
        shop_database=folder / "shop.db",
        endpoint_id=endpoint.id,
    )
    stage.start_shop()
    return stage


def _endpoint_document(url: str) -> dict[str, object]:
    return {
        "url": url,
        "description": "The shop of the demo",
        "events": PATTERNS,
        "retry_schedule": RETRY_SCHEDULE_S,
        "timeout_seconds": 5,
    }


def _service(folder: Path, client: Client, port: int) -> Program:
    flags = {
        "host": "127.0.0.1",
        "port": str(port),
        "data-dir": str(folder / "data"),
        "egress-allow": "127.0.0.0/8",
        "log-format": "json",
        "config": str(folder / "none.toml"),  # settings that are meant for another service stay out of this one
    }
    arguments = ["serve", *(part for name, value in flags.items() for part in (f"--{name}", value))]
    environment = clean_environment() | {"WAYPOST_OPERATOR_TOKEN": client.token or ""}
    return Program("service", "waypost.cli", arguments, environment, folder / "service.log")


def _shop(folder: Path, port: int, secret: str) -> Program:
    arguments = ["--port", str(port), "--database", str(folder / "shop.db")]
    environment = clean_environment() | {"SHOP_WEBHOOK_SECRET": secret}
    return Program("shop", "waypost.demo.shop", arguments, environment, folder / "shop.log")


def _post(client: Client, path: str, body: object, kind: type[T]) -> T:
    return msgspec.json.decode(client.call("POST", path, body).body, type=kind)


def _is_ready(client: Client) -> bool:
    try:
        client.get("/readyz")
    except ClientError:
        return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
