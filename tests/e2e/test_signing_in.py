"""A person signs in on the page, a program by `make token`; both end when the session does."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
from urllib.parse import urlencode

import pytest
from datapunk.nexus.remembered import FRESH

from infrastructure.local.accounts import ACCOUNTS, password_of
from infrastructure.local.paths import PROJECT
from infrastructure.local.state import State
from tests.e2e.clone import Clone, eventually
from tests.e2e.web import Web

FORM = "application/x-www-form-urlencoded"
SIGN_IN = "/v1/nexus/sign-in"
SLOW = 2.0
"""Seconds that a request may take here: the bound counts from what the authorizer last found out."""


def _cookie(platform: Clone, web: Web, name: str) -> str:
    """Sign in on the page and return the session's cookie."""
    page = web.get(SIGN_IN)
    token = re.search(rb'name="csrf_token" value="([^"]+)"', page.body)
    assert token
    fields = {
        "csrf_token": token[1].decode(),
        "email": ACCOUNTS[name].email,
        "password": password_of(State(platform.paths), name),
    }
    kept = page.headers["set-cookie"].partition(";")[0]
    connection = http.client.HTTPConnection(web.host, web.port, timeout=30)
    try:
        sent = {"Content-Type": FORM, "Cookie": kept}
        connection.request("POST", SIGN_IN, urlencode(fields), sent)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    assert (answer.status, answer.headers["Location"]) == (303, "/docs")
    cookies = [item.partition(";")[0] for item in answer.headers.get_all("Set-Cookie", [])]
    return next(cookie for cookie in cookies if cookie.startswith("datapunk="))


def _refused(web: Web, path: str, **headers: str) -> bool:
    """Tell whether a credential is refused within the bound that a revocation takes."""
    return eventually(lambda: web.get(path, **headers).status == 401, seconds=FRESH + SLOW)


def test_a_session_opens_the_api_and_ends_within_the_bound(platform: Clone) -> None:
    # Given
    web = Web(platform.endpoints["api"])
    cookie = _cookie(platform, web, "demo")
    # When
    listed = web.get("/v1/nexus/sessions", Cookie=cookie)
    (current,) = [item["id"] for item in listed.json()["items"] if item["current"]]
    ended = web.call("DELETE", f"/v1/nexus/sessions/{current}", Cookie=cookie)
    # Then
    assert (listed.status, ended.status) == (200, 204)
    assert _refused(web, "/v1/nexus/sessions", Cookie=cookie)


def test_a_token_ends_with_the_session_it_came_from(platform: Clone) -> None:
    # Given
    web = Web(platform.endpoints["api"])
    bearer = {"Authorization": f"Bearer {platform.token('admin')}"}
    before = web.get("/v1/nexus/users", **bearer)
    sessions = web.get("/v1/nexus/sessions", **bearer).json()["items"]
    # When
    for session in sessions:
        web.call("DELETE", f"/v1/nexus/sessions/{session['id']}", **bearer)
    # Then
    assert before.status == 200
    assert _refused(web, "/v1/nexus/users", **bearer)


def test_an_administrator_sees_users_and_the_demo_user_does_not(platform: Clone) -> None:
    # Given
    web = Web(platform.endpoints["api"])
    admin, demo = (f"Bearer {platform.token(name)}" for name in ("admin", "demo"))
    # When
    users = web.get("/v1/nexus/users", Authorization=admin)
    refused = web.get("/v1/nexus/users", Authorization=demo)
    # Then
    emails = [item["email"] for item in users.json()["items"]]
    assert {"admin@datapunk.test", "demo@datapunk.test"} <= set(emails)
    assert refused.status == 403


def test_make_token_prints_a_token_and_says_what_it_cannot_give(platform: Clone) -> None:
    # Given
    web = Web(platform.endpoints["api"])
    # When
    token = platform.run("token")
    narrow = platform.run("token", "--user", "admin", "--scope", "read")
    refused = platform.run("token", "--scope", "admin")
    unknown = platform.run("token", "--user", "bob")
    # Then
    lake = "/v1/lake/datasets"
    assert web.get(lake, Authorization=f"Bearer {token.stdout.strip()}").status == 200
    bearer = f"Bearer {narrow.stdout.strip()}"
    assert web.get(lake, Authorization=bearer).status == 200
    assert web.post(lake, {}, Authorization=bearer).status == 403
    assert (refused.returncode, unknown.returncode) == (1, 1)
    assert "may not have the scope admin" in refused.stdout
    assert "there is no user bob here" in unknown.stdout


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], ""),
        (["USER=admin"], ' --user "admin"'),
        (["USER=admin", "SCOPES=read write"], ' --user "admin" --scope "read write"'),
    ],
)
def test_make_takes_the_user_given_to_it_and_not_the_shells(given: list[str], asked: str) -> None:
    # Given a shell that has a USER of its own
    environment = {**os.environ, "USER": "somebody", "MAKEFLAGS": ""}
    # When make only says what it would do
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "token", *given],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    # Then
    *_, last = done.stdout.strip().splitlines()
    _, command, options = last.partition("infrastructure.local token")
    assert command
    assert options.rstrip() == asked
