"""What the platform's own routes answer."""

from __future__ import annotations

import pytest

from tests.e2e.web import MEMBERS, Web

READY = {
    "nexus": {"gateway_status", "auth_service", "postgresql", "redis", "rabbitmq"},
    "lake": {"postgresql", "redis", "rabbitmq"},
    "stream": {"postgresql", "redis", "rabbitmq"},
}


@pytest.mark.parametrize("module", READY)
@pytest.mark.parametrize("probe", ["live", "ready", "startup"])
def test_health(api: Web, module: str, probe: str) -> None:
    # When
    answer = api.get(f"/v1/{module}/health/{probe}")
    # Then
    health = answer.json()
    expected = {"live": set(), "ready": READY[module], "startup": {"settings", "schema"}}[probe]
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert set(health) == {"status", "service", "version", "time", "checks"}
    assert (health["status"], health["service"]) == ("up", module)
    assert {check["name"] for check in health["checks"]} == expected
    for check in health["checks"]:
        assert set(check) == {"name", "status", "latency_ms", "required", "detail"}
        assert check["status"] == "up"


def test_the_openapi_document_names_every_route_and_the_errors_shape(api: Web) -> None:
    # When
    document = api.get("/openapi.json").json()
    # Then
    assert document["openapi"].startswith("3.0")
    assert {
        "/v1/lake/datasets",
        "/v1/lake/datasets/{dataset}",
        "/v1/lake/datasets/{dataset}/records",
        "/v1/stream/events",
        "/v1/nexus/health/{probe}",
        "/openapi.json",
    } <= set(document["paths"])
    assert set(document["components"]["schemas"]["Problem"]["required"]) == MEMBERS


def test_the_reference_page_loads_nothing_from_elsewhere(api: Web) -> None:
    # When
    answer = api.get("/docs")
    # Then
    page = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert 'url: "openapi.json"' in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_a_correlation_and_a_trace_go_through(api: Web) -> None:
    # Given
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    # When
    given = api.get(
        "/v1/lake/datasets",
        X_Correlation_Id="order-4711",
        traceparent=f"00-{trace}-00f067aa0ba902b7-01",
    )
    made = api.get("/v1/lake/datasets")
    # Then
    assert given.headers["x-correlation-id"] == "order-4711"
    assert given.headers["traceparent"].split("-")[1] == trace
    assert made.headers["x-correlation-id"]
    assert made.headers["traceparent"].split("-")[1] != trace
