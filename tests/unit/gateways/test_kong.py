"""The routes as Kong's declarative configuration."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from infrastructure.gateways.kong import build_kong
from infrastructure.gateways.routes import read_routes
from tests.support.samples import PROJECT, http_operations, load_sample

GATEWAYS = ["10.0.0.1:8080", "10.0.0.2:8080"]


def test_every_route_is_there_once_with_a_name_of_its_own() -> None:
    # Given / When
    services = build_kong(read_routes(), GATEWAYS)["services"]
    # Then
    routes = [route for service in services for route in service["routes"]]
    assert len({service["name"] for service in services}) == len(services)
    assert len({route["name"] for route in routes}) == len(routes) == len(read_routes())


def test_both_gateways_share_and_are_probed_as_the_specification_says() -> None:
    # Given / When
    (upstream,) = build_kong(read_routes(), GATEWAYS)["upstreams"]
    # Then
    assert [item["target"] for item in upstream["targets"]] == GATEWAYS
    probe = upstream["healthchecks"]["active"]
    assert (probe["unhealthy"]["interval"], probe["timeout"]) == (5, 3)
    assert probe["unhealthy"]["http_failures"] == 3


@pytest.mark.parametrize("operation", http_operations())
def test_a_sample_is_led_to_its_operation_and_no_other(operation: str) -> None:
    # Given
    sample = load_sample(operation)
    # When
    fitting = [
        (route["regex_priority"], service["name"])
        for service in build_kong(read_routes(), GATEWAYS)["services"]
        for route in service["routes"]
        if sample["httpMethod"] in route["methods"]
        and re.match(route["paths"][0].removeprefix("~"), sample["path"])
    ]
    # Then
    first = max(priority for priority, _ in fitting)
    assert [name for priority, name in fitting if priority == first] == [operation]


def test_the_command_prints_yaml() -> None:
    # Given
    command = [sys.executable, "-m", "infrastructure.gateways", "kong", "--gateway", GATEWAYS[0]]
    # When
    answer = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )
    # Then
    document = yaml.safe_load(answer.stdout)
    assert document == build_kong(read_routes(), GATEWAYS[:1])
    assert document["_format_version"] == "3.0"


def test_an_address_that_is_none_is_refused() -> None:
    # Given
    wrong = "127.0.0.1:80; include /etc/passwd"
    command = [sys.executable, "-m", "infrastructure.gateways", "nginx", "--gateway", wrong]
    # When
    answer = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    # Then
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "is not host:port" in answer.stderr
