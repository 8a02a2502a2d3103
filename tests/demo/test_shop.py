"""The example receiver, as a real server on a real socket with its own database."""

import http.client
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from waypost.demo.processes import free_port
from waypost.demo.shop import STOCK, Shop

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(free_port(), tmp_path / "shop.db", SECRET) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def event(sequence: int, kind: str, **data: object) -> dict[str, object]:
    shipment = {
        "status": "booked",
        "goods": [{"description": "Wool blanket", "quantity": "3"}],
        "prices": [{"amount": "21.40", "currency": "EUR"}],
    }
    return {
        "id": f"evt_{sequence}",
        "type": kind,
        "account_id": "default",
        "shipment_id": "shp_1",
        "reference": "SO-1",
        "sequence": sequence,
        "position": sequence,
        "test": False,
        "data": {"shipment": shipment, **data},
    }


CREATED = event(1, "shipment.created")
COLLECTED = event(2, "shipment.status.collected")


def post(shop: Shop, sent: dict[str, object], *, secret: str = SECRET) -> int:
    body, now = json.dumps(sent), datetime.now(UTC)
    headers = {
        "webhook-id": str(sent["id"]),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(sent["id"]), now, body),
    }
    with closing(http.client.HTTPConnection(*shop.server_address)) as connection:
        connection.request("POST", "/webhooks/waypost", body.encode(), headers)
        return connection.getresponse().status


def rows(shop: Shop, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(shop.path)) as database:
        return database.execute(query).fetchall()


def test_a_new_shipment_is_stored_as_an_order(shop):
    assert post(shop, CREATED) == 204
    assert rows(shop, "SELECT reference, article, quantity, state, freight FROM orders") == [
        ("SO-1", "Wool blanket", 3, "booked", "21.40 EUR")
    ]


def test_collection_decreases_the_stock_and_tells_the_customer(shop):
    assert [post(shop, CREATED), post(shop, COLLECTED)] == [204, 204]
    assert rows(shop, "SELECT pieces FROM stock WHERE article = 'Wool blanket'") == [(STOCK["Wool blanket"] - 3,)]
    assert rows(shop, "SELECT reference, text FROM messages") == [("SO-1", "Your order is on its way.")]


def test_the_same_event_twice_arrives_twice_and_takes_effect_once(shop):
    assert [post(shop, each) for each in (CREATED, COLLECTED, COLLECTED)] == [204, 204, 204]
    assert rows(shop, "SELECT event_id FROM arrivals") == [("evt_1",), ("evt_2",), ("evt_2",)]
    assert rows(shop, "SELECT pieces FROM stock WHERE article = 'Wool blanket'") == [(STOCK["Wool blanket"] - 3,)]


def test_a_return_brings_the_stock_back(shop):
    sent = (CREATED, COLLECTED, event(3, "shipment.status.returned"))
    assert [post(shop, each) for each in sent] == [204, 204, 204]
    assert rows(shop, "SELECT pieces FROM stock WHERE article = 'Wool blanket'") == [(STOCK["Wool blanket"],)]
    assert rows(shop, "SELECT state FROM orders") == [("returned",)]


def test_a_wrong_signature_is_refused_and_leaves_no_trace(shop):
    assert post(shop, CREATED, secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") == 401
    assert rows(shop, "SELECT count(*) FROM arrivals") == [(0,)]
    assert rows(shop, "SELECT count(*) FROM orders") == [(0,)]


def test_a_test_event_has_no_effect(shop):
    assert post(shop, CREATED | {"test": True}) == 204
    assert rows(shop, "SELECT count(*) FROM orders") == [(0,)]


def test_new_eta_and_documents_are_written_down(shop):
    post(shop, CREATED)
    post(shop, event(2, "shipment.eta_changed", eta={"at": "2026-12-09T12:00:00Z", "date": None}))
    post(shop, event(3, "shipment.document_added", document={"kind": "pod", "url": "https://papers.example/1"}))
    assert rows(shop, "SELECT promised FROM orders") == [("2026-12-09T12:00:00Z",)]
    assert rows(shop, "SELECT kind, url FROM papers") == [("pod", "https://papers.example/1")]
