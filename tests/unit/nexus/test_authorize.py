"""The authorizer: who sends a request, told to the gateway in its own words."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from datapunk.cookies import cookie_name
from datapunk.database import transaction
from datapunk.errors import UnavailableError
from datapunk.identity import SYSTEM, Caller, caller_from_authorizer
from datapunk.nexus import authentication, remembered
from datapunk.nexus.revocations import revoke_issued
from datapunk.nexus.sessions import end_session, start_session
from datapunk.nexus.tokens import AccessToken, issue_access_token
from datapunk.nexus.users import UserAccount

from infrastructure.local.data_plane.policy import Decision, evaluate
from tests.support.clock import Clock
from tests.support.invoking import run
from tests.support.oauth import add_user
from tests.support.samples import load_sample

OPERATION = "nexus.authorize"
ANN = Caller("user:7a0e5b3e-8a52-4b1c-9f6e-000000000001", "acme", ("editor", "auditor"))
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the authorizer's memory goes by."""
    clock = Clock()
    monkeypatch.setattr(authentication, "_memory", clock.memory())
    return clock


def _event(
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    *,
    certificate: Mapping[str, Any] | None = None,
    **more: str,
) -> dict[str, Any]:
    """Return a request that presents only what is given."""
    event = copy.deepcopy(load_sample(OPERATION))
    named = {name.replace("_", "-"): value for name, value in {**(headers or {}), **more}.items()}
    event["headers"] = named
    event["multiValueHeaders"] = {name: [value] for name, value in named.items()}
    event["httpMethod"] = method
    if certificate:
        event["requestContext"]["identity"]["clientCert"] = certificate
    return event


def _token(caller: Caller = ANN, **options: Any) -> str:
    options = {"client_id": "app", "scopes": ["read", "write"], **options}
    return issue_access_token(caller, **options).access_token


def _session(user: UserAccount) -> tuple[str, str]:
    """Return the `Cookie` header of a new session, and the session's id."""
    value, session = start_session(user)
    return f"theme=dark; {cookie_name()}={value}", session.id


def _refused(event: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        run(OPERATION, event)


def test_a_bearer_token_names_its_caller() -> None:
    # Given
    token = _token(actor="client:app")
    # When
    answer = run(OPERATION, _event(Authorization=f"Bearer {token}"))
    # Then the functions behind the gateway read the same caller
    context = {"principalId": answer["principalId"], **answer["context"]}
    assert caller_from_authorizer(context) == Caller(
        ANN.principal, "acme", ("editor", "auditor"), ("read", "write"), ("client:app",)
    )


def test_the_answer_is_what_a_gateway_takes() -> None:
    # Given
    event = _event(authorization=f"bearer {_token()}")
    # When
    answer = run(OPERATION, event)
    # Then only texts, and this stage of this API alone
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert evaluate(answer["policyDocument"], event["methodArn"]) is Decision.ALLOW
    for other in (
        event["methodArn"].replace("datapunk1", "datapunk2"),
        event["methodArn"].replace("/local/", "/prod/"),
    ):
        assert evaluate(answer["policyDocument"], other) is Decision.IMPLICIT_DENY


def test_a_session_names_its_user() -> None:
    # Given
    user = add_user(roles=["viewer"])
    cookie, _ = _session(user)
    # When
    answer = run(OPERATION, _event(Cookie=cookie))
    # Then
    assert answer["principalId"] == f"user:{user.id}"
    assert answer["context"] == {
        "tenant": "public",
        "roles": "viewer",
        "scopes": "read",
        "actors": "",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic YW5uOnNlY3JldA=="},
        {"Authorization": "Bearer " + "x" * 9000},
        {"Cookie": "datapunk=forged"},
        {"Cookie": f"datapunk={'0' * 32}.{'A' * 43}"},
        {"Cookie": "other=1"},
        {"X-Api-Key": "dp_whatever"},
        {"X-Principal": "user:root", "X-Tenant": "acme"},
    ],
)
def test_whoever_presents_nothing_valid_is_refused(headers: dict[str, str]) -> None:
    # Given / When / Then
    _refused(_event(headers=headers))


def test_the_sample_with_its_forged_token_is_refused() -> None:
    # Given / When / Then
    _refused(load_sample(OPERATION))


def test_a_wrong_credential_is_not_made_good_by_a_right_one() -> None:
    # Given a good session, and in front of it something that is not valid
    cookie, _ = _session(add_user())
    assert run(OPERATION, _event(Cookie=cookie))["principalId"]
    # When / Then
    _refused(_event(Cookie=cookie, Authorization="Bearer x"))
    _refused(_event(Cookie=cookie, X_Api_Key="dp_whatever"))
    _refused(_event(Cookie=cookie, certificate={"subjectDN": "CN=ann", "serialNumber": "1"}))


def test_a_bearer_token_goes_before_a_session() -> None:
    # Given
    cookie, _ = _session(add_user())
    # When
    answer = run(OPERATION, _event(Cookie=cookie, Authorization=f"Bearer {_token()}"))
    # Then
    assert answer["principalId"] == ANN.principal


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Origin"])
def test_a_credential_presented_twice_is_refused(name: str) -> None:
    # Given
    event = _event(Authorization=f"Bearer {_token()}")
    event["multiValueHeaders"][name] = [f"Bearer {_token()}", "Bearer another"]
    # When / Then
    _refused(event)


def test_two_sessions_at_once_are_none() -> None:
    # Given a cookie that someone has set beside the right one
    cookie, _ = _session(add_user())
    # When / Then
    _refused(_event(Cookie=f"{cookie}; {cookie_name()}=another"))


def test_a_revoked_token_is_refused_within_the_bound(clock: Clock) -> None:
    # Given
    token = _token()
    event = _event(Authorization=f"Bearer {token}")
    assert run(OPERATION, event)["principalId"] == ANN.principal
    claims = jwt.decode(token, options={"verify_signature": False})
    # When
    with transaction(SYSTEM) as tx:
        revoke_issued(tx, ANN.principal)
    # Then
    assert claims["exp"] > time.time()
    clock.pass_by(remembered.FRESH - 0.1)
    assert run(OPERATION, event)["principalId"] == ANN.principal
    clock.pass_by(0.2)
    _refused(event)


def test_an_ended_session_is_refused_within_the_bound(clock: Clock) -> None:
    # Given
    user = add_user()
    cookie, session = _session(user)
    assert run(OPERATION, _event(Cookie=cookie))["principalId"]
    # When
    end_session(user.id, session)
    # Then
    clock.pass_by(remembered.FRESH - 0.1)
    assert run(OPERATION, _event(Cookie=cookie))["principalId"]
    clock.pass_by(0.2)
    _refused(_event(Cookie=cookie))


def test_what_another_site_may_not_do_it_may_not_with_a_remembered_session() -> None:
    # Given
    cookie, _ = _session(add_user())
    assert run(OPERATION, _event("POST", Cookie=cookie))["principalId"]
    # When / Then
    _refused(_event("POST", {"Origin": "https://evil.example"}, Cookie=cookie))
    assert run(OPERATION, _event("POST", Cookie=cookie))["principalId"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://localhost:8080", "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_another_site_changes_nothing_with_a_session(headers: dict[str, str]) -> None:
    # Given a browser that sends the cookie with another site's request
    cookie, _ = _session(add_user())
    # When / Then
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        _refused(_event(method, headers, Cookie=cookie))
    assert run(OPERATION, _event("GET", headers, Cookie=cookie))["principalId"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost:8080", "Sec_Fetch_Site": "same-origin"}],
)
def test_ones_own_pages_change_what_they_may(headers: dict[str, str]) -> None:
    # Given
    cookie, _ = _session(add_user())
    # When / Then
    assert run(OPERATION, _event("POST", headers, Cookie=cookie))["principalId"]


@pytest.mark.parametrize(
    "caller", [SYSTEM, Caller(), Caller("user:1", "*"), Caller("system", "acme")]
)
def test_no_credential_speaks_for_the_platform(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a token that must not exist
    token = AccessToken(caller, "app", "1", issued_at=0, expires_at=0)
    monkeypatch.setattr(authentication, "read_access_token", lambda _: token)
    # When / Then
    _refused(_event(Authorization="Bearer forged"))


def test_what_cannot_be_told_for_now_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    def away(_: str) -> AccessToken:
        raise UnavailableError("redis")

    monkeypatch.setattr(authentication, "read_access_token", away)
    # When / Then the gateway answers 5xx, and the sender keeps his token
    with pytest.raises(UnavailableError):
        run(OPERATION, _event(Authorization="Bearer token"))


def test_nothing_presented_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    # Given
    token = _token()
    cookie, _ = _session(add_user())
    # When
    run(OPERATION, _event(Authorization=f"Bearer {token}"))
    run(OPERATION, _event(Cookie=cookie))
    _refused(_event(Authorization="Bearer planted-secret"))
    _refused(_event(Cookie="datapunk=planted-cookie"))
    # Then
    said = "".join(capfd.readouterr())
    secrets = (token, token.rpartition(".")[2], cookie.rpartition(".")[2], "planted")
    assert '"service":"nexus"' in said
    assert not [secret for secret in secrets if secret in said]
