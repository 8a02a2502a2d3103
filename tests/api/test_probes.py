from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from api.asgi_client import Client
from api.conftest import QuietDelivery, TokenMaker
from waypost.api.app import create_app
from waypost.api.services import Services


async def test_the_process_says_that_it_is_alive(api: Client) -> None:
    assert (await api.call("GET", "/healthz")).json() == {"alive": True}


async def test_readiness_follows_the_delivery_side(api: Client, delivery: QuietDelivery) -> None:
    assert (await api.call("GET", "/readyz")).json() == {"ready": True, "database": True, "delivery": True}
    delivery.is_ready = False
    reply = await api.call("GET", "/readyz")
    assert (reply.status, reply.json()) == (503, {"ready": False, "database": True, "delivery": False})
    assert reply.headers["retry-after"]


async def test_figures_are_for_operators_unless_the_settings_say_otherwise(
    api: Client, caller: TokenMaker, services: Services
) -> None:
    writer = await caller("shipments:write", "endpoints:write", "read")
    assert (await writer.call("GET", "/metrics")).status == 403
    assert (await api.call("GET", "/metrics")).headers["content-type"].startswith("text/plain")


async def test_requests_are_counted_by_operation_and_not_by_path(api: Client) -> None:
    await api.call("PUT", "/v1/shipments/SO-1", {})
    await api.call("PUT", "/v1/shipments/SO-2", {})
    await api.call("GET", "/v1/nowhere")
    figures = (await api.call("GET", "/metrics")).body.decode()
    assert 'waypost_http_requests_total{operation="put_shipment",status="201"} 2.0' in figures
    assert 'waypost_http_requests_total{operation="none",status="404"} 1.0' in figures
    assert 'waypost_http_request_seconds_count{operation="put_shipment"} 2.0' in figures
    assert "SO-1" not in figures


@pytest.mark.parametrize("path", ["/healthz", "/v1/shipments/SO-1", "/v1/events/stream", "/docs"])
async def test_head_answers_as_get_without_a_body(api: Client, path: str) -> None:
    await api.call("PUT", "/v1/shipments/SO-1", {})
    reply = await api.call("HEAD", path)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"]


async def test_answers_are_not_cached_and_not_guessed_at(api: Client) -> None:
    for path in ("/v1/shipments", "/v1/nowhere", "/healthz"):
        headers = (await api.call("GET", path)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_tokens_are_limited_only_when_the_operator_says_so(services: Services) -> None:
    limited = Client(create_app(replace(services, token_rate_per_minute=3, registry=CollectorRegistry())))
    replies = [await limited.call("GET", "/v1/events") for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert replies[-1].headers["retry-after"] == "20"


async def test_public_figures_need_no_token(services: Services) -> None:
    app = create_app(replace(services, metrics_public=True, registry=CollectorRegistry()))
    assert (await Client(app, token=None).call("GET", "/metrics")).status == 200
