"""The API keeps to its document, whatever is sent: schemathesis over every operation, on a real platform.

For each operation: what the document allows and what it forbids, at its bounds and at random. No answer is
a 5xx, has a status, media type or body that the document does not know, or takes what the document refuses.
Two of schemathesis' checks are not ours: `positive_data_acceptance` (a cursor or a filter is more than the
text that the document can say it is) and `unsupported_method` (API Gateway knows no 405).

It goes on in the name of an administrator of the platform. What could end that is driven with care, not left
out: sessions, keys, certificates, users and roles that exist are sacrificed ones, and limits are set for a
client that nobody is. What these do to whom they hit is tested at the end.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from datapunk.nexus.rate_limits import CLIENT
from datapunk.registry.model import NAME
from hypothesis import Phase, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from infrastructure.documents.openapi import FILE
from tests.e2e.clone import Clone, eventually
from tests.e2e.web import Web
from tests.support.workloads import new_csr

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
EXAMPLES = 8
"""Random requests for each operation, besides those at the bounds."""
SCOPES = ("read", "write", "admin")
NOBODY = "client:nobody-at-all"
SPARE = "spare"
"""A dataset and a function that are there to be deleted."""
UNCHECKED: list[Any] = [positive_data_acceptance, unsupported_method]
NEEDS = re.compile(r"Needs the scope `(\w+)`")
UNSCOPED = {
    *("nexus.end_session_by_id", "nexus.get_user", "nexus.get_userinfo", "nexus.issue_api_key"),
    *("nexus.list_api_keys", "nexus.list_sessions", "nexus.revoke_api_key"),
    *("nexus.get_request", "nexus.route"),
    "nexus.rotate_api_key",
}
"""Closed operations about oneself: any token is wide enough."""
CHOOSY = {
    *("nexus.begin_authorization", "nexus.begin_federated_sign_in", "nexus.end_session"),
    *("nexus.complete_federated_sign_in", "nexus.end_session_by_id", "nexus.get_userinfo"),
    *("nexus.introspect_token", "nexus.issue_certificate", "nexus.issue_token"),
    *("nexus.revoke_role", "nexus.revoke_token", "nexus.rotate_api_key", "nexus.delete_rate_limit"),
    *("nexus.get_rate_limit", "lake.insert_records", "stream.publish_event"),
    *("nexus.get_route", "nexus.sign_in.post"),
    *("nexus.get_request", "nexus.delete_route", "nexus.roll_back_route", "nexus.invalidate_cache"),
    *(f"nexus.route.{method}" for method in ("get", "head", "options", "put", "post", "patch")),
    "nexus.route.delete",
    *("nexus.get_rate_limit", "lake.insert_records", "lake.write_rest", "stream.publish_event"),
    *("lake.change_dataset", "lake.infer_dataset", "lake.search_records", "lake.put_function"),
    *("lake.create_dataset", "lake.call_function"),
    *("lake.correct_quarantined", "lake.discard_quarantined", "lake.release_quarantined"),
    "lake.restore_archive",
}
"""Operations that need more than chance to do their work; their own tests have them do it."""

answered: defaultdict[str, Counter[int]] = defaultdict(Counter)
"""How often each operation answered with each status."""

SCHEMA = schemathesis.openapi.from_path(str(FILE), config=SchemathesisConfig())
SCHEMA.config.generation.update(
    max_examples=EXAMPLES, deterministic=True, with_security_parameters=False, no_shrink=True
)
SCHEMA.config.phases.coverage.unexpected_methods = set()


@SCHEMA.hook
def filter_case(context: Any, case: schemathesis.Case[Any]) -> bool:
    """Leave out requests that are wrong for a header nobody knows: HTTP wants those ignored."""
    return not any("unknown-property" in name for name in case.headers or ())


@schemathesis.serializer(
    "text/csv",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/geo+json",
    "application/vnd.apache.avro",
    "application/vnd.apache.parquet",
    "avro/binary",
)
def as_it_is(context: Any, value: Any) -> bytes:
    """Send a body of these types: text as it is, anything else as JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@dataclass(frozen=True)
class Stage:
    """The platform, who asks, and values of path parameters that name something there is."""

    url: str
    tokens: dict[str, str]
    known: dict[str, str]
    turns: Iterator[bool]
    """Whether the next request names what there is, or what was drawn."""


@pytest.fixture(scope="module")
def stage(platform: Clone) -> Stage:
    """Return the platform with one of everything that a path can name."""
    every = " ".join(SCOPES)
    tokens = {"all": platform.token("admin", every), "demo": platform.token("demo")}
    for scope in SCOPES:
        others = " ".join(other for other in SCOPES if other != scope)
        tokens[f"no {scope}"] = platform.token("admin", others)
    url = platform.endpoints["api"]
    admin = Web(url, lambda: tokens["all"])
    known = _existing(admin, Web(url), f"Bearer {tokens['demo']}")
    return Stage(url, tokens, known, cycle([True, False]))


def _existing(admin: Web, anyone: Web, demo: str) -> dict[str, str]:
    definition = {"name": "fuzzed", "columns": [{"name": "id", "type": "text"}], "key": ["id"]}
    for name in ("fuzzed", SPARE):
        assert admin.post("/v1/lake/datasets", {**definition, "name": name}).status == 201
    user = admin.post("/v1/nexus/users", {"email": "fuzzed@example.com", "name": "Fuzzed"}).json()
    key = admin.post("/v1/nexus/api-keys", {"name": "fuzzed", "scopes": ["read"]}).json()
    workload = admin.call("PUT", "/v1/nexus/workloads/fuzzed", {"scopes": ["read"]}).json()
    asked = {
        "tenant": "public",
        "service": "fuzzed",
        "csr": new_csr(),
        "registration_secret": workload["registration_secret"],
    }
    certificate = anyone.post("/v1/nexus/certificates", asked).json()
    sessions = anyone.get("/v1/nexus/sessions", Authorization=demo).json()
    assert admin.call("PUT", "/v1/nexus/routes/fuzzed", {"service": "routed"}).status == 200
    reading = {"dataset": "fuzzed"}
    for name in ("fuzzed", SPARE):
        assert admin.call("PUT", f"/v1/lake/functions/{name}", reading).status == 200
    fuzzed = "/v1/lake/datasets/fuzzed"
    assert admin.post(f"{fuzzed}/records?on_error=quarantine", [{"id": None}]).status == 201
    return {
        "row": admin.get(f"{fuzzed}/quarantine").json()["items"][0]["id"],
        "job": admin.post(f"{fuzzed}/uploads", {"media_type": "text/csv"}).json()["job"],
        "dataset": "fuzzed",
        "function": "fuzzed",
        "user": user["id"],
        "principal": f"user:{user['id']}",
        "key": key["id"],
        "service": "fuzzed",
        "serial": certificate["serial"],
        "session": sessions["items"][0]["id"],
        "role": "viewer",
        "route": "fuzzed",
        "tenant": "fuzzed",
        "operations": "lake.get_dataset",
        "probe": "ready",
    }


def _drive_carefully(case: schemathesis.Case[Any], stage: Stage) -> None:
    """Put what exists into all of the path each second time, and nobody in the place of a limit's client.

    No rule leads to a service that another test asks for: none has an instance, which is a 503.
    """
    drawn, exists = case.path_parameters or {}, next(stage.turns)
    for name, value in drawn.items():
        if name == "client" and re.search(CLIENT, unquote(str(value))):
            drawn[name] = NOBODY
        elif name in ("dataset", "function") and case.method == "DELETE":
            drawn[name] = SPARE
        elif name == "row" and case.method in ("DELETE", "POST"):
            continue  # the one there is is read by others
        elif exists and name in stage.known:
            drawn[name] = stage.known[name]
    body: Any = case.body
    service = body.get("service") if isinstance(body, dict) else None
    if "route" in drawn and isinstance(service, str) and re.match(NAME, service):
        case.body = {**body, "service": "routed"}


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate]
)
def test_every_operation_keeps_to_the_document(case: schemathesis.Case[Any], stage: Stage) -> None:
    # Given
    _drive_carefully(case, stage)
    # When
    answer = case.call_and_validate(
        base_url=stage.url,
        headers={"Authorization": f"Bearer {stage.tokens['all']}"},
        excluded_checks=UNCHECKED,
        allow_redirects=False,
    )
    # Then what was checked above is so; and that for every operation
    assert answer.status_code < 500
    answered[case.operation.definition.raw["operationId"]][answer.status_code] += 1


def _items() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, item in methods.items():
            yield method.upper(), path, item


def _operation(item: dict[str, Any]) -> str:
    return ".".join(item["operationId"].split(".")[:2])


CLOSED = [
    pytest.param(method, path, item, id=item["operationId"])
    for method, path, item in _items()
    if item["security"]
]


def test_every_operation_was_reached_and_most_did_their_work() -> None:
    # Given
    every = {item["operationId"] for _, _, item in _items()}
    closed = {item["operationId"] for _, _, item in _items() if item["security"]}
    # When
    idle = {name for name in every if not any(status < 400 for status in answered[name])}
    # Then
    assert set(answered) == every
    assert {name for name in closed if answered[name][401]} == set()
    assert {name for name in idle if not {name, ".".join(name.split(".")[:2])} & CHOOSY} == set()


@pytest.mark.parametrize(("method", "path", "item"), CLOSED)
def test_a_closed_operation_opens_to_no_other_credentials(
    stage: Stage, method: str, path: str, item: dict[str, Any]
) -> None:
    # Given
    body: dict[str, Any] | None = {} if "requestBody" in item else None
    forged = stage.tokens["all"][:-8] + "AAAAAAAA"
    place, anyone = re.sub(r"{\w+}", "live", path), Web(stage.url)
    credentials: dict[str, dict[str, str]] = {
        "none": {},
        "garbage": {"Authorization": "Bearer garbage"},
        "a forged signature": {"Authorization": f"Bearer {forged}"},
        "another scheme": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "a key": {"X-Api-Key": "dpk_garbage"},
        "a session": {"Cookie": "datapunk=garbage"},
    }
    # When
    answers = {
        name: anyone.call(method, place, body, **headers).status
        for name, headers in credentials.items()
    }
    # Then
    assert answers == dict.fromkeys(credentials, 401)
    # When a token is good, but too narrow
    needed = NEEDS.search(item["description"])
    assert (needed is None) is (_operation(item) in UNSCOPED)
    if needed is not None:
        narrow = {"Authorization": f"Bearer {stage.tokens[f'no {needed[1]}']}"}
        # Then
        assert anyone.call(method, place, body, **narrow).status == 403


def _is_refused(web: Web, credential: dict[str, str]) -> bool:
    return web.get("/v1/lake/datasets", **credential).status == 401


def test_what_ends_access_ends_its_own_only(platform: Clone, stage: Stage) -> None:
    # Given a sign-in and a key, which the tests above do not use
    anyone, token = Web(stage.url), platform.token("demo")
    bearer = {"Authorization": f"Bearer {token}"}
    wanted = {"name": "ended", "scopes": ["read"]}
    first = anyone.post("/v1/nexus/api-keys", wanted, **bearer).json()
    # When the key is rotated
    second = anyone.post(f"/v1/nexus/api-keys/{first['id']}/rotation", None, **bearer).json()
    # Then both open, until they are revoked
    for key in (first, second):
        header = {"X-Api-Key": key["key"]}
        assert anyone.get("/v1/lake/datasets", **header).status == 200
        assert anyone.call("DELETE", f"/v1/nexus/api-keys/{key['id']}", **bearer).status == 204
        assert eventually(partial(_is_refused, anyone, header))
    # When all of the user's sessions end
    for session in anyone.get("/v1/nexus/sessions", **bearer).json()["items"]:
        anyone.call("DELETE", f"/v1/nexus/sessions/{session['id']}", **bearer)
    # Then so does his token, and nobody else's
    assert eventually(partial(_is_refused, anyone, bearer))
    other = {"Authorization": f"Bearer {stage.tokens['all']}"}
    assert anyone.get("/v1/lake/datasets", **other).status == 200
