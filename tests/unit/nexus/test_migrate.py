"""nexus.migrate: brings a database's schema up, once, and tells CloudFormation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datapunk.database.migrations import read_migrations
from datapunk.errors import ConfigurationError
from datapunk.settings import settings

from tests.support.answers import Answers
from tests.support.invoking import Invoker
from tests.support.samples import load_sample
from tests.support.services import Instance

OPERATION = "nexus.migrate"
ALL = [f"{item.version:04}_{item.name}" for item in read_migrations()]


@pytest.fixture
def empty(instance: Instance, environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return a database without any of our tables."""
    url = instance.new_database(template="template1")
    monkeypatch.setenv("DATABASE_URL", url)
    yield url
    instance.drop_database(url)


def test_the_sample_is_answered(empty: str, invoke: Invoker, cloudformation: Answers) -> None:
    # Given
    event = {**load_sample(OPERATION), "ResponseURL": cloudformation.url}
    # When
    outcome = invoke.event(OPERATION, event)
    # Then
    assert outcome == {"applied": ALL}
    assert [document["Status"] for document in cloudformation.documents] == ["SUCCESS"]


def test_a_second_run_applies_nothing(empty: str, invoke: Invoker) -> None:
    # Given
    invoke.event(OPERATION, {})
    # When
    outcome = invoke.event(OPERATION, {})
    # Then
    assert outcome == {"applied": []}


def test_without_a_database_cloudformation_hears_why(
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Invoker,
    cloudformation: Answers,
) -> None:
    # Given
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    event = {**load_sample(OPERATION), "ResponseURL": cloudformation.url}
    # When
    invoke.event(OPERATION, event)
    # Then
    (document,) = cloudformation.documents
    assert document["Status"] == "FAILED"
    assert "postgresql" in document["Reason"]
    assert "nothing" not in document["Reason"]


def test_postgis_is_made_sure_of_when_it_is_asked_for(
    geo_database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    monkeypatch.setenv("DATAPUNK_POSTGIS", "true")
    settings.cache_clear()
    # When / Then
    assert invoke.event(OPERATION, {}) == {"applied": []}


def test_who_may_not_create_postgis_hears_who_may(
    database: str, invoke: Invoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: as with every server but RDS, the platform's role is no superuser
    monkeypatch.setenv("DATAPUNK_POSTGIS", "true")
    settings.cache_clear()
    # When / Then
    with pytest.raises(ConfigurationError, match="CREATE EXTENSION postgis"):
        invoke.event(OPERATION, {})
