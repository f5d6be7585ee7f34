"""The edge of an HTTP function: routing and validation, problem documents, correlation, deadline.

Routing, validation and OpenAPI are Powertools' resolver's; this module adds what every response of the
platform has in common. A handler module calls `http_function` once and decorates one function per route.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
    ResponseValidationError,
)
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from datapunk.context import current, working
from datapunk.encodings import IDENTITY, unpacked
from datapunk.errors import (
    ConfigurationError,
    DatapunkError,
    ErrorShape,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)
from datapunk.guard import Guard, guarded
from datapunk.hygiene import add_headers, check_query, clean_request, has_query
from datapunk.identity import Caller
from datapunk.parameters import declared_parameters
from datapunk.policy import require
from datapunk.proxy import JSON, MAX_BODY_BYTES, dumps, error_answer, loads, refuse, work_of
from datapunk.received import Received, read_content_type
from datapunk.settings import settings
from datapunk.telemetry import count, logger, observe
from datapunk.validation import refused

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]
_GUARD = Guard()


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as it was sent: `media_type` in lower case without parameters, and bytes."""

    media_type: str
    charset: str
    content: bytes


class _Event(APIGatewayProxyEvent):
    """The event as the resolver sees it, which asks for its headers six times a request."""

    @cached_property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = super().headers
        return found

    @cached_property
    def multi_value_headers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = super().multi_value_headers
        return found


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
            json_body_deserializer=loads,
        )
        self.operation = operation
        self.accepts = tuple(accepts)
        self.produces = tuple(produces)
        self.raises = tuple(raises)
        self.parameters = tuple(parameters)
        self.answers_in_oauth = False
        """Whether errors have OAuth's shape, and problem documents only what precedes the handler."""
        self.needs_body = True
        """Whether requests must have the raw body that `accepts` is about."""
        self.error_shape: ErrorShape | None = None
        """How errors are written, those too that precede the handler, where not as problem documents."""
        self.guard = guard
        self._declared: dict[str, frozenset[str]] = {}
        self._received: Received | None = None
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

    def body(
        self, *, charset: str = "utf-8", encodings: Sequence[str] = (), most: int = MAX_BODY_BYTES
    ) -> Body:
        """Return the raw request body of one of the declared media types.

        One that was sent in one of the content encodings is unpacked, to `most` bytes. Raises
        UnsupportedMediaTypeError for another type or encoding, MalformedRequestError when the body is
        missing or not what its encoding says, PayloadTooLargeError when it would become larger.
        """
        received = self.received
        media_type, parameters = received.content_type()
        if media_type not in self.accepts:
            expected = ", ".join(self.accepts)
            given = f"{media_type!r} is" if media_type else "No content type was given, or it is"
            raise UnsupportedMediaTypeError(f"{given} not one of: {expected}.")
        encoding = received.headers.get("content-encoding", IDENTITY)
        content = received.content()
        if encoding != IDENTITY:
            content = unpacked(content, encoding, encodings, most)
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

    @staticmethod
    def _compile_regex(rule: str, base_regex: str = "") -> re.Pattern[str]:  # noqa: ARG004 -- the base's
        """Let `<path+>` at the end of a rule take all that remains, as `{path+}` does in API Gateway."""
        plain, greedy, _ = rule.partition("<path+>")
        compiled: re.Pattern[str] = APIGatewayRestResolver._compile_regex(plain)  # noqa: SLF001
        return re.compile(f"^{compiled.pattern[1:-3]}(?P<path>.+)$") if greedy else compiled

    def _convert_matches_into_route_keys(self, match: re.Match[str]) -> dict[str, str]:
        """Return the path's parameters decoded: the path is matched as the client wrote it."""
        return {name: unquote(value) for name, value in match.groupdict().items()}

    def _to_proxy_event(self, event: dict[str, Any]) -> _Event:
        return _Event(event, self._json_body_deserializer)

    def write_errors_as(self, shape: ErrorShape) -> None:
        """Write all errors in a foreign protocol's shape."""
        self.error_shape = shape
        self.exception_handler(shape.own)(lambda raised: self._answer_own(shape, raised))

    def _answer_own(self, shape: ErrorShape, raised: Exception) -> Response[str]:
        status, document = shape.document(raised)
        if (work := current()) is not None:
            count("error_rate_total", service=work.service, error_type=str(document["code"]))
        return Response(status_code=status, content_type=JSON, body=dumps(document))

    def _answer_error(self, raised: Exception) -> Response[str]:
        error, path = as_datapunk_error(raised), self.current_event.path
        status, headers, media_type, body = error_answer(error, path, self.error_shape)
        return Response(status_code=status, content_type=media_type, body=body, headers=headers)


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
    errors beyond those every route may answer with (`raises`), and parameters read by `HttpFunction.query`
    and `HttpFunction.header` (`parameters`, as OpenAPI parameter objects). `guard` says how it is limited and
    recorded where the defaults do not fit.
    """
    app = HttpFunction(operation, accepts, produces, raises, parameters, guard)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(
            operation,
            guard,
            event,
            context,
            lambda received: _resolve(app, received, context),
            app.error_shape,
        )

    return app, handler


def serve(
    operation: str,
    guard: Guard,
    event: dict[str, Any],
    context: Any,
    respond: Callable[[Received], dict[str, Any]],
    shape: ErrorShape | None = None,
) -> dict[str, Any]:
    """Answer a request with what `respond` makes of it, and with all that every answer has in common.

    `respond` gets the request cleaned; it may raise nothing. `shape` is how errors are written where not as
    problem documents.
    """
    started = time.perf_counter()
    event = clean_request(event)
    received = Received(event)
    with working(work_of(operation, received, context)) as work:
        answer = guarded(
            guard, event, work, lambda: respond(received), lambda error: refuse(error, event, shape)
        )
        headers = answer.setdefault("multiValueHeaders", {})
        add_headers(headers, secure=_is_secure())
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


def _is_secure() -> bool:
    """Tell whether answers travel over HTTPS; settings that cannot be read do not keep one from leaving."""
    try:
        return settings().issuer.startswith("https:")
    except ConfigurationError:
        return False


def _resolve(app: HttpFunction, received: Received, context: Any) -> dict[str, Any]:
    """Run a request of a caller who may; what fails outside of the resolver's own handling is answered here.

    That is a body it could not even look at, and an answer that cannot be written.
    """
    event = received.event
    try:
        check_caller(app.operation, event)
        check_body(received, json_only=not app.accepts)
        if not app.guard.open_query and has_query(event):
            check_query(event, app.declared(str(event.get("resource") or "")))
        return app.resolve_received(received, context)
    except Exception as error:  # noqa: BLE001 -- a caller gets a problem document in any case
        return refuse(as_datapunk_error(error), event, app.error_shape)


def check_caller(operation: str, event: Mapping[str, Any]) -> None:
    """Refuse a caller to whom the policy refuses the operation.

    The gateway's authorizer has said who it is; what he may do is decided here too, so that it holds
    whichever way the function was called.
    """
    identity = (event.get("requestContext") or {}).get("identity") or {}
    address = str(identity.get("sourceIp") or "")
    # Settings may need secrets that only some functions can read: looked at only where it matters.
    require(operation, trusted_network=lambda: settings().trusts(address))


def check_body(received: Received, *, json_only: bool) -> None:
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
    packed = received.headers.get("content-encoding", IDENTITY) != IDENTITY
    if plain or (packed and not json_only):
        return
    try:
        received.content().decode()
    except UnicodeDecodeError as error:
        raise MalformedRequestError(f"The body is not UTF-8: {error.reason}.") from None


def as_datapunk_error(raised: Exception) -> DatapunkError:
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
        media_type, parameters = read_content_type(part)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0 and media_type in offered:
            ranked.append((-quality, place, media_type))
    return min(ranked)[2] if ranked else default
