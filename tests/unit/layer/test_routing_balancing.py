"""Whose turn it is: smooth, by weight, shared by many processes, and without those that fail."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections import Counter
from collections.abc import Sequence

import pytest
from datapunk import cache
from datapunk.errors import UnavailableError
from datapunk.nexus.routing import balancing
from datapunk.nexus.routing.balancing import Member, Outcome, Turn, pick, states, tell
from datapunk.nexus.routing.instances import Instance, weigh
from datapunk.nexus.routing.rules import Canary, Ejection
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("environment")

POLICY = Ejection(failures=3, base_seconds=0.4, most_seconds=60)
ABC = [Member("a", 5), Member("b", 1), Member("c", 1)]


@pytest.fixture(params=["shared", "alone"])
def service(request: pytest.FixtureRequest) -> str:
    """Return a service that nobody has asked; counted in Redis, and by an environment alone."""
    if request.param == "alone":
        balancing._pause.begin()
    return f"service-{uuid.uuid4().hex[:8]}"


def _pick(
    service: str,
    members: Sequence[Member] = ABC,
    *,
    excluded: Sequence[str] = (),
    repeatable: bool = True,
    lease: float = 5,
) -> Turn:
    return pick(service, "rule", members, repeatable=repeatable, lease=lease, excluded=excluded)


def _say(service: str, instance: str, outcome: Outcome, times: int = 1) -> None:
    for _ in range(times):
        tell(Turn(service, instance, shaky=True), outcome, POLICY)


def test_turns_are_smooth_and_by_weight(service: str) -> None:
    # Given / When
    turns = "".join(_pick(service).instance for _ in range(14))
    # Then as nginx does it
    assert turns == "aabacaa" * 2


def test_three_to_one_is_three_to_one(service: str) -> None:
    # Given
    members = [Member("a", 3), Member("b", 1)]
    # When
    turns = "".join(_pick(service, members).instance for _ in range(8))
    # Then
    assert turns == "aabaaaba"


def test_who_has_no_weight_has_no_turn(service: str) -> None:
    # Given
    members = [Member("a", 1), Member("b", 0)]
    # When / Then
    assert {_pick(service, members).instance for _ in range(5)} == {"a"}


def test_rules_take_turns_of_their_own(service: str) -> None:
    # Given
    members = [Member("a", 1), Member("b", 1)]
    # When
    first = pick(service, "one", members, repeatable=True, lease=5).instance
    # Then
    assert pick(service, "two", members, repeatable=True, lease=5).instance == first


def test_instances_that_left_leave_no_turns(service: str) -> None:
    # Given
    for number in range(40):
        _pick(service, [Member(f"old-{number}", 1)])
    # When
    _pick(service, [Member("a", 1), Member("b", 1)])
    # Then
    assert _pick(service, [Member("a", 1), Member("b", 1)]).instance == "b"
    assert int(cache.client().hlen(f"route:{{{service}}}:turns:rule")) <= 4


def test_nobody_registered_is_unavailable(service: str) -> None:
    # Given / When / Then
    with pytest.raises(UnavailableError):
        _pick(service, [])


def test_an_instance_is_ejected_after_failures_in_a_row(service: str) -> None:
    # Given
    _say(service, "a", "failed", 2)
    _say(service, "a", "ok")
    _say(service, "a", "failed", 2)
    assert _pick(service, [Member("a", 1)]).instance == "a"
    # When
    _say(service, "a", "failed")
    # Then
    assert {_pick(service).instance for _ in range(20)} == {"b", "c"}


def test_when_all_are_ejected_the_caller_hears_when_one_may_be_tried(service: str) -> None:
    # Given
    slow = Ejection(failures=1, base_seconds=30)
    tell(Turn(service, "a"), "failed", slow)
    # When / Then
    with pytest.raises(UnavailableError) as raised:
        _pick(service, [Member("a", 1)])
    assert 25 <= raised.value.retry_after <= 30


def test_a_recovering_instance_is_tried_by_one_probe(service: str) -> None:
    # Given
    _say(service, "a", "failed", 3)
    time.sleep(POLICY.base_seconds + 0.05)
    # When
    turns = [_pick(service) for _ in range(10)]
    # Then
    probes = [turn for turn in turns if turn.instance == "a"]
    assert [turn.probe for turn in probes] == [True]
    # And once it has answered it takes its turns again
    tell(probes[0], "ok", POLICY)
    assert "a" in {_pick(service).instance for _ in range(3)}


def test_a_probe_that_fails_makes_the_pause_longer(service: str) -> None:
    # Given
    _say(service, "a", "failed", 3)
    time.sleep(POLICY.base_seconds + 0.05)
    probe = _pick(service, [Member("a", 1)])
    # When
    tell(probe, "failed", POLICY)
    time.sleep(POLICY.base_seconds + 0.05)
    # Then it is not tried yet
    with pytest.raises(UnavailableError):
        _pick(service, [Member("a", 1)])
    time.sleep(POLICY.base_seconds)
    assert _pick(service, [Member("a", 1)]).probe


def test_a_probe_of_which_nobody_hears_is_replaced(service: str) -> None:
    # Given
    _say(service, "a", "failed", 3)
    time.sleep(POLICY.base_seconds + 0.05)
    assert _pick(service, [Member("a", 1)], lease=0.1).probe
    # When
    time.sleep(0.15)
    # Then
    assert _pick(service, [Member("a", 1)]).probe


def test_what_must_not_be_repeated_tries_nobody(service: str) -> None:
    # Given
    _say(service, "a", "failed", 3)
    time.sleep(POLICY.base_seconds + 0.05)
    # When / Then
    with pytest.raises(UnavailableError):
        _pick(service, [Member("a", 1)], repeatable=False)


def test_an_answer_from_before_the_ejection_ends_nothing(service: str) -> None:
    # Given a request on its way while others fail
    _say(service, "a", "failed", 3)
    # When
    _say(service, "a", "ok")
    # Then
    assert "a" not in {_pick(service).instance for _ in range(10)}


def test_failures_are_visible(environment: None) -> None:
    # Given
    service = f"service-{uuid.uuid4().hex[:8]}"
    _say(service, "a", "failed", 3)
    _say(service, "b", "failed")
    # When
    seen = states(service)
    # Then
    assert (seen["a"].ejections, seen["b"].failures) == (1, 1)
    assert seen["a"].ejected_until > time.time() * 1000


def _work(service: str, start: object, number: int, found: object) -> None:
    cache.forget()
    members = [Member("a", 5), Member("b", 3), Member("c", 2)]
    start.wait(60)  # type: ignore[attr-defined]
    turns = Counter(_pick(service, members).instance for _ in range(number))
    recovering = _pick(f"{service}-ill", members, lease=60)
    found.put(turns + Counter({"probes": int(recovering.probe)}))  # type: ignore[attr-defined]


def test_weights_and_the_one_probe_hold_over_fifty_processes(environment: None) -> None:
    # Given a service, and one of which an instance may be tried again
    service = f"service-{uuid.uuid4().hex[:8]}"
    quick = Ejection(failures=1, base_seconds=0.001)
    tell(Turn(f"{service}-ill", "a"), "failed", quick)
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(50), context.Queue()
    children = [context.Process(target=_work, args=(service, start, 200, found)) for _ in range(50)]
    # When
    for child in children:
        child.start()
    total: Counter[str] = sum((found.get(timeout=60) for _ in children), Counter())
    for child in children:
        child.join(30)
    # Then the counts are exact, not only within 2 %
    assert total == {"a": 5_000, "b": 3_000, "c": 2_000, "probes": 1}


def _instances(*tags: str) -> list[Instance]:
    return [
        Instance(f"i{number}", "http", "10.0.0.1", 80, tags=(tag,) if tag else ())
        for number, tag in enumerate(tags)
    ]


def test_a_canary_gets_its_share(service: str) -> None:
    # Given three instances, of which one is the canary
    found = _instances("", "", "canary")
    members = weigh(found, Canary(percent=10, tag="canary"))
    # When
    total = Counter(_pick(service, members).instance for _ in range(10_000))
    # Then
    assert total["i2"] == pytest.approx(1_000, rel=0.02)
    assert total["i0"] == pytest.approx(4_500, rel=0.02)


@given(
    tags=st.lists(st.sampled_from(["", "canary"]), min_size=1, max_size=8),
    percent=st.floats(0, 100),
)
def test_shares_are_those_of_the_rule(tags: list[str], percent: float) -> None:
    # Given / When
    found = _instances(*tags)
    members = {m.id: m.weight for m in weigh(found, Canary(percent=percent, tag="canary"))}
    # Then
    assert len(members) == len(found)
    assert sum(members.values()) == pytest.approx(100)
    if {"", "canary"} <= set(tags):
        share = sum(members[item.id] for item in found if item.tags)
        assert share == pytest.approx(percent)


_NAMES = st.sampled_from("abc")
_STEPS = st.lists(
    st.tuples(st.just("pick"), st.frozensets(_NAMES, max_size=2), st.booleans())
    | st.tuples(st.just("tell"), _NAMES, st.sampled_from(["ok", "failed", "unknown"])),
    max_size=30,
)


@settings(max_examples=40)
@given(weights=st.tuples(*[st.integers(0, 9)] * 3), steps=_STEPS)
def test_an_environment_alone_decides_as_redis_does(
    environment: None, weights: tuple[int, int, int], steps: list[tuple[str, object, object]]
) -> None:
    # Given the same requests and outcomes, and ejections that outlast the test
    members = [Member(name, weight) for name, weight in zip("abc", weights, strict=True)]
    policy = Ejection(failures=2, base_seconds=300)
    logs: list[list[object]] = []
    for alone in (False, True):
        service = f"service-{uuid.uuid4().hex[:8]}"
        balancing._pause.begin() if alone else balancing._pause.end()
        log: list[object] = []
        # When
        for step, first, second in steps:
            if step == "tell":
                tell(Turn(service, str(first), shaky=True), second, policy)  # type: ignore[arg-type]
                continue
            try:
                turn = _pick(service, members, excluded=first, repeatable=bool(second))  # type: ignore[arg-type]
                log.append((turn.instance, turn.probe, turn.shaky))
            except UnavailableError:
                log.append(None)
        logs.append(log)
    balancing._pause.end()
    # Then
    assert logs[0] == logs[1]
