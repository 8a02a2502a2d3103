"""Which operation a path means."""

import pytest

from waypost.api.router import Router

ROUTER = Router(
    [
        ("GET", "/v1/events", "list"),
        ("GET", "/v1/events/stream", "stream"),
        ("GET", "/v1/events/{id}", "one"),
        ("PUT", "/v1/shipments/{reference}", "put"),
        ("GET", "/v1/shipments/{reference}", "get"),
        ("GET", "/v1/endpoints/{id}/deliveries/{event_id}", "delivery"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "target", "parameters"),
    [
        ("GET", "/v1/events", "list", {}),
        ("GET", "/v1/events/stream", "stream", {}),
        ("GET", "/v1/events/evt_1", "one", {"id": "evt_1"}),
        ("PUT", "/v1/shipments/a%2Fb", "put", {"reference": "a%2Fb"}),
        ("GET", "/v1/endpoints/ep_1/deliveries/evt_2", "delivery", {"id": "ep_1", "event_id": "evt_2"}),
    ],
)
def test_a_path_leads_to_its_operation(method, path, target, parameters):
    found, given = ROUTER.find(path)
    assert (found[method], given) == (target, parameters)


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/", "/v2/events", "/v1/events/", "/v1/events/a/b", "/v1//events", "/v1/shipments/", "//", "*"],
)
def test_a_path_nobody_has_leads_nowhere(path):
    assert ROUTER.find(path) == ({}, {})


def test_one_path_holds_all_its_methods():
    assert sorted(ROUTER.find("/v1/shipments/x")[0]) == ["GET", "PUT"]
