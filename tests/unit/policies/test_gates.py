"""The gates a policy passes before it decides anything: a dangerous or wrong one makes no bundle."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infrastructure.policies.compiling import compile_policy
from infrastructure.policies.gates import PolicyError
from infrastructure.policies.sources import BUNDLE, Case, Policy, read_cases, read_policy

HEAD = "package datapunk\n\nimport rego.v1\n\n"
REST = "default visible := false\n"
ANSWER = 'decision := {"allow": yes}\n\ndefault yes := false\n\n'
ROUTE = "datapunk/decision"


def _policy(rules: str, *cases: Case) -> Policy:
    return Policy({"tried.rego": HEAD + ANSWER + rules + REST}, {"limits": {"size": 3}}, cases)


def test_a_good_policy_becomes_a_bundle() -> None:
    # Given
    policy = _policy("yes if input.size < data.limits.size\n")
    # When
    bundle = compile_policy(policy)
    # Then
    assert len(bundle) > 100


def test_the_same_policy_becomes_the_same_bundle() -> None:
    # Given
    policy = read_policy()
    # When
    bundles = {compile_policy(policy), compile_policy(policy)}
    # Then it is the one in the layer
    assert bundles == {BUNDLE.read_bytes()}


@pytest.mark.parametrize(
    "rule",
    [
        "yes if decision with input as {}\n",
        "yes if {\n\tdecision.allow with\n\tinput.size as 3\n}\n",
    ],
)
def test_replacing_the_input_is_refused(rule: str) -> None:
    # Given a policy that would end the engine's process
    policy = _policy(rule)
    # When / Then
    with pytest.raises(PolicyError, match=r"tried\.rego:\d+: `with`"):
        compile_policy(policy)


def test_the_line_of_the_refused_keyword_is_named() -> None:
    # Given the keyword in the eleventh line, and in places where it means nothing
    policy = _policy('# with\nyes if "with" == `with\n`\nyes if true with input.size as 3\n')
    # When / Then
    with pytest.raises(PolicyError, match=r"tried\.rego:12: "):
        compile_policy(policy)


def test_the_word_may_stand_in_comments_texts_and_names() -> None:
    # Given
    policy = _policy('# with input as\nwithout if input.name == "with"\n\nyes if without\n')
    # When / Then
    assert compile_policy(policy)


@pytest.mark.parametrize(
    "call",
    [
        'net.cidr_contains("203.0.113.0/24", input.ip)',
        'http.send({"url": input.ip}).ok',
        "nobody.knows(input.ip)",
        "forgotten(input.ip)",
    ],
)
def test_a_built_in_the_engine_lacks_is_refused(call: str) -> None:
    # Given a condition that would silently be undefined
    policy = _policy(f"yes if not {call}\n")
    # When / Then
    name = re.escape(call.partition("(")[0])
    with pytest.raises(PolicyError, match=rf"there is no {name}:"):
        compile_policy(policy)


def test_a_policy_must_not_read_the_environment() -> None:
    # Given
    policy = _policy("yes if opa.runtime().env.HOME\n")
    # When / Then
    with pytest.raises(PolicyError, match="environment"):
        compile_policy(policy)


def test_an_error_in_a_built_in_is_no_answer() -> None:
    # Given a condition that fails on a text, whose failure would count as "not so" otherwise
    broken = Case("a text has no absolute value", ROUTE, {"size": "many"}, {"allow": True})
    policy = _policy("yes if not abs(input.size) > 3\n", broken)
    # When / Then
    with pytest.raises(PolicyError, match="a text has no absolute value: expected"):
        compile_policy(policy)


def test_a_wrong_answer_is_named() -> None:
    # Given
    right = Case("small", ROUTE, {"size": 1}, {"allow": True})
    wrong = Case("large", ROUTE, {"size": 5}, {"allow": True})
    policy = _policy("yes if input.size < data.limits.size\n", right, wrong)
    # When / Then
    with pytest.raises(PolicyError) as raised:
        compile_policy(policy)
    assert "large: expected {'allow': True}, found {'allow': False}" in str(raised.value)
    assert "small" not in str(raised.value)


def test_what_is_no_rego_is_refused_with_the_engines_words() -> None:
    # Given
    policy = _policy("yes := \n")
    # When / Then
    with pytest.raises(PolicyError, match=r"Invalid assignment operator"):
        compile_policy(policy)


def test_an_engine_that_dies_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a policy that ends its process, let through by a first gate that slept
    monkeypatch.setattr("infrastructure.policies.compiling.refuse_with", lambda _: None)
    case = Case("dies", ROUTE, {"size": 1}, {"allow": True})
    policy = _policy("inner := input.size\n\nyes if inner == 1 with input as {}\n", case)
    # When / Then
    with pytest.raises(PolicyError):
        compile_policy(policy)


def test_cases_are_read_with_what_they_share(tmp_path: Path) -> None:
    # Given
    file = tmp_path / "shared.json"
    file.write_text(
        json.dumps(
            {
                "entrypoint": ROUTE,
                "question": {"resource": {}, "action": "lake.list_datasets"},
                "callers": {"ann": {"principal": "user:1", "scopes": ["read"]}},
                "cases": [
                    {"name": "a", "caller": "ann", "expected": []},
                    {
                        "name": "b",
                        "caller": "ann",
                        "changes": {"scopes": []},
                        "question": {"action": "x"},
                        "expected": ["scope"],
                    },
                ],
            }
        )
    )
    # When
    first, second = read_cases(file)
    # Then
    assert first.name == "shared: a"
    assert first.question["caller"] == {"principal": "user:1", "scopes": ["read"]}
    assert first.expected == {"allow": True, "objections": []}
    assert second.question["action"] == "x"
    assert second.question["caller"]["scopes"] == []
    assert second.expected == {"allow": False, "objections": ["scope"]}


def test_the_platforms_policy_has_cases_for_every_condition() -> None:
    # Given
    cases = [case for case in read_policy().cases if case.entrypoint == ROUTE]
    # When
    seen = {name for case in cases for name in case.expected["objections"]}
    # Then
    assert seen == {
        *("known_action", "authenticated", "scope", "role", "tenant"),
        *("platform_tenant", "network", "delegation", "own_tenant"),
    }
