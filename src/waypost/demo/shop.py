"""The example receiver: a small shop that keeps its orders and its stock right by listening to webhooks.

It is a program of its own, with its own SQLite database, built on `waypost.receiver` alone, and shows how little a
receiver needs: check the signature, then let the inbox run the effect once, in the same transaction as its mark.

    SHOP_WEBHOOK_SECRET=whsec_… python -m waypost.demo.shop --port 8001 --database shop.db
"""

import argparse
import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from waypost.receiver import Arrival, Event, Inbox, SignatureError, verify

Json = Mapping[str, Any]

BODY_BYTES_MAX = 4 * 1024 * 1024
STOCK = {"Wool blanket": 4_000, "Oak table": 700, "Reading lamp": 400, "Birch stool": 12_000}
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    reference TEXT PRIMARY KEY, article TEXT, quantity INTEGER NOT NULL, state TEXT NOT NULL,
    promised TEXT, freight TEXT);
CREATE TABLE IF NOT EXISTS stock (article TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, reference TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS papers (id INTEGER PRIMARY KEY, reference TEXT NOT NULL, kind TEXT, url TEXT);
-- Nothing here keeps an event from standing twice: an effect that happened twice would be seen.
CREATE TABLE IF NOT EXISTS arrivals (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, reference TEXT NOT NULL, did TEXT NOT NULL);
"""
WORDS = {
    "shipment.status.out_for_delivery": "Your order arrives today.",
    "shipment.status.delivery_attempted": "We missed you. We try again on the next working day.",
    "shipment.status.available_for_pickup": "Your order waits for you at the parcel shop.",
    "shipment.status.partially_delivered": "A part of your order has arrived, the rest follows.",
    "shipment.status.delivered": "Your order has arrived. Enjoy it.",
    "shipment.status.cancelled": "Your order is cancelled.",
    "shipment.condition.delayed": "Your order is late. We keep you informed.",
}


def react(arrival: Arrival) -> None:
    """What the shop does about an event, written down in its journal. Runs inside the inbox's transaction.

    The events of one shipment come in order, so what an event says is the newest there is.
    """
    event = arrival.event
    did = _act(arrival.connection, event, str(event.reference))
    if did is not None:
        row = (event.id, event.reference, did)
        arrival.connection.execute("INSERT INTO journal (event_id, reference, did) VALUES (?, ?, ?)", row)


def _act(database: sqlite3.Connection, event: Event, reference: str) -> str | None:
    """Do it and say it; None when the shop does not care."""
    kind, shipment = event.type, event.data["shipment"]
    match kind.split("."):
        case ["shipment", "created"]:
            return _store_order(database, reference, shipment)
        case ["shipment", "updated"]:
            return _update_order(database, reference, shipment, event.data["changed"])
        case ["shipment", "eta_changed"]:
            return _promise(database, reference, event.data["eta"])
        case ["shipment", "document_added"]:
            return _file_paper(database, reference, event.data["document"])
        case ["shipment", "condition", condition]:
            return _tell(database, kind, reference, f"noted: {condition}")
        case ["shipment", "status", "booked"]:
            return None
        case ["shipment", "status", status]:
            return _move_order(database, kind, reference, status)
    return None


def _store_order(database: sqlite3.Connection, reference: str, shipment: Json) -> str:
    goods = shipment["goods"][0] if shipment["goods"] else {"description": None, "quantity": "0"}
    order = (reference, goods["description"], int(goods["quantity"] or 0), shipment["status"], _freight(shipment))
    database.execute("INSERT INTO orders (reference, article, quantity, state, freight) VALUES (?, ?, ?, ?, ?)", order)
    return f"order stored: {order[2]} × {order[1]}"


def _update_order(database: sqlite3.Connection, reference: str, shipment: Json, changed: list[str]) -> str:
    freight = _freight(shipment)
    database.execute("UPDATE orders SET freight = ? WHERE reference = ?", (freight, reference))
    return f"freight is {freight} now" if "price" in changed else f"order updated: {', '.join(changed)}"


def _promise(database: sqlite3.Connection, reference: str, eta: Json | None) -> str:
    promised = None if eta is None else eta.get("at") or eta.get("date")
    database.execute("UPDATE orders SET promised = ? WHERE reference = ?", (promised, reference))
    return _write(database, reference, f"We now expect your order on {str(promised)[:10]}.")


def _file_paper(database: sqlite3.Connection, reference: str, document: Json) -> str:
    row = (reference, document["kind"], document["url"])
    database.execute("INSERT INTO papers (reference, kind, url) VALUES (?, ?, ?)", row)
    return f"filed: {document['kind']}"


def _move_order(database: sqlite3.Connection, kind: str, reference: str, status: str) -> str:
    database.execute("UPDATE orders SET state = ? WHERE reference = ?", (status, reference))
    if status == "collected":
        return _change_stock(database, reference, sign=-1)
    if status == "returned":
        return _change_stock(database, reference, sign=+1)
    return _tell(database, kind, reference, f"order is {status.replace('_', ' ')}")


def _change_stock(database: sqlite3.Connection, reference: str, *, sign: int) -> str:
    query = "SELECT article, quantity FROM orders WHERE reference = ?"
    article, quantity = database.execute(query, (reference,)).fetchone()
    database.execute("UPDATE stock SET pieces = pieces + ? WHERE article = ?", (sign * quantity, article))
    text = "Your order is on its way." if sign < 0 else "Your order came back to us. You get your money back."
    _write(database, reference, text)
    return f"stock {sign * quantity:+} {article}, customer told"


def _tell(database: sqlite3.Connection, kind: str, reference: str, otherwise: str) -> str:
    """Write to the customer where there is something to write, else only note it."""
    return _write(database, reference, WORDS[kind]) if kind in WORDS else otherwise


def _write(database: sqlite3.Connection, reference: str, text: str) -> str:
    database.execute("INSERT INTO messages (reference, text) VALUES (?, ?)", (reference, text))
    return f"customer told: {text}"


def _freight(shipment: Json) -> str | None:
    """The price that holds: the one said last."""
    prices = shipment["prices"]
    return f"{prices[-1]['amount']} {prices[-1]['currency']}" if prices else None


def open_shop_database(path: Path) -> sqlite3.Connection:
    """Open the shop's database, made and stocked when it is new."""
    database = sqlite3.connect(path, timeout=10)
    database.execute("PRAGMA journal_mode = WAL")
    return database


class Handler(BaseHTTPRequestHandler):
    """Takes webhooks at any path; a GET shows the orders."""

    protocol_version = "HTTP/1.1"  # keep the connection: the sender uses it again
    timeout = 60.0
    server: "Shop"

    def setup(self) -> None:
        """One connection to the database for each connection of the sender."""
        super().setup()
        self.database = open_shop_database(self.server.path)
        self.inbox = Inbox(self.database, create_tables=False)

    def finish(self) -> None:
        """Let go of both."""
        self.database.close()
        super().finish()

    def do_POST(self) -> None:
        """Check the signature over the bytes as they came, and only then read them."""
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too large")
        body = self.rfile.read(length)
        try:
            event = verify(body, self.headers.items(), secret=self.server.secret)
        except SignatureError as error:
            return self._answer(HTTPStatus.UNAUTHORIZED, str(error).encode())
        self._note_arrival(event)
        self.inbox.handle(event, react)
        return self._answer(HTTPStatus.NO_CONTENT)

    def _note_arrival(self, event: Event) -> None:
        """Every arrival, a second one too: in a transaction of its own, so that it stays when the effect fails."""
        if not event.test:
            arrival = (event.id, int(self.headers.get("waypost-attempt", 1)))
            with self.database:
                self.database.execute("INSERT INTO arrivals (event_id, attempt) VALUES (?, ?)", arrival)

    def do_GET(self) -> None:
        """The orders, as JSON."""
        columns = ("reference", "article", "quantity", "state", "promised", "freight")
        query = f"SELECT {', '.join(columns)} FROM orders ORDER BY reference"  # noqa: S608 - our own names
        orders = [dict(zip(columns, row, strict=True)) for row in self.database.execute(query)]
        stock = dict(self.database.execute("SELECT article, pieces FROM stock").fetchall())
        shown = json.dumps({"orders": orders, "stock": stock}, ensure_ascii=False, indent=2)
        self._answer(HTTPStatus.OK, shown.encode() + b"\n")

    def _answer(self, status: HTTPStatus, body: bytes = b"") -> None:
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("content-type", "application/json" if status == HTTPStatus.OK else "text/plain")
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Say nothing for each request: the journal says it."""


class Shop(ThreadingHTTPServer):
    """The server: a thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, path: Path, secret: str) -> None:
        """Listen on `port` of loopback, with the database at `path`."""
        self.path, self.secret = path, secret
        with closing(open_shop_database(path)) as database:
            database.executescript(SCHEMA)
            database.executemany("INSERT OR IGNORE INTO stock (article, pieces) VALUES (?, ?)", STOCK.items())
            database.commit()
            Inbox(database)
        super().__init__(("127.0.0.1", port), Handler)


def main() -> None:
    """Run the shop until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    options = parser.parse_args()
    Shop(options.port, options.database, os.environ["SHOP_WEBHOOK_SECRET"]).serve_forever()


if __name__ == "__main__":
    main()
