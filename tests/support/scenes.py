"""What must be so for an operation's event sample to make sense: whom it names, what was done before.

Samples name one user, who may do everything in the tenant `public`, and one client. Both are made as the
samples name them. What is a secret, or chosen at random, no file can know: it is put into the request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from datapunk.database import transaction
from datapunk.identity import SYSTEM
from datapunk.lake.datasets import find_dataset
from datapunk.nexus.oauth.clients import ClientRegistration, register_client
from datapunk.nexus.roles import Role, assign_role
from datapunk.nexus.routing.requests import accept
from datapunk.nexus.sessions import start_session
from datapunk.nexus.users import UserAccount, find_user

from tests.support.api_keys import issue
from tests.support.articles import ARTICLES
from tests.support.invoking import answer
from tests.support.oauth import SERVICE, WEB, add_client, cookie_of, tokens_of
from tests.support.routing import SERVICE as ROUTED
from tests.support.routing import answer_once
from tests.support.samples import http_event, load_sample
from tests.support.signing_in import Browser, visit
from tests.support.workloads import certificate_of, register

USER_ID = "3f6c1a52-8d0e-4b7a-9c11-5e2d7f40a6b8"
CLIENT_ID = "dashboard"
CLIENT_SECRET = "not-the-secret-of-anybody"
_INSERT_USER = """
INSERT INTO nexus.users (id, tenant, email, email_verified, name)
VALUES (%s, 'public', 'sample@example.com', true, 'Sample')
RETURNING id
"""

QUARANTINED_ID = "5f0c8a1e-2b7d-4c39-8e64-9a1b2c3d4e5f"
_QUARANTINE_ROW = """
INSERT INTO lake.quarantine (
    id, dataset_id, dataset, version, batch, position, media_type, content, rule, reason, errors
)
SELECT %(id)s, id, name, 1, gen_random_uuid(), 1, 'application/json',
       '{"week": "2026-11-07", "ppm": 427.4}', 'unique', 'The key existed.', '[]'
FROM lake.datasets
WHERE name = %(name)s
"""
_RESTORED_ARCHIVE = """
INSERT INTO lake.archives (
    id, dataset_id, dataset, month, state, version, rows, bytes, sha256, first_event, last_event, columns,
    archived_at, restored_at, restored_rows, left_alone
)
SELECT %(id)s, id, name, '2025-10-01', 'restored', 1, 1, 1, repeat('0', 64), '2025-10-04', '2025-10-04', '[]',
       now(), now(), 1, 0
FROM lake.datasets
WHERE name = %(name)s
"""
_INSERT_JOB = """
INSERT INTO lake.jobs (dataset_id, dataset, caller, media_type, on_conflict, expires_at)
VALUES (%s, %s, '{}', 'text/csv', 'error', now())
RETURNING id
"""

Changes = dict[str, Any]
"""Parts of the request that differ from the sample, as `http_event` takes them."""


def set_up(operation: str) -> Changes:
    """Make the scene of an operation's sample; return what must differ from the sample."""
    user = _add_user()
    _add_client()
    scene = SCENES.get(operation)
    return scene(user) if scene else {}


def _add_user() -> UserAccount:
    with transaction(SYSTEM) as tx:
        user_id = tx.value(_INSERT_USER, (USER_ID,))
        for role in Role:
            assign_role(tx, f"user:{USER_ID}", role, tenant="public")
        return find_user(tx, user_id)


def _add_client() -> None:
    grants = {"grant_types": [*WEB["grant_types"], *SERVICE["grant_types"]]}
    wanted = ClientRegistration.model_validate({**WEB, **grants})
    with transaction(SYSTEM) as tx:
        register_client(tx, wanted, client_id=CLIENT_ID, secret=CLIENT_SECRET, tenant="public")


def _after(*operations: str) -> Callable[[UserAccount], Changes]:
    """Return a scene in which the samples of other operations were sent before."""

    def scene(_: UserAccount) -> Changes:
        for operation in operations:
            earlier = answer(operation, load_sample(operation))
            assert earlier.status < 300, earlier.body
        return {}

    return scene


def _signed_in(user: UserAccount) -> Changes:
    return {"headers": {"Cookie": cookie_of(user)}}


def _with_token(user: UserAccount) -> Changes:
    token = tokens_of(add_client(), user)["access_token"]
    return {"headers": {"Authorization": f"Bearer {token}"}}


def _with_session(user: UserAccount) -> Changes:
    _, session = start_session(user)
    return {"path": {"session": session.id}}


def _with_etag(user: UserAccount) -> Changes:
    return {"headers": {"If-Match": user.etag}}


def _with_key(user: UserAccount) -> Changes:
    return {"path": {"key": issue(user)["id"]}}


def _with_certificate(user: UserAccount) -> Changes:
    return {"path": {"serial": certificate_of(user)["serial"]}}


def _with_registration(user: UserAccount) -> Changes:
    secret = register(user).json["registration_secret"]
    body = json.loads(load_sample("nexus.issue_certificate")["body"])
    return {"body": {**body, "registration_secret": secret}}


def _with_id_token(user: UserAccount) -> Changes:
    query = dict(load_sample("nexus.end_session")["queryStringParameters"])
    return {"query": {**query, "id_token_hint": tokens_of(add_client(), user)["id_token"]}}


def _back_from_provider(_: UserAccount) -> Changes:
    browser = Browser()
    begun = browser.begin("google", return_to="/docs")
    query = parse_qs(urlsplit(visit(begun.headers["location"])).query)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return {"query": query, "headers": {"Cookie": cookie}}


def _with_route(user: UserAccount) -> Changes:
    """Have the rule of the samples lead to an instance that answers once."""
    answer_once(ROUTED)
    return _after("nexus.put_route")(user)


def _with_request(user: UserAccount) -> Changes:
    accepted = accept(user.caller, {}, needs="route.read", seconds=30, repeatable=True)
    return {"path": {"request": str(accepted.id)}}


def _with_quarantined(user: UserAccount) -> Changes:
    """Have the row of the samples wait in quarantine; by now it fits."""
    changes = _after("lake.create_dataset")(user)
    with transaction(user.caller) as tx:
        tx.execute(_QUARANTINE_ROW, {"id": QUARANTINED_ID, "name": "co2_weekly"})
    return changes


def _with_archive(user: UserAccount) -> Changes:
    """Have the archive of the samples be there; it was restored before, and nothing is to be done."""
    changes = _after("lake.create_dataset")(user)
    with transaction(user.caller) as tx:
        tx.execute(_RESTORED_ARCHIVE, {"id": QUARANTINED_ID, "name": "co2_weekly"})
    return changes


def _with_articles(_: UserAccount) -> Changes:
    made = answer("lake.create_dataset", http_event("lake.create_dataset", body=ARTICLES))
    assert made.status == 201, made.body
    return {}


def _with_job(user: UserAccount) -> Changes:
    _after("lake.create_dataset")(user)
    with transaction(user.caller) as tx:
        dataset = find_dataset(tx, "co2_weekly")
        job = tx.value(_INSERT_JOB, (dataset.id, dataset.name))
    return {"path": {"job": str(job)}}


SCENES: dict[str, Callable[[UserAccount], Changes]] = {
    "lake.call_function": _after("lake.create_dataset", "lake.insert_records", "lake.put_function"),
    "lake.change_dataset": _after("lake.create_dataset"),
    "lake.correct_quarantined": _with_quarantined,
    "lake.create_upload": _after("lake.create_dataset"),
    "lake.delete_dataset": _after("lake.create_dataset"),
    "lake.delete_function": _after("lake.create_dataset", "lake.put_function"),
    "lake.discard_quarantined": _with_quarantined,
    "lake.get_function": _after("lake.create_dataset", "lake.put_function"),
    "lake.get_dataset": _after("lake.create_dataset"),
    "lake.get_job": _with_job,
    "lake.list_archives": _with_archive,
    "lake.restore_archive": _with_archive,
    "lake.list_versions": _after("lake.create_dataset"),
    "lake.insert_records": _after("lake.create_dataset"),
    "lake.export_records": _after("lake.create_dataset", "lake.insert_records"),
    "lake.list_quarantine": _with_quarantined,
    "lake.query_records": _after("lake.create_dataset", "lake.insert_records"),
    "lake.read_rest": _after("lake.create_dataset", "lake.insert_records"),
    "lake.write_rest": _after("lake.create_dataset"),
    "lake.release_quarantined": _with_quarantined,
    "lake.scan_dataset": _after("lake.create_dataset"),
    "lake.search_records": _with_articles,
    "lake.put_function": _after("lake.create_dataset"),
    "lake.put_quality_rules": _after("lake.create_dataset"),
    "lake.get_quality": _after("lake.create_dataset", "lake.put_quality_rules"),
    "lake.check_quality": _after("lake.create_dataset", "lake.put_quality_rules"),
    "nexus.authorize": _with_token,
    "nexus.begin_authorization": _signed_in,
    "nexus.complete_federated_sign_in": _back_from_provider,
    "nexus.delete_rate_limit": _after("nexus.set_rate_limit"),
    "nexus.delete_route": _after("nexus.put_route"),
    "nexus.end_session": _with_id_token,
    "nexus.end_session_by_id": _with_session,
    "nexus.get_rate_limit": _after("nexus.set_rate_limit"),
    "nexus.get_request": _with_request,
    "nexus.get_route": _after("nexus.put_route"),
    "nexus.get_route_status": _after("nexus.put_route"),
    "nexus.get_userinfo": _with_token,
    "nexus.issue_certificate": _with_registration,
    "nexus.list_route_versions": _after("nexus.put_route"),
    "nexus.revoke_api_key": _with_key,
    "nexus.revoke_certificate": _with_certificate,
    "nexus.roll_back_route": _after("nexus.put_route"),
    "nexus.rotate_api_key": _with_key,
    "nexus.route": _with_route,
    "nexus.update_user": _with_etag,
}
"""Operations whose sample needs more than the user and the client."""
