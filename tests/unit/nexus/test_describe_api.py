"""nexus.describe_api: the document of every route, and a page that needs no other host."""

from __future__ import annotations

import importlib
import re
from typing import Any

from datapunk.http import HttpFunction

from tests.support.invoking import Invoker, answer
from tests.support.samples import http_event, load_sample, operations

OPERATION = "nexus.describe_api"


def _page(path: str) -> dict[str, Any]:
    return {**http_event(OPERATION), "path": path, "resource": path}


def _is_ours(operation: str) -> bool:
    return isinstance(getattr(importlib.import_module(operation), "app", None), HttpFunction)


def test_the_sample_is_the_document(invoke: Invoker) -> None:
    # Given all that our own edge answers; other protocols have descriptions of their own
    samples = [load_sample(operation) for operation in operations() if _is_ours(operation)]
    wanted = {
        (sample["httpMethod"].lower(), sample["resource"].replace("+}", "}")) for sample in samples
    }
    # When
    found = invoke(OPERATION)
    # Then
    assert found.status == 200
    assert found.json["openapi"].startswith("3.0")
    described = {(method, path) for path, item in found.json["paths"].items() for method in item}
    assert wanted - described <= {("get", "/openapi.json"), ("get", "/docs")}


def test_the_page_loads_nothing_from_elsewhere() -> None:
    # Given / When
    page = answer(OPERATION, _page("/docs"))
    # Then
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page.body) == []
    assert "openapi.json" in page.body


def test_another_page_is_not_found() -> None:
    # Given / When
    page = answer(OPERATION, _page("/other"))
    # Then
    assert page.status == 404
