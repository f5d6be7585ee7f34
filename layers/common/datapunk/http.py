"""The edge of an HTTP function: routing and validation, problem documents, correlation, deadline.

Routing, validation and OpenAPI are Powertools' resolver's; this module adds what every response of the
platform has in common. A handler module calls `http_function` once and decorates one function per route.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)

from datapunk.context import current, working
from datapunk.errors import (
    DatapunkError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from datapunk.guard import Guard, guarded
from datapunk.hygiene import add_headers, check_query, clean_request
from datapunk.identity import Caller
from datapunk.parameters import declared_parameters
from datapunk.policy import require
from datapunk.problems import PROBLEM_JSON
from datapunk.proxy import (
    MAX_BODY_BYTES,
    content_of,
    dumps,
    headers_of,
    media_type_of,
    problem_answer,
    refuse,
    work_of,
)
from datapunk.settings import settings
from datapunk.telemetry import logger, observe
from datapunk.validation import refused

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]
_GUARD = Guard()


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as it was sent: `media_type` in lower case without parameters, and bytes."""

    media_type: str
    charset: str
    content: bytes


class HttpFunction(APIGatewayRestResolver):
    """A resolver that knows its operation and answers errors as problem documents."""

    def __init__(
        self,
        operation: str,
        accepts: Sequence[str] = (),
        produces: Sequence[str] = (),
        raises: Sequence[type[DatapunkError]] = (),
        parameters: Sequence[Mapping[str, Any]] = (),
        guard: Guard = _GUARD,
    ) -> None:
        super().__init__(
            enable_validation=True,
            serializer=dumps,
            json_body_deserializer=orjson.loads,
        )
        self.operation = operation
        self.accepts = tuple(accepts)
        self.produces = tuple(produces)
        self.raises = tuple(raises)
        self.parameters = tuple(parameters)
        self.answers_in_oauth = False
        """Whether errors have OAuth's shape, and problem documents only what precedes the handler."""
        self.guard = guard
        self._declared: dict[str, frozenset[str]] = {}
        for error in (DatapunkError, RouteNotFoundError, Exception):
            self.exception_handler(error)(self._answer_error)
        for kind in (
            RequestValidationError,
            RequestUnsupportedContentType,
            ResponseValidationError,
        ):
            self.exception_handler(kind)(self._answer_error)

    @property
    def caller(self) -> Caller:
        """Who sent the request in hand."""
        work = current()
        return work.caller if work else Caller()

    def body(self, *, charset: str = "utf-8") -> Body:
        """Return the raw request body of one of the declared media types.

        Raises UnsupportedMediaTypeError for another type or a content encoding, MalformedRequestError
        when the body is missing.
        """
        headers = headers_of(self.current_event.raw_event)
        media_type, parameters = media_type_of(headers.get("content-type", ""))
        if media_type not in self.accepts:
            expected = ", ".join(self.accepts)
            given = f"{media_type!r} is" if media_type else "No content type was given, or it is"
            raise UnsupportedMediaTypeError(f"{given} not one of: {expected}.")
        if headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMediaTypeError("Send the body without a content encoding.")
        content = content_of(self.current_event.raw_event)
        if not content.strip():
            raise MalformedRequestError("The request has no body.")
        return Body(media_type, parameters.get("charset", charset), content)

    def query(self) -> dict[str, list[str]]:
        """Return every query parameter with all of its values, in the order sent."""
        event = self.current_event.raw_event
        multiple = event.get("multiValueQueryStringParameters")
        if multiple:
            return {name: list(values) for name, values in multiple.items()}
        single = event.get("queryStringParameters") or {}
        return {name: [value] for name, value in single.items()}

    def header(self, name: str) -> str | None:
        """Return a request header by name, whatever its case."""
        return headers_of(self.current_event.raw_event).get(name.lower())

    def declared(self, path: str) -> frozenset[str]:
        """Return the query parameters declared for an OpenAPI path; none where any may be given."""
        if path not in self._declared:
            self._declared[path] = declared_parameters(self, path)
        return self._declared[path]

    @staticmethod
    def _compile_regex(rule: str, base_regex: str = "") -> re.Pattern[str]:  # noqa: ARG004 -- the base's
        """Let `<path+>` at the end of a rule take all that remains, as `{path+}` does in API Gateway."""
        plain, greedy, _ = rule.partition("<path+>")
        compiled: re.Pattern[str] = APIGatewayRestResolver._compile_regex(plain)  # noqa: SLF001
        return re.compile(f"^{compiled.pattern[1:-3]}(?P<path>.+)$") if greedy else compiled

    def _answer_error(self, raised: Exception) -> Response[str]:
        status, headers, body = problem_answer(_as_datapunk_error(raised), self.current_event.path)
        return Response(status_code=status, content_type=PROBLEM_JSON, body=body, headers=headers)


def http_function(
    operation: str,
    *,
    accepts: Sequence[str] = (),
    produces: Sequence[str] = (),
    raises: Sequence[type[DatapunkError]] = (),
    parameters: Sequence[Mapping[str, Any]] = (),
    guard: Guard = _GUARD,
) -> tuple[HttpFunction, LambdaHandler]:
    """Return the app of an HTTP operation, to put routes on, and its Lambda handler.

    What the resolver cannot see from type hints is said here, for the handler's use and the OpenAPI
    document: media types of a raw body (`accepts`) and of an answer that is not JSON (`produces`),
    errors beyond those every route may answer with (`raises`), and query parameters read by
    `HttpFunction.query` (`parameters`, as OpenAPI parameter objects). `guard` says how it is limited and
    recorded where the defaults do not fit.
    """
    app = HttpFunction(operation, accepts, produces, raises, parameters, guard)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        event = clean_request(event)
        with working(work_of(operation, event, context)) as work:
            answer = guarded(
                guard,
                event,
                work,
                lambda: _resolve(app, event, context),
                lambda error: refuse(error, event),
            )
            headers = answer.setdefault("multiValueHeaders", {})
            add_headers(headers, secure=settings().issuer.startswith("https:"))
            headers["X-Correlation-Id"] = [work.correlation_id]
            headers["traceparent"] = [work.trace.header()]
            status = str(answer["statusCode"])
            elapsed = time.perf_counter() - started
            endpoint = f"{event.get('httpMethod', '')} {event.get('resource', '')}"
            observe(
                "request_duration_seconds",
                elapsed,
                service=work.service,
                endpoint=endpoint,
                status=status,
            )
            logger().info(
                "request",
                extra={
                    "endpoint": endpoint,
                    "status": answer["statusCode"],
                    "duration_ms": round(elapsed * 1000, 3),
                    "principal": work.caller.principal,
                },
            )
            return answer

    return app, handler


def _resolve(app: HttpFunction, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run a request of a caller who may; what fails outside of the resolver's own handling is answered here.

    That is a body it could not even look at, and an answer that cannot be written.
    """
    try:
        _check_caller(app.operation, event)
        _check_body(event, json_only=not app.accepts)
        if not app.guard.open_query:
            check_query(event, app.declared(str(event.get("resource") or "")))
        return app.resolve(event, context)
    except Exception as error:  # noqa: BLE001 -- a caller gets a problem document in any case
        return refuse(_as_datapunk_error(error), event)


def _check_caller(operation: str, event: Mapping[str, Any]) -> None:
    """Refuse a caller to whom the policy refuses the operation.

    The gateway's authorizer has said who it is; what he may do is decided here too, so that it holds
    whichever way the function was called.
    """
    identity = (event.get("requestContext") or {}).get("identity") or {}
    address = str(identity.get("sourceIp") or "")
    # Settings may need secrets that only some functions can read: looked at only where it matters.
    require(operation, trusted_network=lambda: settings().trusts(address))


def _check_body(event: Mapping[str, Any], *, json_only: bool) -> None:
    """Refuse a body that is too large, not base64 where it says so, or no JSON where only that is read.

    The resolver would also read forms, and fails on malformed ones; no operation takes them.
    """
    body = event.get("body")
    if not body:
        return
    if len(body) > MAX_BODY_BYTES * 4 // 3 or len(content_of(event)) > MAX_BODY_BYTES:
        raise PayloadTooLargeError(f"A request body may have {MAX_BODY_BYTES:,} bytes at most.")
    media_type, _ = media_type_of(headers_of(event).get("content-type", ""))
    if media_type not in ("", "application/json"):
        if json_only:
            raise UnsupportedMediaTypeError(f"{media_type!r} is not one of: application/json.")
        return
    try:
        content_of(event).decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError(f"The body is not UTF-8: {error.reason}.") from None


def _as_datapunk_error(raised: Exception) -> DatapunkError:
    """Translate what the resolver raises; anything unknown becomes an internal error without details."""
    if isinstance(raised, DatapunkError):
        return raised
    if isinstance(raised, RouteNotFoundError):
        return NotFoundError("There is no such route.")
    if isinstance(raised, RequestUnsupportedContentType):
        return UnsupportedMediaTypeError("Send the body as application/json.")
    if isinstance(raised, RequestValidationError):
        errors = list(raised.errors())
        if any(item["type"] == "json_invalid" for item in errors):
            position = errors[0]["loc"][-1]
            return MalformedRequestError(f"The body is not valid JSON (at character {position}).")
        return refused(errors)
    return DatapunkError()


def negotiate(accept: str | None, offered: Collection[str], default: str) -> str:
    """Return the offered media type the `Accept` header prefers (RFC 9110, 12.5.1).

    Without a header, or when it names none of the offered types, the default is returned.
    """
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate((accept or "").split(",")):
        media_type, parameters = media_type_of(part)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0 and media_type in offered:
            ranked.append((-quality, place, media_type))
    return min(ranked)[2] if ranked else default
