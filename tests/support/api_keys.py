"""API keys of a test, issued by the real handler, and requests that present them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from datapunk.nexus import authentication
from datapunk.nexus.users import UserAccount

from tests.support.invoking import answer, run
from tests.support.people import acting
from tests.support.samples import http_event, load_sample, set_header


def issue(user: UserAccount, *scopes: str, **wanted: Any) -> dict[str, Any]:
    """Return a key of the user's as it is shown once."""
    body = {"name": "Loader", "scopes": list(scopes or ("read",)), **wanted}
    issued = answer(
        "nexus.issue_api_key", http_event("nexus.issue_api_key", body=body, **acting(user))
    )
    assert issued.status == 201, issued.body
    document: dict[str, Any] = issued.json
    return document


def presenting(key: str) -> dict[str, Any]:
    """Return a request to the authorizer with this key and nothing else."""
    event = copy.deepcopy(load_sample("nexus.authorize"))
    event["headers"], event["multiValueHeaders"] = {}, {}
    set_header(event, "X-Api-Key", key)
    return event


def authorized(key: str) -> dict[str, Any]:
    """Return what an authorizer tells of a key that it does not know yet."""
    authentication.forget()
    told: dict[str, Any] = run("nexus.authorize", presenting(key))
    return {"principal": told["principalId"], **told["context"]}


def assert_refused(key: str) -> None:
    """Assert that an authorizer refuses a key that it does not know yet."""
    authentication.forget()
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        run("nexus.authorize", presenting(key))
