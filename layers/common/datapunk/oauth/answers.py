"""OAuth's errors as HTTP answers; whatever else goes wrong on its endpoints, in the same shape."""

from __future__ import annotations

from typing import Any, Protocol

import orjson
from aws_lambda_powertools.event_handler import Response

from datapunk.context import current
from datapunk.errors import DatapunkError
from datapunk.oauth.errors import UNAUTHORIZED, OAuthError
from datapunk.telemetry import count, logger

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_SERVER_ERROR = 500


class _HttpFunction(Protocol):
    answers_in_oauth: bool

    def exception_handler(self, exc_class: Any) -> Any: ...


def use_oauth_errors(app: _HttpFunction) -> None:
    """Have an HTTP function answer its errors in OAuth's shape."""
    app.exception_handler([OAuthError, DatapunkError])(answer_in_oauth)
    app.answers_in_oauth = True


def answer_in_oauth(raised: OAuthError | DatapunkError) -> Response[str]:
    """Return the error as JSON with `error` and `error_description`, never kept by caches."""
    error = raised if isinstance(raised, OAuthError) else _in_oauth(raised)
    status = raised.status
    headers: dict[str, str | list[str]] = dict(NO_STORE)
    if isinstance(raised, DatapunkError):
        if (seconds := getattr(raised, "retry_after", None)) is not None:
            headers["Retry-After"] = str(seconds)
        if status >= _SERVER_ERROR:
            logger().exception("request failed", extra={"code": raised.code})
    if status == UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="datapunk"'
    work = current()
    if work is not None:
        count("error_rate_total", service=work.service, error_type=error.error)
    body = orjson.dumps(error.as_dict()).decode()
    return Response(status_code=status, content_type="application/json", body=body, headers=headers)


def json_answer(document: Any, status: int = 200) -> Response[Any]:
    """Return a JSON answer that nobody may keep."""
    return Response(
        status_code=status,
        content_type="application/json",
        body=document,
        headers=dict(NO_STORE),
    )


def redirect(location: str) -> Response[str]:
    """Return a redirection that nobody may keep, and that tells the next page nothing of this one."""
    headers: dict[str, str | list[str]] = {
        **NO_STORE,
        "Location": location,
        "Referrer-Policy": "no-referrer",
    }
    return Response(status_code=302, content_type="text/plain", body="", headers=headers)


def _in_oauth(error: DatapunkError) -> OAuthError:
    if error.status >= _SERVER_ERROR:
        code = "temporarily_unavailable" if error.retryable else "server_error"
        return OAuthError(code, error.detail)
    return OAuthError("slow_down" if error.retryable else "invalid_request", error.detail)
