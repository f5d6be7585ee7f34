"""Feature flags: whom a rule reaches, and what holds when rules cannot be read."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datapunk.context import Trace, WorkContext, working
from datapunk.errors import ConfigurationError
from datapunk.flags import Evaluation, Reason, catalogue, evaluate, provider, stores, value
from datapunk.flags.catalogue import LAKE_INGEST, LAKE_ROWS_PER_INSERT, Flag
from datapunk.flags.evaluation import context_of
from datapunk.identity import Caller
from datapunk.settings import settings
from openfeature import api

from tests.support.rules import OFF, ON, AppConfig, appconfig, boolean, other, rule, write

ACME = Caller("user:ann", "acme", roles=("editor",))
OTHER = Caller("user:bob", "other")
Clock = Any


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    settings.cache_clear()
    provider.forget()
    yield
    settings.cache_clear()
    provider.forget()


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of rules that is in force."""
    path = tmp_path / "flags.json"
    monkeypatch.setenv("FEATURE_FLAGS", f"file:{path}")
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time by which rules grow old: add to its only item."""
    now = [1_000.0]
    monkeypatch.setattr(f"{stores.__name__}.time.monotonic", lambda: now[0])
    return now


def _as(caller: Caller, flag: Flag[Any] = LAKE_INGEST, **attributes: Any) -> Evaluation[Any]:
    work = WorkContext(
        "lake.insert_records", "c", Trace("1" * 32, "2" * 16), time.monotonic() + 30, caller
    )
    with working(work):
        return evaluate(flag, **attributes)


def _metrics(captured: str, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in captured.splitlines() if line.startswith("{")]
    return [line for line in lines if name in line]


def test_without_rules_a_flag_has_its_default_and_no_library_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given
    monkeypatch.setenv("FEATURE_FLAGS", "")
    monkeypatch.setitem(sys.modules, "datapunk.flags.provider", None)
    # When
    found = _as(ACME)
    # Then
    assert found == Evaluation(value=True, reason=Reason.DEFAULT)


def test_a_switch_flips_for_one_tenant_only(rules: Path, clock: list[float]) -> None:
    # Given
    write(rules, {})
    before = _as(ACME), _as(OTHER)
    # When an operator writes a rule, and the rules have grown old
    write(rules, {"lake.ingest": boolean(ON, acme=rule(OFF, ("tenant", "EQUALS", "acme")))})
    clock[0] += stores.FILE_SECONDS
    # Then
    assert before == (Evaluation(ON, Reason.DEFAULT), Evaluation(ON, Reason.DEFAULT))
    assert _as(ACME) == Evaluation(OFF, Reason.TARGETING_MATCH)
    assert _as(OTHER) == Evaluation(ON, Reason.DEFAULT)


@pytest.mark.parametrize(
    ("condition", "reached"),
    [
        (("principal", "EQUALS", "user:ann"), True),
        (("principal", "IN", ["user:bob"]), False),
        (("roles", "ANY_IN_VALUE", ["editor", "admin"]), True),
        (("operation", "STARTSWITH", "lake."), True),
        (("dataset", "EQUALS", "co2"), True),
        (("stage", "EQUALS", "prod"), False),
        (("nothing", "NOT_EQUALS", "x"), False),
    ],
)
def test_rules_look_at_the_caller_the_operation_and_declared_attributes(
    rules: Path, condition: tuple[str, str, Any], *, reached: bool
) -> None:
    # Given
    write(rules, {"lake.ingest": boolean(ON, only=rule(OFF, condition))})
    # When
    found = _as(ACME, dataset="co2")
    # Then
    assert found.value is not reached


def test_a_share_of_callers_is_reached_and_always_the_same(rules: Path) -> None:
    # Given a quarter of the buckets
    quarter = {"BASE": 100, "START": 0, "END": 24}
    write(
        rules,
        {"lake.rows_per_insert": other(500, few=rule(10, ("bucket", "MODULO_RANGE", quarter)))},
    )
    callers = [Caller(f"user:{number}", "acme") for number in range(1_000)]
    # When
    first, second = (
        [_as(caller, LAKE_ROWS_PER_INSERT).value for caller in callers] for _ in range(2)
    )
    # Then
    assert first == second
    assert 200 < first.count(10) < 300
    assert set(first) == {10, 500}


def test_the_buckets_of_two_flags_have_nothing_to_do_with_each_other() -> None:
    # Given / When
    pairs = set()
    for number in range(200):
        work = WorkContext("x.y", "c", Trace("1" * 32, "2" * 16), 0, Caller(f"user:{number}", "t"))
        with working(work):
            pairs.add((context_of("a")["bucket"], context_of("b")["bucket"]))
    # Then
    assert len(pairs) > 190
    assert len({first for first, _ in pairs}) > 70


def test_it_is_asked_through_openfeature(rules: Path) -> None:
    # Given
    write(rules, {"lake.rows_per_insert": other(7)})
    _as(ACME)
    # When any other code asks as OpenFeature documents it
    client = api.get_client(provider.DOMAIN)
    details = client.get_integer_details("lake.rows_per_insert", 1)
    # Then
    assert (details.value, details.reason) == (7, "STATIC")
    assert client.get_object_value("lake.rows_per_insert", {"mine": 1}) == {"mine": 1}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lake.ingest": {}}', '{"lake.ingest": 1}'])
def test_rules_that_cannot_be_read_leave_the_last_ones_in_force(
    rules: Path, clock: list[float], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    # Given
    write(rules, {"lake.ingest": boolean(OFF)})
    before = _as(ACME)
    # When
    write(rules, text)
    clock[0] += stores.FILE_SECONDS
    found = _as(ACME)
    output = capsys.readouterr().out
    # Then
    assert before == Evaluation(OFF, Reason.STATIC)
    assert found == Evaluation(OFF, Reason.STALE)
    (fallback,) = _metrics(output, "flag_fallback_total")
    assert (fallback["flag"], fallback["reason"]) == ("lake.ingest", "stale")
    assert [line["source"] for line in _metrics(output, "flag_store_failures_total")] == ["file"]
    # And once they are mended, the new ones hold
    write(rules, {"lake.ingest": boolean(ON)})
    clock[0] += stores.PAUSE
    assert _as(ACME) == Evaluation(ON, Reason.STATIC)


def test_rules_that_were_never_there_leave_the_declared_default(
    rules: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given no file
    # When
    found = [_as(ACME) for _ in range(3)]
    output = capsys.readouterr().out
    # Then
    assert found == [Evaluation(ON, Reason.ERROR)] * 3
    assert len(_metrics(output, "flag_fallback_total")) == 3
    # The file is looked for once, not by every question.
    assert len(_metrics(output, "flag_store_failures_total")) == 1


@pytest.mark.parametrize("wrong", [True, 1.5, "many", None, [1]])
def test_a_value_of_another_type_is_not_taken(rules: Path, wrong: Any) -> None:
    # Given
    write(rules, {"lake.rows_per_insert": other(wrong)})
    # When
    found = _as(ACME, LAKE_ROWS_PER_INSERT)
    # Then
    assert found == Evaluation(LAKE_ROWS_PER_INSERT.default, Reason.ERROR)


def test_flags_that_this_version_does_not_know_are_passed_over(rules: Path) -> None:
    # Given rules that a newer version of the code was deployed with
    write(rules, {"lake.of_tomorrow": boolean(ON), "lake.ingest": boolean(OFF)})
    # When / Then
    assert _as(ACME) == Evaluation(OFF, Reason.STATIC)


def test_a_flag_or_an_attribute_that_is_not_declared_is_an_error(rules: Path) -> None:
    # Given
    undeclared = Flag("lake.mine", default=False, owner="lake", description="")
    # When / Then
    with pytest.raises(LookupError, match="no flag of the catalogue"):
        value(undeclared)
    with pytest.raises(LookupError, match="does not declare: colour"):
        value(LAKE_INGEST, colour="red")


@pytest.mark.parametrize("source", ["file:", "appconfig:a/b", "s3:bucket", "appconfig:a//c"])
def test_a_source_of_another_kind_is_a_wrong_setting(source: str) -> None:
    # Given / When / Then
    with pytest.raises(ConfigurationError):
        stores.open_rules(source)


@pytest.mark.parametrize(
    ("default", "kind"), [(True, "boolean"), (3, "integer"), (0.5, "number"), ("a", "string")]
)
def test_every_type_is_asked_for_in_its_own_words(
    rules: Path, monkeypatch: pytest.MonkeyPatch, default: Any, kind: str
) -> None:
    # Given
    flag: Flag[Any] = Flag("lake.any", default=default, owner="lake", description="")
    monkeypatch.setitem(catalogue.FLAGS, flag.name, flag)
    write(rules, {"lake.any": boolean(OFF) if kind == "boolean" else other(default)})
    # When
    found = _as(ACME, flag)
    # Then
    assert flag.kind == kind
    assert found == Evaluation(default if kind != "boolean" else False, Reason.STATIC)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppConfig]:
    """Return a server like AppConfig, which is where the rules are."""
    with appconfig() as server:
        monkeypatch.setenv("FEATURE_FLAGS", "appconfig:app-1/env-1/profile-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_APPCONFIGDATA", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


def test_appconfig_is_read_once_in_45_seconds_by_one_session(
    aws: AppConfig, clock: list[float]
) -> None:
    # Given
    aws.rules = {"lake.ingest": boolean(OFF)}
    # When
    first = [_as(ACME).value for _ in range(5)]
    readings = aws.readings
    clock[0] += stores.APPCONFIG_SECONDS
    second = [_as(ACME).value for _ in range(5)]
    aws.rules = {"lake.ingest": boolean(ON)}
    third = _as(ACME).value
    clock[0] += stores.APPCONFIG_SECONDS
    # Then
    assert (first, second, third, _as(ACME).value) == ([False] * 5, [False] * 5, False, True)
    assert (readings, aws.readings, aws.sessions) == (1, 3, 1)
    assert aws.asked_for == {
        "ApplicationIdentifier": "app-1",
        "EnvironmentIdentifier": "env-1",
        "ConfigurationProfileIdentifier": "profile-1",
    }


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_an_appconfig_that_is_gone_is_left_alone_and_asked_anew(
    aws: AppConfig, clock: list[float], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    # Given
    monkeypatch.setattr(stores, "READ_TIMEOUT", 0.3)
    aws.rules = {"lake.ingest": boolean(OFF)}
    assert _as(ACME) == Evaluation(OFF, Reason.STATIC)
    # When
    setattr(aws, fault, 1.0)
    clock[0] += stores.APPCONFIG_SECONDS
    gone = [_as(ACME) for _ in range(5)]
    asked = aws.readings
    setattr(aws, fault, 0.0)
    aws.rules = {}
    clock[0] += stores.PAUSE
    # Then the switch holds, one question in five waited, and a new session finds the new rules
    assert gone == [Evaluation(OFF, Reason.STALE)] * 5
    assert asked == 2
    assert _as(ACME) == Evaluation(ON, Reason.DEFAULT)
    assert aws.sessions == 2
