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
from urllib.parse import unquote

import orjson
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)
from pydantic_core import to_json

from datapunk.context import (
    WorkContext,
    continue_correlation,
    continue_trace,
    current,
    deadline_of,
    working,
)
from datapunk.errors import (
    DatapunkError,
    InvalidInputError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from datapunk.guard import Guard, guarded
from datapunk.hygiene import add_headers, check_query, clean_request, has_query
from datapunk.identity import Caller, caller_from_authorizer
from datapunk.parameters import declared_parameters
from datapunk.policy import require
from datapunk.problems import PROBLEM_JSON, field_errors, problem, problem_headers
from datapunk.received import Received, read_content_type
from datapunk.settings import settings
from datapunk.telemetry import count, logger, observe

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]
MAX_BODY_BYTES = 6 * 1024 * 1024
"""Lambda's limit for a request; API Gateway would let 10 MB through."""
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
            serializer=_dumps,
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
        self._received: Received | None = None
        for error in (DatapunkError, RouteNotFoundError, Exception):
            self.exception_handler(error)(self._answer_error)
        for refused in (
            RequestValidationError,
            RequestUnsupportedContentType,
            ResponseValidationError,
        ):
            self.exception_handler(refused)(self._answer_error)

    @property
    def caller(self) -> Caller:
        """Who sent the request in hand."""
        work = current()
        return work.caller if work else Caller()

    @property
    def received(self) -> Received:
        """The request in hand."""
        event = self.current_event.raw_event
        if self._received is None or self._received.event is not event:
            self._received = Received(event)
        return self._received

    def resolve_received(self, received: Received, context: Any) -> dict[str, Any]:
        """Answer a request of which others have read parts already."""
        self._received = received
        return self.resolve(received.event, context)

    def body(self, *, charset: str = "utf-8") -> Body:
        """Return the raw request body of one of the declared media types.

        Raises UnsupportedMediaTypeError for another type or a content encoding, MalformedRequestError
        when the body is missing.
        """
        received = self.received
        media_type, parameters = received.content_type()
        if media_type not in self.accepts:
            expected = ", ".join(self.accepts)
            given = f"{media_type!r} is" if media_type else "No content type was given, or it is"
            raise UnsupportedMediaTypeError(f"{given} not one of: {expected}.")
        if received.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMediaTypeError("Send the body without a content encoding.")
        content = received.content()
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
        return self.received.headers.get(name.lower())

    def declared(self, path: str) -> frozenset[str]:
        """Return the query parameters declared for an OpenAPI path; none where any may be given."""
        if path not in self._declared:
            self._declared[path] = declared_parameters(self, path)
        return self._declared[path]

    def _convert_matches_into_route_keys(self, match: re.Match[str]) -> dict[str, str]:
        """Return the path's parameters decoded: the path is matched as the client wrote it."""
        return {name: unquote(value) for name, value in match.groupdict().items()}

    def _answer_error(self, raised: Exception) -> Response[str]:
        status, headers, body = _problem_answer(_as_datapunk_error(raised), self.current_event.path)
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
        received = Received(event)
        with working(_work(operation, received, context)) as work:
            answer = guarded(
                guard,
                event,
                work,
                lambda: _resolve(app, received, context),
                lambda error: _refuse(error, event),
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


def _resolve(app: HttpFunction, received: Received, context: Any) -> dict[str, Any]:
    """Run a request of a caller who may; what fails outside of the resolver's own handling is answered here.

    That is a body it could not even look at, and an answer that cannot be written.
    """
    event = received.event
    try:
        _check_caller(app.operation, event)
        _check_body(received, json_only=not app.accepts)
        if not app.guard.open_query and has_query(event):
            check_query(event, app.declared(str(event.get("resource") or "")))
        return app.resolve_received(received, context)
    except Exception as error:  # noqa: BLE001 -- a caller gets a problem document in any case
        return _refuse(_as_datapunk_error(error), event)


def _refuse(error: DatapunkError, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a request no handler looks at."""
    status, headers, body = _problem_answer(error, event.get("path", ""))
    return {
        "statusCode": status,
        "multiValueHeaders": {
            "Content-Type": [PROBLEM_JSON],
            **{name: [value] for name, value in headers.items()},
        },
        "body": body,
        "isBase64Encoded": False,
    }


def _problem_answer(error: DatapunkError, path: str) -> tuple[int, dict[str, str], str]:
    """Log and count the error; return its status, headers and problem document."""
    work = current()
    if error.status >= 500:  # noqa: PLR2004 -- server errors
        logger().exception("request failed", extra={"code": error.code})
    if work is not None:
        count("error_rate_total", service=work.service, error_type=error.code)
    document = problem(error, instance=path, trace_id=work.trace.trace_id if work else "")
    return error.status, problem_headers(error), _dumps(document)


def _check_caller(operation: str, event: Mapping[str, Any]) -> None:
    """Refuse a caller to whom the policy refuses the operation.

    The gateway's authorizer has said who it is; what he may do is decided here too, so that it holds
    whichever way the function was called.
    """
    identity = (event.get("requestContext") or {}).get("identity") or {}
    address = str(identity.get("sourceIp") or "")
    # Settings may need secrets that only some functions can read: looked at only where it matters.
    require(operation, trusted_network=lambda: settings().trusts(address))


def _check_body(received: Received, *, json_only: bool) -> None:
    """Refuse a body that is too large, not base64 where it says so, or no JSON where only that is read.

    The resolver would also read forms, and fails on malformed ones; no operation takes them.
    """
    body = received.event.get("body")
    if not body:
        return
    plain = received.is_plain
    if len(body) > MAX_BODY_BYTES * 4 // 3 or (
        len(body if plain else received.content()) > MAX_BODY_BYTES
    ):
        raise PayloadTooLargeError(f"A request body may have {MAX_BODY_BYTES:,} bytes at most.")
    media_type, _ = received.content_type()
    if media_type not in ("", "application/json"):
        if json_only:
            raise UnsupportedMediaTypeError(f"{media_type!r} is not one of: application/json.")
        return
    if plain:
        return
    try:
        received.content().decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError(f"The body is not UTF-8: {error.reason}.") from None


def _work(operation: str, received: Received, context: Any) -> WorkContext:
    headers = received.headers
    request = received.event.get("requestContext") or {}
    return WorkContext(
        operation=operation,
        correlation_id=continue_correlation(headers.get("x-correlation-id")),
        trace=continue_trace(headers.get("traceparent"), headers.get("x-amzn-trace-id")),
        deadline=deadline_of(context),
        caller=caller_from_authorizer(request.get("authorizer")),
    )


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
        found = field_errors(errors)
        names = ", ".join(dict.fromkeys(item.field for item in found))
        return InvalidInputError(f"Not valid: {names}.", errors=found)
    return DatapunkError()


def negotiate(accept: str | None, offered: Collection[str], default: str) -> str:
    """Return the offered media type the `Accept` header prefers (RFC 9110, 12.5.1).

    Without a header, or when it names none of the offered types, the default is returned.
    """
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate((accept or "").split(",")):
        media_type, parameters = read_content_type(part)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0 and media_type in offered:
            ranked.append((-quality, place, media_type))
    return min(ranked)[2] if ranked else default


def _dumps(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # orjson knows no integers beyond 64 bits; JSON does, and so may an event's data
        return to_json(value, fallback=str).decode()
