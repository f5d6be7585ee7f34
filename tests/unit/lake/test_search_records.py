"""lake.search_records: near vectors, words, both in one ranking; filtered, in batches; of one tenant."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.articles import ARTICLES
from tests.support.invoking import Answer, Invoker
from tests.unit.lake.conftest import Insert

OPERATION = "lake.search_records"
WORDS = ("carbon", "dioxide", "ocean", "ice", "snow", "weather", "station", "island")
DISTANCES: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "cosine": lambda a, b: 1 - _dot(a, b) / (math.hypot(*a) * math.hypot(*b)),
    "euclidean": math.dist,
    "inner_product": lambda a, b: -_dot(a, b),
}


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _rows(count: int, seed: int = 5) -> list[dict[str, Any]]:
    chance = random.Random(seed)  # noqa: S311 -- data
    return [
        {
            "id": number,
            "title": " ".join(chance.choices(WORDS, k=3)),
            "body": " ".join(chance.choices(WORDS, k=6)),
            "year": 1990 + number % 20,
            "price": "0.10",
            "embedding": [round(chance.uniform(-1, 1), 3) for _ in range(3)],
        }
        for number in range(count)
    ]


@pytest.fixture
def articles(database: str, invoke: Invoker, insert: Insert) -> list[dict[str, Any]]:
    """Insert 60 articles and one without a vector, and return them."""
    assert invoke("lake.create_dataset", body=ARTICLES).status == 201
    rows = [*_rows(60), {**_rows(1)[0], "id": 60, "embedding": None}]
    assert insert("articles", rows).status == 201
    return rows


@pytest.fixture
def search(invoke: Invoker) -> Callable[..., Answer]:
    """Return `search(query, ..., limit=3)` over the articles."""

    def ask(*queries: dict[str, Any], dataset: str = "articles", **rest: Any) -> Answer:
        return invoke(
            OPERATION, path={"dataset": dataset}, query={}, body={"queries": list(queries), **rest}
        )

    return ask


def _ids(answer: Answer, place: int = 0) -> list[int]:
    assert answer.status == 200, answer.body
    return [hit["record"]["id"] for hit in answer.json["results"][place]["items"]]


def test_the_sample_is_answered(articles: Any, invoke: Invoker) -> None:
    # When
    answer = invoke(OPERATION)
    # Then
    (result,) = answer.json["results"]
    assert len(result["items"]) == 5
    assert set(result["items"][0]["record"]) == {"title", "year"}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("exact", [True, False])
def test_the_nearest_come_first_in_the_distance_declared(
    distance: str,
    exact: bool,  # noqa: FBT001
    database: str,
    invoke: Invoker,
    insert: Insert,
    search: Any,
) -> None:
    # Given
    column = {"name": "embedding", "type": "vector"} | {
        "vector": {"dimension": 3, "distance": distance}
    }
    definition = {**ARTICLES, "columns": [*ARTICLES["columns"][:-1], column]}
    assert invoke("lake.create_dataset", body=definition).status == 201
    rows = _rows(40)
    assert insert("articles", rows).status == 201
    # When
    answer = search({"vector": [0.3, -0.2, 0.9]}, limit=7, exact=exact)
    # Then
    near = sorted(rows, key=lambda row: DISTANCES[distance](row["embedding"], [0.3, -0.2, 0.9]))
    assert _ids(answer) == [row["id"] for row in near[:7]]
    first = answer.json["results"][0]["items"][0]
    expected = DISTANCES[distance](near[0]["embedding"], [0.3, -0.2, 0.9])
    assert first["distance"] == pytest.approx(expected, abs=1e-5)
    assert (first["score"], first["relevance"]) == (1 / 61, None)


def test_words_are_found_across_columns_and_by_their_stems(
    articles: list[dict[str, Any]], insert: Insert, search: Any
) -> None:
    # Given
    row = {**articles[0], "id": 900, "title": "Volcanoes erupting", "body": "lava"}
    assert insert("articles", [row]).status == 201
    # When / Then
    assert _ids(search({"text": "erupt"})) == [900]
    assert _ids(search({"text": "volcano lava"})) == [900]
    assert _ids(search({"text": "volcano -lava"})) == []
    assert _ids(search({"text": "volcano or nothing"})) == [900]


def test_a_batch_answers_each_query_by_itself(articles: Any, search: Any) -> None:
    # Given
    chance = random.Random(1)  # noqa: S311 -- data
    vectors = [[chance.uniform(-1, 1) for _ in range(3)] for _ in range(1_000)]
    # When
    answer = search(*[{"vector": vector} for vector in vectors], limit=2, select="id")
    # Then
    assert len(answer.json["results"]) == 1_000
    for place in (0, 499, 999):
        assert _ids(answer, place) == _ids(search({"vector": vectors[place]}, limit=2))


def test_columns_are_chosen_and_numbers_keep_their_digits(articles: Any, search: Any) -> None:
    # When
    query = {"vector": articles[3]["embedding"]}
    every = search(query, limit=1)
    chosen = search(query, limit=1, select="number:id,embedding,price")
    # Then
    assert "embedding" not in every.json["results"][0]["items"][0]["record"]
    assert '"price":0.10' in chosen.body
    record = chosen.json["results"][0]["items"][0]["record"]
    assert (record["number"], record["embedding"]) == (3, articles[3]["embedding"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"queries": [{}]}, "queries"),
        ({"queries": []}, "queries"),
        ({"queries": [{"vector": [1, 2]}]}, "queries.0.vector"),
        ({"queries": [{"vector": [0, 0, 0]}]}, "queries.0.vector"),
        ({"queries": [{"vector": [1, 2, 1e16]}]}, "queries"),
        ({"queries": [{"text": "a\x00b"}]}, "queries"),
        ({"column": "title"}, "column"),
        ({"filters": {"embedding": "eq.[1,2,3]"}}, "embedding"),
        ({"filters": {"nothing": "eq.1"}}, "nothing"),
        ({"filters": {"limit": "1"}}, "limit"),
        ({"select": "count()"}, "select"),
        ({"queries": [{"text": "a"}] * 1_000, "limit": 11}, "limit"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    change: dict[str, Any], field: str, articles: Any, invoke: Invoker
) -> None:
    # When
    body = {"queries": [{"vector": [1, 0, 0]}], **change}
    answer = invoke(OPERATION, path={"dataset": "articles"}, body=body)
    # Then
    assert answer.status == 422, answer.body
    assert any(field in error["field"] for error in answer.json["errors"]), answer.body


def test_another_tenant_finds_nothing(articles: Any, invoke: Invoker) -> None:
    # When
    body = {"queries": [{"text": "carbon or ice or snow"}]}
    answer = invoke(OPERATION, path={"dataset": "articles"}, body=body, tenant="other")
    # Then
    assert answer.status == 404


def _fused(
    rows: list[dict[str, Any]], vector: list[float], by_words: list[int], limit: int
) -> list[tuple[int, float]]:
    """Join both rankings as Cormack et al. describe it."""
    near = sorted(
        (row for row in rows if row["embedding"]),
        key=lambda row: (DISTANCES["cosine"](row["embedding"], vector), row["id"]),
    )
    scores: dict[int, float] = {}
    for ranking in ([row["id"] for row in near][:100], by_words[:100]):
        for rank, number in enumerate(ranking, 1):
            scores[number] = scores.get(number, 0.0) + 1 / (60 + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]


@given(
    seed=st.integers(0, 10_000),
    text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2, unique=True).map(" or ".join),
    years=st.tuples(st.integers(1988, 2010), st.integers(1988, 2012)),
    limit=st.integers(1, 30),
)
@hypothesis_settings(max_examples=15)
def test_a_filtered_hybrid_ranking_is_the_fusion_of_both(
    articles: list[dict[str, Any]],
    search: Any,
    seed: int,
    text: str,
    years: tuple[int, int],
    limit: int,
) -> None:
    # Given
    chance = random.Random(seed)  # noqa: S311 -- data
    vector = [chance.uniform(-1, 1) for _ in range(3)]
    filters = {"year": [f"gte.{years[0]}", f"lte.{years[1]}"]}
    kept = [row for row in articles if years[0] <= row["year"] <= years[1]]
    # When
    answer = search({"vector": vector, "text": text}, filters=filters, limit=limit)
    by_words = _ids(search({"text": text}, filters=filters, limit=100))
    by_vector = _ids(search({"vector": vector}, filters=filters, limit=100))
    # Then
    wanted = set(text.split(" or "))
    assert set(by_words) == {
        row["id"] for row in kept if wanted & {*row["title"].split(), *row["body"].split()}
    }
    near = sorted(
        (row for row in kept if row["embedding"]),
        key=lambda row: DISTANCES["cosine"](row["embedding"], vector),
    )
    assert by_vector == [row["id"] for row in near]
    found = [(hit["record"]["id"], hit["score"]) for hit in answer.json["results"][0]["items"]]
    expected = _fused(kept, vector, by_words, limit)
    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected])
