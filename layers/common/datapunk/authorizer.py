"""The edge of the API's authorizer: reads what a request presents, answers as API Gateway wants it.

The gateway asks before every request and remembers nothing: its cache takes only credentials that are always
in the same place, and ours come in four. The authorizer's environment remembers instead (`nexus.remembered`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from datapunk.context import WorkContext, continue_correlation, continue_trace, deadline_of, working
from datapunk.credentials import KEY_PREFIX, Presented
from datapunk.errors import UnauthenticatedError
from datapunk.guard import record_refusal
from datapunk.identity import Caller
from datapunk.telemetry import count, logger

UNAUTHORIZED = "Unauthorized"
"""API Gateway answers 401 if an authorizer fails with exactly this word, and 5xx if with any other."""
_CONSULS = "x-consul-token"
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]
Authenticate = Callable[[Presented], Caller]


def authorizer_function(operation: str) -> Callable[[Authenticate], LambdaHandler]:
    """Turn `authenticate(presented)` into the Lambda handler of a request authorizer.

    An UnauthenticatedError becomes 401. Any other error leaves the handler and becomes 5xx: a sender who
    cannot be known for now is not told that his credentials are wrong.
    """

    def decorate(authenticate: Authenticate) -> LambdaHandler:
        @functools.wraps(authenticate)
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            with working(_work(operation, event, context)) as work:
                try:
                    caller = authenticate(read_presented(event))
                except UnauthenticatedError as error:
                    count("authentications_total", service=work.service, outcome="refused")
                    logger().info("refused", extra={"reason": error.detail})
                    record_refusal(event, work, error.detail)
                    raise Exception(UNAUTHORIZED) from None  # noqa: TRY002 -- the gateway's word
                count("authentications_total", service=work.service, outcome="accepted")
                return answer(caller, str(event["methodArn"]))

        return handler

    return decorate


def answer(caller: Caller, method_arn: str) -> dict[str, Any]:
    """Return what tells API Gateway who sends the request and that he may call the API.

    Which operations he may call the policy decides at their edge, with a better answer than the gateway's.
    Context values may only be texts.
    """
    arn, stage, *_ = method_arn.split("/")
    return {
        "principalId": caller.principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": f"{arn}/{stage}/*",
                }
            ],
        },
        "context": {
            "tenant": caller.tenant,
            "roles": " ".join(caller.roles),
            "scopes": " ".join(caller.scopes),
            "actors": " ".join(caller.actors),
        },
    }


def read_presented(event: Mapping[str, Any]) -> Presented:
    """Return what the request of an authorizer event presents.

    Raises UnauthenticatedError for a credential that is there twice: whoever stands between might look at
    one, we at the other. A token of Consul's kind (`X-Consul-Token`) is a bearer token or an API key.
    """
    headers = _headers(event)
    request = event.get("requestContext") or {}
    identity = request.get("identity") or {}
    authorization, api_key = _single(headers, "authorization"), _single(headers, "x-api-key")
    token = _single(headers, _CONSULS)
    if token and authorization is None and api_key is None:
        # Consul's clients have one place for whatever they were given.
        if token.startswith(KEY_PREFIX):
            api_key = token
        else:
            authorization = f"Bearer {token}"
    return Presented(
        certificate=identity.get("clientCert") or None,
        authorization=authorization,
        api_key=api_key,
        cookies="; ".join(headers.get("cookie", [])) or None,
        changes=str(event.get("httpMethod")) not in _CHANGES_NOTHING,
        origin=_single(headers, "origin"),
        fetch_site=_single(headers, "sec-fetch-site"),
    )


def _headers(event: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    multiple = event.get("multiValueHeaders")
    if not multiple:
        multiple = {name: [value] for name, value in (event.get("headers") or {}).items()}
    for name, values in multiple.items():
        found.setdefault(name.lower(), []).extend(values)
    return found


def _single(headers: Mapping[str, list[str]], name: str) -> str | None:
    values = headers.get(name, [])
    if len(values) > 1:
        raise UnauthenticatedError(f"The header {name} is there more than once.")
    return values[0] if values else None


def _work(operation: str, event: Mapping[str, Any], context: Any) -> WorkContext:
    headers = _headers(event)

    def first(name: str) -> str | None:
        return next(iter(headers.get(name, [])), None)

    return WorkContext(
        operation=operation,
        correlation_id=continue_correlation(first("x-correlation-id")),
        trace=continue_trace(first("traceparent"), first("x-amzn-trace-id")),
        deadline=deadline_of(context),
    )
