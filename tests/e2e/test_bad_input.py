"""Whatever is sent: a problem document that names the field, and nothing half written."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.clone import Clone
from tests.e2e.web import CLOUD_EVENT, CSV, JSON, NDJSON, Web, assert_problem

DATASETS = "/v1/lake/datasets"
EVENTS = "/v1/stream/events"
AUTHORIZER = "datapunk-local-nexus-authorize"
MEBIBYTE = 1024 * 1024
META = [
    "'; DROP TABLE lake.datasets; --",
    '"; DROP SCHEMA lake CASCADE; --',
    "x' OR '1'='1",
    "1); DELETE FROM stream.events; --",
    "$$; select pg_sleep(9); $$",
    "\\'; copy lake.datasets to '/tmp/x'; --",
    "%s %(name)s {0} \\x00",
    "a\x00b",
    "/**/UNION/**/SELECT/**/1",
]


def definition(name: str, **changes: Any) -> dict[str, Any]:
    """Return a good dataset definition, changed."""
    columns = [
        {"name": "id", "type": "integer"},
        {"name": "label", "type": "text"},
        {"name": "at", "type": "timestamp"},
        {"name": "price", "type": "decimal"},
        {"name": "active", "type": "boolean"},
        {"name": "extra", "type": "json"},
    ]
    return {"name": name, "columns": columns, "key": ["id"], **changes}


@pytest.fixture(scope="module")
def dataset(api: Web) -> str:
    """Return the name of a dataset with two rows."""
    name = f"goods_{uuid.uuid4().hex[:8]}"
    assert api.post(DATASETS, definition(name)).status == 201
    rows = [{"id": 1, "label": "one"}, {"id": 2, "label": "it's; --"}]
    assert api.post(f"{DATASETS}/{name}/records", rows).status == 201
    return name


@pytest.fixture
def untouched(api: Web, dataset: str) -> Iterator[None]:
    """Check that no test of this file has changed what is stored."""
    before = _stored(api, dataset)
    yield
    assert _stored(api, dataset) == before


def _stored(api: Web, dataset: str) -> list[Any]:
    answers = [
        api.get(f"{DATASETS}?limit=1000"),
        api.get(f"{DATASETS}/{dataset}/records"),
        api.get(f"{EVENTS}?subject={dataset}"),
        api.get(f"{EVENTS}?source=%2Fbad"),
    ]
    assert [answer.status for answer in answers] == [200] * len(answers)
    # The event of the fixture's rows may still be on its way.
    return [answers[0].json(), answers[1].json(), answers[3].json()]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, "body"),
        ('{"name": "a",}', 400, "body"),
        (b"\xff\xfe", 400, "body"),
        ("[]", 422, "body"),
        ("null", 422, "body"),
        ("{}", 422, "body"),
        ({"columns": [{"name": "id", "type": "text"}]}, 422, "name"),
        ({"name": "good_name", "columns": []}, 422, "columns"),
        ({"name": "good_name", "columns": "id"}, 422, "columns"),
        ({"name": 5, "columns": [{"name": "id", "type": "text"}]}, 422, "name"),
        (definition("good_name", columns=[{"name": "id", "type": "blob"}]), 422, "columns.0.type"),
        (definition("good_name", columns=[{"name": "limit", "type": "text"}]), 422, "columns"),
        (definition("good_name", key=["nope"]), 422, "body"),
        (definition("good_name", colour="red"), 422, "colour"),
        (definition("x" * 64), 422, "name"),
        (definition("good_name", description="x" * 5000), 422, "description"),
        (definition("good_name", description="a\x00b"), 422, "description"),
    ],
)
def test_a_definition_that_is_not_one(api: Web, body: Any, status: int, field: str) -> None:
    # When
    answer = api.post(DATASETS, body, JSON)
    # Then
    assert_problem(answer, status, field=field)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("body", "media_type", "status", "field"),
    [
        ('[{"id": 3', JSON, 400, "body"),
        ('{"id": 3}\n{"id": ', NDJSON, 400, "body"),
        ('id,label\n3,"open', CSV, 400, "body"),
        (b"id,label\n3,\xff\n", CSV, 400, "body"),
        (b"", CSV, 400, "body"),
        ('{"id": 3}', JSON, 422, "body"),
        ('[{"id": 3}, 5]', JSON, 422, "records.1"),
        ('[{"id": 3}, {"id": "four"}]', JSON, 422, "records.1.id"),
        ('[{"id": 3}, {"id": 4, "colour": "red"}]', JSON, 422, "records.1.colour"),
        ('[{"id": 3}, {"label": "keyless"}]', JSON, 422, "records.1.id"),
        ('[{"id": 99999999999999999999}]', JSON, 422, "records.0.id"),
        ('[{"id": 3, "label": "a\\u0000b"}]', JSON, 422, "records.0.label"),
        ('[{"id": 3, "extra": {"a": "\\u0000"}}]', JSON, 422, "records.0.extra"),
        ('{"id": 3}\n{"id": 4, "at": "yesterday"}\n', NDJSON, 422, "records.1.at"),
        ('{"id": 3}\n{"id": 4, "active": "perhaps"}\n', NDJSON, 422, "records.1.active"),
        ("id,label\n3,a\nfour,b\n", CSV, 422, "records.1.id"),
        ("id,label\n3,a\n4\n", CSV, 422, "records.1"),
        ("id,colour\n3,red\n", CSV, 422, "colour"),
        ("id,id\n3,3\n", CSV, 422, "id"),
        ("label\na\n", CSV, 422, "id"),
        ("id,price\n3,12.5\n4,cheap\n", CSV, 422, "records.1.price"),
        ("id,price\n3,NaN\n", CSV, 422, "records.0.price"),
        ('[{"id": 3}, {"id": 3}]', JSON, 409, "records.1"),
        ('[{"id": 3}, {"id": 1}]', JSON, 409, "records.1"),
        ("id\n3\n2\n", CSV, 409, "records.1"),
        ("<rows/>", "application/xml", 415, "content-type"),
        ('[{"id": 3}]', "text/plain", 415, "content-type"),
        ('[{"id": 3}]', None, 415, "content-type"),
    ],
)
def test_records_that_do_not_fit(
    api: Web, dataset: str, body: Any, media_type: str | None, status: int, field: str
) -> None:
    # When
    answer = api.post(f"{DATASETS}/{dataset}/records", body, media_type)
    # Then
    assert_problem(answer, status, field=field)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("size", [6 * MEBIBYTE + 1, 10 * MEBIBYTE + 1])
@pytest.mark.parametrize("media_type", [JSON, CSV, NDJSON])
def test_a_body_that_is_too_large(api: Web, dataset: str, size: int, media_type: str) -> None:
    # When
    answer = api.post(f"{DATASETS}/{dataset}/records", b"1" * size, media_type)
    # Then
    assert_problem(answer, 413, field="body")


def test_a_body_in_the_charset_it_declares(api: Web) -> None:
    # Given
    name = f"words_{uuid.uuid4().hex[:8]}"
    columns = [{"name": "word", "type": "text"}]
    created = api.post(DATASETS, {"name": name, "columns": columns})
    # When
    inserted = api.post(
        f"{DATASETS}/{name}/records", "word\nnaïve\n".encode("latin-1"), "text/csv; charset=latin-1"
    )
    unknown = api.post(f"{DATASETS}/{name}/records", b"word\na\n", "text/csv; charset=klingon")
    # Then
    assert (created.status, inserted.status) == (201, 201)
    assert api.get(f"{DATASETS}/{name}/records").json()["items"] == [{"word": "naïve"}]
    assert_problem(unknown, 400, field="body")


@pytest.mark.usefixtures("untouched")
def test_names_that_are_unknown_or_taken(api: Web, dataset: str) -> None:
    # When
    unknown = api.get(f"{DATASETS}/nothing_like_it")
    unread = api.get(f"{DATASETS}/nothing_like_it/records")
    unwritten = api.post(f"{DATASETS}/nothing_like_it/records", [{"id": 1}])
    duplicate = api.post(DATASETS, definition(dataset))
    # Then
    for answer in (unknown, unread, unwritten):
        problem = assert_problem(answer, 404, field="dataset")
        assert "nothing_like_it" in problem["detail"]
    assert dataset in assert_problem(duplicate, 409, field="name")["detail"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("text", META)
def test_sql_in_every_name(api: Web, dataset: str, text: str) -> None:
    # Given
    encoded = quote(text, safe="")
    columns = [{"name": text, "type": "text"}]
    # When
    answers = {
        "name": api.post(DATASETS, definition(text)),
        "columns.0.name": api.post(DATASETS, {"name": "good_name", "columns": columns}),
        "columns.0.type": api.post(
            DATASETS, {"name": "good_name", "columns": [{"name": "id", "type": text}]}
        ),
        "key.0": api.post(DATASETS, definition("good_name", key=[text])),
        "dataset": api.get(f"{DATASETS}/{encoded}/records"),
        "limit": api.get(f"{DATASETS}/{dataset}/records?limit={encoded}"),
        "cursor": api.get(f"{DATASETS}/{dataset}/records?cursor={encoded}"),
        "select": api.get(f"{DATASETS}/{dataset}/records?select={encoded}"),
        "order": api.get(f"{DATASETS}/{dataset}/records?order=id,{encoded}"),
        "id": api.get(f"{DATASETS}/{dataset}/records?id=eq.{encoded}"),
        "label": api.get(f"{DATASETS}/{dataset}/records?label={encoded}.x"),
        "at": api.get(f"{DATASETS}/{dataset}/records?at=gte.{encoded}"),
        "active": api.get(f"{DATASETS}/{dataset}/records?active=is.{encoded}"),
        text: api.get(f"{DATASETS}/{dataset}/records?{encoded}=eq.1"),
        f"records.0.{text}": api.post(f"{DATASETS}/{dataset}/records", [{"id": 7, text: 1}]),
    }
    listed = api.get(f"{DATASETS}?cursor={encoded}")
    # Then
    for field, answer in answers.items():
        assert_problem(answer, 422, field=field)
    assert_problem(listed, 422, field="cursor")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("text", [text for text in META if "\x00" not in text])
def test_sql_in_values_is_text(api: Web, dataset: str, text: str) -> None:
    # Given
    encoded = quote(text, safe="")
    # When
    found = api.get(f"{DATASETS}/{dataset}/records?label=eq.{encoded}")
    one_of = api.get(f'{DATASETS}/{dataset}/records?label=in.("{quote(_in_list(text), safe="")}")')
    by_subject = api.get(f"{EVENTS}?subject={encoded}&type={encoded}&source={encoded}")
    # Then
    for answer in (found, one_of, by_subject):
        assert (answer.status, answer.json()["items"]) == (200, [])


def _in_list(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, "body"),
        ({}, 422, "source"),
        ({"specversion": "1.0", "id": "1", "source": "/bad"}, 422, "type"),
        ({"specversion": "0.3", "id": "1", "source": "/bad", "type": "t"}, 422, "specversion"),
        ({"specversion": "1.0", "id": "", "source": "/bad", "type": "t"}, 422, "id"),
        (
            {"specversion": "1.0", "id": "1", "source": "/bad", "type": "t", "time": "soon"},
            422,
            "time",
        ),
    ],
)
def test_events_that_are_none(api: Web, body: Any, status: int, field: str) -> None:
    # When
    answer = api.post(EVENTS, body, CLOUD_EVENT)
    # Then
    assert_problem(answer, status, field=field)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/lake/nothing"),
        ("DELETE", DATASETS),
        ("PUT", f"{DATASETS}/goods/records"),
        ("GET", f"{DATASETS}//records"),
        ("GET", "/v1/lake/datasets/../../../etc/passwd"),
        ("GET", '/"quoted"\\and{braced}'.replace('"', "%22").replace("\\", "%5C")),
    ],
)
def test_routes_that_are_none(api: Web, method: str, path: str) -> None:
    # When
    answer = api.call(method, path)
    # Then
    problem = assert_problem(answer, 404)
    assert problem["instance"]


def test_nothing_above_has_failed_inside(platform: Clone, api: Web) -> None:
    # Given
    functions = api.get("/_datapunk/functions").json()["functions"]
    refusals = functions.pop(AUTHORIZER)["errors"]
    # When
    errors = {name: item["errors"] for name, item in functions.items() if item["errors"]}
    told = (platform.paths.logs / "nexus.authorize.log").read_text()
    # Then
    assert errors == {}
    # An authorizer refuses by failing with one word, which other tests of this platform make it say.
    assert len(re.findall(r"^\[ERROR\] Exception: Unauthorized", told, re.MULTILINE)) == refusals
    assert told.count("[ERROR]") == refusals
    for log in platform.paths.logs.glob("lake.*.log"):
        assert "Traceback" not in log.read_text(), log.name
