"""Decisions as functions ask for them; what the policy says is in its own cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from datapunk.context import Trace, WorkContext, working
from datapunk.errors import ConfigurationError, ForbiddenError, UnauthenticatedError
from datapunk.identity import SYSTEM, Caller
from datapunk.policy import Decision, Resource, decide, decisions, may_see, require
from datapunk.policy.engine import Engine, engine

EDITOR = Caller("user:1", "acme", ("editor",), ("read", "write"))
VIEWER = Caller("user:2", "acme", ("viewer",), ("read", "write"))


class Broken(Engine):
    """An engine that gives the answer it is made with."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def ask(self, entrypoint: str, question: object) -> object:  # noqa: ARG002 -- as the real one
        return self.answer


def test_a_decision_allows_or_says_why_not() -> None:
    # Given / When
    allowed, refused = (decide(caller, "lake.create_dataset") for caller in (EDITOR, VIEWER))
    # Then
    assert allowed == Decision(allow=True, scope="write")
    assert allowed.reason == ""
    assert refused == Decision(allow=False, objections=("role",), scope="write")
    assert refused.reason == "None of your roles allows this."


def test_a_missing_scope_is_named() -> None:
    # Given
    reader = Caller("user:1", "acme", ("editor",), ("read",))
    # When
    decision = decide(reader, "lake.create_dataset")
    # Then
    assert decision.reason == "The credentials lack the scope write."


def test_the_most_telling_objection_is_told() -> None:
    # Given / When
    decision = decide(Caller(), "lake.create_dataset", Resource(tenant="acme"))
    # Then
    assert set(decision.objections) == {"authenticated", "role", "scope", "tenant"}
    assert decision.reason == "This needs credentials."


@pytest.mark.parametrize(
    ("owner", "allowed"), [("user:2", True), ("user:1", False), ("user:", False), ("", False)]
)
def test_an_owner_is_the_very_principal(owner: str, *, allowed: bool) -> None:
    # Given one whose decision without an owner is already remembered
    assert decide(VIEWER, "nexus.get_user").allow
    # When / Then
    assert decide(VIEWER, "nexus.get_user", Resource(owner=owner)).allow is allowed


def test_the_network_counts_where_the_policy_says_so() -> None:
    # Given
    admin = Caller("user:1", "acme", ("admin",), ("read", "admin"))
    # When / Then
    assert decide(admin, "nexus.list_users").allow
    assert not decide(admin, "nexus.list_users", trusted_network=False).allow
    assert decide(admin, "lake.list_datasets", trusted_network=False).allow


def test_require_goes_on_or_raises() -> None:
    # Given / When / Then
    require("lake.create_dataset", caller=EDITOR)
    with pytest.raises(ForbiddenError, match="None of your roles allows this"):
        require("lake.create_dataset", caller=VIEWER)
    with pytest.raises(UnauthenticatedError, match="This needs credentials"):
        require("lake.create_dataset", caller=Caller())


def test_require_asks_for_the_caller_of_the_work_in_hand() -> None:
    # Given
    work = WorkContext("lake.create_dataset", "c", Trace("1" * 32, "2" * 16), 0.0, caller=EDITOR)
    # When / Then
    with working(work):
        require("lake.create_dataset")
        with pytest.raises(ForbiddenError, match="another tenant"):
            require("lake.create_dataset", Resource(tenant="umbrella"))
    with pytest.raises(UnauthenticatedError):
        require("lake.create_dataset")


def test_the_platform_itself_does_not_come_through_a_door() -> None:
    # Given / When
    decision = decide(SYSTEM, "lake.list_datasets")
    # Then
    assert not decision.allow
    assert "own_tenant" in decision.objections


@pytest.mark.parametrize(
    "answer",
    [None, True, [], {}, {"allow": "true"}, {"allow": 1, "objections": []}, {"objections": []}],
)
def test_a_policy_that_cannot_decide_refuses(
    answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an engine without a plain answer
    decisions._decide.cache_clear()
    monkeypatch.setattr(decisions, "engine", lambda: Broken(answer))
    # When
    decision = decide(EDITOR, "lake.create_dataset")
    seen = may_see(EDITOR, Resource(table="lake.datasets", tenant="acme"))
    decisions._decide.cache_clear()
    # Then
    assert not decision.allow
    assert decision.reason == "The policy could not decide."
    assert seen is (answer is True)


@pytest.mark.parametrize(
    "question", [{}, {"caller": {"principal": None}}, {"caller": {"principal": 1, "actors": 2}}]
)
def test_a_malformed_question_has_no_yes(question: dict[str, object]) -> None:
    # Given / When
    answer = engine().ask("datapunk/decision", question)
    # Then
    assert answer is None or answer["allow"] is False


def test_an_unknown_entry_point_has_no_answer() -> None:
    # Given / When / Then
    assert engine().ask("datapunk/nothing", {}) is None


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    # Given
    file = tmp_path / "policy.bundle"
    file.write_bytes(b"no bundle")
    # When / Then
    with pytest.raises(ConfigurationError, match=r"policy\.bundle is no policy bundle"):
        Engine(file)
    with pytest.raises(ConfigurationError):
        Engine(tmp_path / "missing.bundle")


def test_rows_are_seen_by_their_tenant() -> None:
    # Given
    row = Resource(table="lake.datasets", tenant="acme")
    # When / Then
    assert may_see(EDITOR, row)
    assert not may_see(Caller("user:1", "umbrella"), row)
    assert not may_see(EDITOR, Resource(table="lake.nothing", tenant="acme"))
