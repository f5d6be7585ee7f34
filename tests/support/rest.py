"""Two datasets to speak PostgREST about, stations and their readings, and a client that does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import forget_connections
from tests.support.invoking import Answer, Invoker
from tests.support.services import Instance

STATIONS: list[dict[str, Any]] = [
    {"code": "MLO", "name": "Mauna Loa", "height": 3397, "head": "MLO"},
    {"code": "SPO", "name": "South Pole", "height": 2810, "head": "MLO"},
    {"code": "CGO", "name": "Cape Grim", "height": 94, "head": None},
]
READINGS: list[dict[str, Any]] = [
    {"id": 1, "station": "MLO", "ppm": 316.5, "label": "calm day", "valid": "[1,5)"},
    {"id": 2, "station": "MLO", "ppm": 317.5, "label": "windy days", "valid": "[5,9)"},
    {"id": 3, "station": "SPO", "ppm": 314.0, "label": None, "valid": None},
    {"id": 4, "station": "SPO", "ppm": None, "label": "Calm", "valid": "[20,30)"},
    {"id": 5, "station": None, "ppm": 320.0, "label": "a,b(c)", "valid": "empty"},
]
DOCS: list[Any] = [
    {"city": "Hilo", "tags": ["a", "b"], "n": {"k": 1}},
    {"city": "Kona", "tags": [], "n": {"k": 2}},
    None,
    {"city": None},
    {"city": "Hobart", "tags": ["b"]},
]
GOOD: list[bool | None] = [True, False, None, True, False]
DAYS = ["2026-01-01", "2026-01-02", "2026-02-01", None, "2026-03-01"]
for _row, _doc, _good, _day in zip(READINGS, DOCS, GOOD, DAYS, strict=True):
    _row |= {"doc": _doc, "good": _good, "day": _day}

DEFINITIONS: list[dict[str, Any]] = [
    {
        "name": "stations",
        "key": ["code"],
        "columns": [
            {"name": "code", "type": "text"},
            {"name": "name", "type": "text"},
            {"name": "height", "type": "integer"},
            {"name": "head", "type": "text"},
        ],
        "references": [{"columns": ["head"], "dataset": "stations"}],
    },
    {
        "name": "readings",
        "key": ["id"],
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "station", "type": "text"},
            {"name": "ppm", "type": "number"},
            {"name": "label", "type": "text"},
            {"name": "valid", "type": "integer_range"},
            {"name": "doc", "type": "json"},
            {"name": "good", "type": "boolean"},
            {"name": "day", "type": "date"},
        ],
        "references": [{"columns": ["station"], "dataset": "stations"}],
    },
]


class Rest:
    """`rest("readings", select="id", id="eq.1")` reads; `rest.post("readings", rows)` and others write."""

    def __init__(self) -> None:
        self.invoke = Invoker()

    def __call__(self, dataset: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.read("GET", dataset, headers, **query)

    def read(
        self,
        method: str,
        dataset: str,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        sent = {"Accept": "application/json", "Prefer": "", **(headers or {})}
        path = {"dataset": dataset}
        return self.invoke("lake.read_rest", method=method, path=path, query=query, headers=sent)

    def write(
        self,
        method: str,
        dataset: str,
        body: Any = None,
        prefer: str = "return=representation",
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        sent = {"Prefer": prefer, "Content-Type": "application/json", **(headers or {})}
        return self.invoke(
            "lake.write_rest",
            method=method,
            path={"dataset": dataset},
            body="" if body is None else body,
            headers=sent,
            query=query,
        )

    def post(
        self, dataset: str, body: Any, prefer: str = "return=representation", **query: Any
    ) -> Answer:
        return self.write("POST", dataset, body, prefer, **query)

    def patch(
        self, dataset: str, body: Any, prefer: str = "return=representation", **query: Any
    ) -> Answer:
        return self.write("PATCH", dataset, body, prefer, **query)

    def put(
        self, dataset: str, body: Any, prefer: str = "return=representation", **query: Any
    ) -> Answer:
        return self.write("PUT", dataset, body, prefer, **query)

    def delete(self, dataset: str, prefer: str = "return=representation", **query: Any) -> Answer:
        return self.write("DELETE", dataset, None, prefer, **query)

    def put_function(self, name: str, definition: dict[str, Any], **others: Any) -> Answer:
        path = {"function": name}
        return self.invoke("lake.put_function", path=path, body=definition, **others)

    def rpc(
        self,
        function: str,
        arguments: Any = None,
        headers: dict[str, str] | None = None,
        caller: dict[str, Any] | None = None,
        **query: Any,
    ) -> Answer:
        """Call a function by POST."""
        return self._call("POST", function, headers, caller, query, arguments or {})

    def rpc_get(
        self,
        function: str,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        **query: Any,
    ) -> Answer:
        """Call a function by GET, arguments and filters together."""
        return self._call(method, function, headers, None, query, "")

    def _call(
        self,
        method: str,
        function: str,
        headers: dict[str, str] | None,
        caller: dict[str, Any] | None,
        query: dict[str, Any],
        body: Any,
    ) -> Answer:
        return self.invoke(
            "lake.call_function",
            method=method,
            path={"function": function},
            query=query,
            headers={"Accept": "application/json", "Prefer": "", **(headers or {})},
            body=body,
            **(caller or {}),
        )


def fill(invoke: Invoker) -> None:
    """Create the two datasets with their rows."""
    for definition, rows in zip(DEFINITIONS, (STATIONS, READINGS), strict=True):
        answer = invoke("lake.create_dataset", body=definition)
        assert answer.status == 201, answer.body
        answer = invoke(
            "lake.insert_records",
            path={"dataset": definition["name"]},
            body=rows,
            content_type="application/json",
        )
        assert answer.status == 201, answer.body


@contextmanager
def filled_database(instance: Instance) -> Iterator[str]:
    """Give a database with the two datasets, for tests that only read."""
    url = instance.borrow_database()
    forget_connections()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2F")
        patch.setenv("REDIS_URL", instance.url("redis"))
        fill(Invoker())
    yield url
    forget_connections()
    instance.give_back_database(url)
