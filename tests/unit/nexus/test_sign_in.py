"""GET and POST /v1/nexus/sign-in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from datapunk import cache
from datapunk.cookies import read_cookie
from datapunk.errors import TooManyRequestsError
from datapunk.nexus import attempts, sessions
from datapunk.settings import settings

from tests.support.invoking import Invoker
from tests.support.people import PASSWORD, add_user, rows
from tests.support.services import Instance
from tests.support.signing_in import Browser

WRONG = "The e-mail address or the password is not right."


@pytest.fixture(autouse=True)
def nobody_tried_before(database: str) -> None:
    """Forget what other tests have counted."""
    with cache.translated():
        for key in cache.client().scan_iter("sign-in:*"):
            cache.client().delete(key)


def test_the_page_has_a_form_no_script_and_tells_nobody() -> None:
    # Given / When
    page = Invoker()("nexus.sign_in", query={"return_to": '/docs?a="><script>'})
    # Then
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in page.body
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "HttpOnly; SameSite=Lax" in page.headers["set-cookie"]


def test_the_right_password_begins_a_session_of_86400_seconds() -> None:
    # Given
    ann = add_user(password=PASSWORD)
    browser = Browser()
    # When
    answer = browser.sign_in("Ann@Example.com", PASSWORD, return_to="/v1/nexus/oauth/authorize?a=b")
    # Then
    assert answer.status == 303
    assert answer.headers["location"] == "/v1/nexus/oauth/authorize?a=b"
    caller = sessions.find_session(browser.cookies["datapunk"])
    assert caller is not None
    assert (caller.principal, caller.tenant) == (ann.principal, "public")
    assert (caller.roles, caller.scopes) == (("editor",), ("read", "write"))
    (session,) = sessions.list_sessions(ann.id)
    assert cache.client().ttl(f"session:{session.id}") in (86_399, 86_400)
    assert session.address == "192.0.2.10"


def test_redis_cannot_sign_anybody_in() -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    browser.sign_in("ann@example.com", PASSWORD)
    session_id, _, secret = browser.cookies["datapunk"].partition(".")
    # When
    stored = str(cache.client().get(f"session:{session_id}"))
    # Then
    assert secret not in stored
    digest = json.loads(stored)["digest"]
    for guess in (digest, "", secret[:-1] + "A" if secret[-1] != "A" else secret[:-1] + "B"):
        assert sessions.read_session(f"{session_id}.{guess}") is None


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com", "", "a" * 300])
def test_whatever_is_wrong_is_told_in_the_same_words(email: str) -> None:
    # Given
    add_user(password=PASSWORD)
    # When
    answer = Browser().sign_in(email, "not the password")
    # Then
    assert answer.status == 401
    assert WRONG in answer.body
    assert "not the password" not in answer.body
    assert answer.headers["www-authenticate"]


def test_users_without_password_or_disabled_do_not_sign_in() -> None:
    # Given
    add_user("linked@example.com")
    add_user("gone@example.com", password=PASSWORD)
    rows("UPDATE nexus.users SET disabled_at = now() WHERE email = 'gone@example.com' RETURNING 1")
    # When
    answers = [Browser().sign_in(f"{who}@example.com", PASSWORD) for who in ("linked", "gone")]
    # Then
    assert [answer.status for answer in answers] == [401, 401]


def test_signing_in_again_ends_the_session_of_before() -> None:
    # Given
    ann = add_user(password=PASSWORD)
    browser = Browser()
    browser.sign_in("ann@example.com", PASSWORD)
    before = browser.cookies["datapunk"]
    # When
    browser.sign_in("ann@example.com", PASSWORD)
    # Then
    assert sessions.find_session(before) is None
    assert len(sessions.list_sessions(ann.id)) == 1


def test_a_form_of_another_browser_or_site_is_refused() -> None:
    # Given a token that an attacker got from the page himself
    add_user(password=PASSWORD)
    fields = {"email": "ann@example.com", "password": PASSWORD}
    theirs = Browser().form()
    victim = Browser()
    own = victim.form()
    # When
    answers = [
        victim.send({**fields, "csrf_token": theirs}),
        victim.send(fields),
        Browser().send({**fields, "csrf_token": own}),
        victim.send({**fields, "csrf_token": own}, {"Origin": "https://evil.example"}),
        victim.send({**fields, "csrf_token": own}, {"Origin": "null"}),
    ]
    same_site = victim.send({**fields, "csrf_token": own}, {"Origin": "https://api.example.com"})
    # Then
    assert [answer.status for answer in answers] == [403] * 5
    assert same_site.status == 303


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/docs\\..\\x",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/docs\r\nSet-Cookie: a=b",
        "/\tdocs",
        " /docs",
        "docs",
        "https:/docs",
    ],
)
def test_sign_in_leads_to_own_paths_only(return_to: str) -> None:
    # Given
    add_user(password=PASSWORD)
    # When
    page = Invoker()("nexus.sign_in", query={"return_to": return_to})
    form = Browser().sign_in("ann@example.com", PASSWORD, return_to=return_to)
    # Then
    assert (page.status, form.status) == (422, 422)
    assert "location" not in form.headers


def test_guessing_at_an_account_ends_after_ten_attempts() -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    for _ in range(attempts.PER_ACCOUNT):
        assert browser.sign_in("ann@example.com", "guess").status == 401
    # When even the right password comes
    answer = browser.sign_in("ANN@example.com", PASSWORD)
    other = browser.sign_in("bob@example.com", "guess")
    # Then
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= attempts.WINDOW_SECONDS
    assert other.status == 401


def test_who_signs_in_may_err_again() -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    # When
    for _ in range(3):
        for _ in range(attempts.PER_ACCOUNT - 1):
            browser.sign_in("ann@example.com", "guess")
        # Then
        assert browser.sign_in("ann@example.com", PASSWORD).status == 303


def test_guessing_from_elsewhere_does_not_keep_a_user_out() -> None:
    # Given Ann, who has signed in from where she is
    add_user(password=PASSWORD)
    browser = Browser()
    assert browser.sign_in("ann@example.com", PASSWORD).status == 303
    # When many others guess at her account until nobody from elsewhere may any more
    for number in range(attempts.PER_ACCOUNT):
        attempts.count_attempt("ann@example.com", f"198.51.100.{number}")
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("ann@example.com", "203.0.113.1")
    # Then she signs in, and their window does not begin anew by that
    assert browser.sign_in("Ann@example.com", PASSWORD).status == 303
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("ann@example.com", "203.0.113.2")


def test_guessing_where_a_user_signs_in_ends_after_ten_attempts_too() -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    browser.sign_in("ann@example.com", PASSWORD)
    # When
    statuses = [
        browser.sign_in("ann@example.com", "guess").status for _ in range(attempts.PER_ACCOUNT + 1)
    ]
    # Then
    assert statuses == [401] * attempts.PER_ACCOUNT + [429]


def test_a_network_of_ipv6_is_one_address() -> None:
    # Given a sender who has a whole network, as everybody with IPv6 has
    for number in range(attempts.PER_ADDRESS):
        attempts.count_attempt(f"user{number}@example.com", f"2001:db8::{number:x}")
    # When / Then
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("next@example.com", "2001:db8::ffff:1")
    attempts.count_attempt("next@example.com", "2001:db8:0:1::1")


def test_an_address_cannot_try_one_password_everywhere() -> None:
    # Given
    for number in range(attempts.PER_ADDRESS):
        attempts.count_attempt(f"user{number}@example.com", "192.0.2.10")
    # When / Then
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("next@example.com", "192.0.2.10")
    attempts.count_attempt("next@example.com", "192.0.2.11")


def test_whoever_signs_in_is_not_counted_and_his_guesses_at_others_are() -> None:
    # Given an attacker with an account of his own
    for number in range(attempts.PER_ADDRESS - 1):
        attempts.count_attempt(f"user{number}@example.com", "192.0.2.10")
    # When
    for _ in range(5):
        attempts.count_attempt("mallory@example.com", "192.0.2.10")
        attempts.forget_attempts("mallory@example.com", "192.0.2.10")
    # Then
    attempts.count_attempt("next@example.com", "192.0.2.10")
    with pytest.raises(TooManyRequestsError):
        attempts.count_attempt("last@example.com", "192.0.2.10")
    keys = cache.client().scan_iter("sign-in:a*")
    assert all(int(cache.client().ttl(key)) > 0 for key in keys)


def test_attempts_at_the_same_time_all_count() -> None:
    # Given
    def attempt(_: int) -> bool:
        try:
            attempts.count_attempt("ann@example.com", "192.0.2.10")
        except TooManyRequestsError:
            return False
        return True

    # When
    with ThreadPoolExecutor(16) as pool:
        passed = sum(pool.map(attempt, range(50)))
    # Then
    assert passed == attempts.PER_ACCOUNT


def test_every_attempt_is_in_the_audit_trail_without_the_secret() -> None:
    # Given
    ann = add_user(password=PASSWORD)
    # When
    Browser().sign_in("ann@example.com", "a wrong secret")
    Browser().sign_in("ann@example.com", PASSWORD)
    # Then
    found = rows("SELECT * FROM nexus.audit WHERE action = 'nexus.sign_in' ORDER BY at")
    assert {"denied", "done"} <= {row["outcome"] for row in found}
    assert ann.principal in {row["principal"] for row in found}
    assert "a wrong secret" not in str(found)
    assert PASSWORD not in str(found)


def test_without_redis_nobody_signs_in_uncounted(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    add_user(password=PASSWORD)
    browser = Browser()
    token = browser.form()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    cache.forget()
    # When
    fields = {"email": "ann@example.com", "password": PASSWORD, "csrf_token": token}
    answer = browser.send(fields)
    # Then
    assert answer.status == 503


def test_over_https_cookies_belong_to_this_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    monkeypatch.setenv("ISSUER", "https://api.example.com/prod")
    settings.cache_clear()
    add_user(password=PASSWORD)
    browser = Browser()
    # When
    answer = browser.sign_in("ann@example.com", PASSWORD, return_to="/docs")
    # Then
    assert answer.headers["location"] == "/prod/docs"
    cookie = answer.headers["set-cookie"].partition(", ")[0]
    assert cookie.startswith("__Host-datapunk=")
    assert cookie.endswith("; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert read_cookie("datapunk=x") is None


@pytest.mark.parametrize("body", ["", "email=a&email=b", "a" * 100])
def test_what_is_no_form_is_refused(body: str) -> None:
    # Given / When
    event = {"query": {}, "body": body, "content_type": "application/x-www-form-urlencoded"}
    sent = Browser()._run("nexus.sign_in", method="POST", **event)
    # Then
    assert sent.status == 400


def test_refusing_somebody_unknown_is_as_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    add_user(password=PASSWORD)
    verified: list[str] = []
    really = PasswordHasher.verify

    def counting(hasher: PasswordHasher, stored: str, password: str) -> bool:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])
        return really(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    # When
    for email in ("ann@example.com", "nobody@example.com"):
        Browser().sign_in(email, "guess")
    # Then one hash each, with the same parameters
    assert verified == ["$argon2id$v=19$m=47104,t=1,p=1"] * 2


def test_an_old_hash_is_made_anew_at_sign_in() -> None:
    # Given
    ann = add_user()
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    statement = "UPDATE nexus.users SET password_hash = %s WHERE id = %s RETURNING 1"
    rows(statement, [weak, ann.id])
    # When
    answer = Browser().sign_in("ann@example.com", PASSWORD)
    # Then
    assert answer.status == 303
    (row,) = rows("SELECT password_hash FROM nexus.users")
    assert row["password_hash"].startswith("$argon2id$v=19$m=47104,")
