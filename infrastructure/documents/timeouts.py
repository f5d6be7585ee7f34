"""The tables of time limits, retries and breakers, read from the code and the template.

A module with limits of its own adds a line to `LIMITS`; a name that is gone fails `make check`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from infrastructure.documents.operations import PROJECT

EDGE_SECONDS = 29
"""API Gateway ends a request then (quota "integration timeout", not raised here)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A value of the code, `module:NAME` or `module:NAME.member`; what it is, its unit, its test."""

    source: str
    meaning: str
    unit: str
    test: str

    def value(self) -> Any:
        """Return the value. Raises AttributeError when the name is gone."""
        module, _, name = self.source.partition(":")
        return attrgetter(name)(importlib.import_module(module))


LIMITS = {
    "Waiting for a dependency": (
        Limit(
            "datapunk.database.connection:CONNECT_TIMEOUT",
            "PostgreSQL: opening a connection",
            "s",
            "tests/integration/layer/test_outages.py::test_a_postgresql_that_hangs_is_unavailable_in_time",
        ),
        Limit(
            "datapunk.cache:TIMEOUT",
            "Redis: opening a connection, and each answer",
            "s",
            "tests/unit/layer/test_cache.py::test_nobody_there_is_unavailable",
        ),
        Limit(
            "datapunk.broker.connection:CONNECT_TIMEOUT",
            "RabbitMQ: logging in, and each answer",
            "s",
            "tests/e2e/test_outages.py::test_a_broker_that_hangs_refuses_no_insert",
        ),
        Limit(
            "datapunk.nexus.federation.fetching:TIMEOUT",
            "a provider that people sign in with",
            "s",
            "tests/unit/nexus/test_complete_federated_sign_in.py::test_a_refusal_and_an_outage_are_told_apart",
        ),
        Limit(
            "datapunk.flags.stores:READ_TIMEOUT",
            "AppConfig: an answer",
            "s",
            "tests/unit/layer/test_flags.py::test_an_appconfig_that_is_gone_is_left_alone_and_asked_anew",
        ),
        Limit(
            "datapunk.health:CHECK_TIMEOUT",
            "all dependencies of a health probe together",
            "s",
            "tests/integration/layer/test_health.py::test_health_answers_in_three_seconds_when_a_service_hangs",
        ),
    ),
    "Leaving a dependency alone after a failure": (
        Limit(
            "datapunk.scripts:PAUSE",
            "Redis, for counting requests (they pass unlimited) and failures (each counts its own)",
            "s",
            "tests/unit/layer/test_limits.py::test_a_redis_that_was_gone_is_left_alone_and_then_asked_again",
        ),
        Limit(
            "datapunk.flags.stores:PAUSE",
            "the rules of feature flags: the last ones hold",
            "s",
            "tests/unit/layer/test_flags.py::test_an_appconfig_that_is_gone_is_left_alone_and_asked_anew",
        ),
    ),
    "Calling another service": (
        Limit(
            "datapunk.mesh.directory:TIMEOUT",
            "a call, all its attempts together; stream 5, cortex 10, forge 20",
            "s",
            "tests/unit/mesh/test_calling.py::test_a_service_s_own_time_is_the_most_a_call_gets",
        ),
        Limit(
            "datapunk.mesh.breaker:DEFAULT.failures",
            "failures in a row that open a breaker",
            "failures",
            "tests/unit/mesh/test_breaker.py::"
            "test_five_failures_in_a_row_open_it_and_the_sixth_call_does_not_reach_the_target",
        ),
        Limit(
            "datapunk.mesh.breaker:DEFAULT.reset",
            "an open breaker lets nothing through; then one call at a time tries",
            "s",
            "tests/unit/mesh/test_breaker.py::test_it_is_open_for_sixty_seconds_and_then_one_may_try",
        ),
        Limit(
            "datapunk.mesh.calling:BREAKER.concurrency",
            "calls to one service at once",
            "calls",
            "tests/unit/mesh/test_breaker.py::test_a_bulkhead_lets_so_many_in_and_gives_slots_back",
        ),
    ),
    "Watching registered services": (
        Limit(
            "datapunk.registry.model:INTERVAL",
            "between two probes of a target",
            "s",
            "tests/unit/nexus/test_probe_targets.py::"
            "test_rounds_are_apart_by_the_interval_however_long_probes_take",
        ),
        Limit(
            "datapunk.registry.model:PROBE_TIMEOUT",
            "a probe",
            "s",
            "tests/unit/nexus/test_probe_targets.py::"
            "test_an_answer_that_trickles_in_ends_with_the_time",
        ),
        Limit(
            "datapunk.registry.model:THRESHOLD",
            "failed probes in a row that end a target's traffic",
            "probes",
            "tests/integration/layer/test_registry.py::"
            "test_a_probed_check_turns_critical_at_the_third_failure_and_passes_at_the_second_success",
        ),
        Limit(
            "datapunk.registry.discovery:FRESH",
            "an environment remembers a service's instances",
            "s",
            "tests/integration/layer/test_registry.py::"
            "test_an_environment_remembers_for_five_seconds_and_goes_on_without_redis",
        ),
    ),
    "Trying again": (
        Limit(
            "datapunk.retry:DEFAULT.attempts",
            "a call that is safe or has a key: attempts in all",
            "attempts",
            "tests/unit/mesh/test_calling.py::test_a_safe_call_that_fails_twice_is_tried_three_times",
        ),
        Limit(
            "datapunk.retry:DEFAULT.initial",
            "a call: most that is waited before the second attempt, then twice that",
            "s",
            "tests/unit/layer/test_retry.py::test_pauses_double_from_one_second",
        ),
        Limit(
            "datapunk.broker.topology:RETRY_DELAYS",
            "a message that failed: pauses before the second and later attempts",
            "s",
            "tests/integration/layer/test_consumer.py::"
            "test_what_fails_is_tried_again_later_and_in_the_end_given_up",
        ),
        Limit(
            "datapunk.consumer:MAX_ATTEMPTS",
            "a message: attempts before it is given up",
            "attempts",
            "tests/integration/layer/test_consumer.py::"
            "test_what_fails_is_tried_again_later_and_in_the_end_given_up",
        ),
        Limit(
            "datapunk.consumer:MAX_STARTS",
            "a message that ends its function each time: starts before it is given up",
            "starts",
            "tests/integration/layer/test_consumer.py::"
            "test_a_message_that_ends_its_function_each_time_is_given_up",
        ),
    ),
    "Limits": (
        Limit(
            "datapunk.limits:DEFAULT",
            "requests of a client: so many, in so many seconds",
            "policy",
            "tests/unit/layer/test_limits.py::test_a_thousand_in_a_minute_is_the_default",
        ),
        Limit(
            "datapunk.proxy:MAX_BODY_BYTES",
            "a request body",
            "bytes",
            "tests/unit/layer/test_http.py::test_a_body_over_the_limit_is_too_large",
        ),
        Limit(
            "datapunk.nexus.attempts:PER_ACCOUNT",
            "failed sign-ins of an account in 900 s",
            "attempts",
            "tests/unit/nexus/test_sign_in.py::test_guessing_at_an_account_ends_after_ten_attempts",
        ),
    ),
}


def build_timeouts(head: str) -> str:
    """Return the page of time limits and retries."""
    lines = [
        head,
        "# Time limits and retries\n",
        "Read from the code and `template.yaml`. A statement in PostgreSQL ends with the work it is part of",
        "(`tests/integration/layer/test_transactions.py::test_a_statement_is_ended_at_the_deadline`).",
    ]
    for title, limits in LIMITS.items():
        lines += [
            f"\n## {title}\n",
            "| what | value | from | held by |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {item.meaning} | {_text(item)} | `{item.source}` | `{item.test}` |"
            for item in limits
        ]
    lines += [
        "\n## Routes, queues and schedules\n",
        f"API Gateway ends a request after {EDGE_SECONDS} s; no function that answers one may run longer.",
        "Its work must be done half a second earlier: there is time to say so (504 `deadline_exceeded`).\n",
        "| function | trigger | seconds |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{name}` | {trigger} | {seconds} |" for name, trigger, seconds in _functions()]
    return "\n".join(lines) + "\n"


def _text(item: Limit) -> str:
    value = item.value()
    if item.unit == "policy":
        return f"{value.quota:,} in {value.window} s"
    if isinstance(value, tuple):
        return f"{', '.join(f'{part:g}' for part in value)} {item.unit}"
    return f"{value:,g} {item.unit}" if isinstance(value, float) else f"{value:,} {item.unit}"


def _functions() -> Iterator[tuple[str, str, int]]:
    from samtranslator.yaml_helper import yaml_parse

    template = yaml_parse((PROJECT / "template.yaml").read_text(encoding="utf-8"))
    shared = template["Globals"]["Function"]["Timeout"]
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = resource["Properties"]
        triggers = map(_trigger, properties.get("Events", {}).values())
        yield (
            properties["Handler"].removesuffix(".handler"),
            ", ".join(triggers) or "called",
            properties.get("Timeout", shared),
        )


def _trigger(event: dict[str, Any]) -> str:
    properties = event["Properties"]
    if event["Type"] == "Api":
        return f"`{properties['Method'].upper()} {properties['Path']}`"
    if event["Type"] == "MQ":
        return f"queue `{properties['Queues'][0]}`"
    if event["Type"] == "EventBridgeRule":
        return f"event `{properties['Pattern']['detail-type'][0]}`"
    return f"`{properties['Schedule']}`"
