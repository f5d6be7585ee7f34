"""Rules of the router: which requests go to which service, and how.

A service that no rule names is not reachable from outside, whether it is registered or not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from datapunk.hygiene import CLAIMING, CLAIMS, HOP_BY_HOP
from datapunk.nexus.routing.paths import check_template, read_pattern
from datapunk.registry.model import ServiceName

LONGEST = 280
"""Seconds that a request may take in the background: what runs it lives for 300."""
TIMEOUTS: Mapping[str, float] = {"default": 30.0, "streaming": 5.0, "ai": 10.0, "training": 20.0}
"""Seconds by timeout class (specification 001, timeout policies)."""
Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110, 9.2.1): such a request may be sent again."""
METHODS: tuple[Method, ...] = get_args(Method)

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_POINTER = re.compile(r"(/([^/~]|~[01])*)*\Z")
_OURS = frozenset(
    {
        *HOP_BY_HOP,
        *CLAIMS,
        *("host", "content-length", "traceparent", "authorization", "cookie", "x-api-key"),
        *("x-correlation-id", "expect"),
    }
)
"""Headers that only the router itself sets."""

PLATFORM_PROVIDER = "platform"
CALLER_PROVIDER = "caller"
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""What a rule may be called."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]


def _header_name(name: str) -> str:
    lower = name.lower()
    if not _TOKEN.match(name):
        raise ValueError(f"{name[:64]!r} is no header name")
    if lower in _OURS or lower.startswith(CLAIMING):
        raise ValueError(f"{name} is set by the router alone")
    return lower


def _printable(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("must consist of printable ASCII")
    return text


def _pattern(text: str) -> str:
    read_pattern(text)
    return text


def _pointer(text: str) -> str:
    if not _POINTER.match(text):
        raise ValueError("is no JSON pointer (RFC 6901): /a/0/b")
    return text


HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, Field(max_length=1024), AfterValidator(_printable)]
Pointer = Annotated[str, Field(max_length=256), AfterValidator(_pointer)]
QueryName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]


class _Part(BaseModel):
    # Strict: 1 is no flag, and "5" is no number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RequestChanges(_Part):
    """What is changed in a request before the service gets it."""

    set_headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32)] = {}
    remove_headers: Annotated[list[HeaderName], Field(max_length=32)] = []
    set_query: Annotated[dict[QueryName, HeaderValue], Field(max_length=32)] = {}
    remove_query: Annotated[list[QueryName], Field(max_length=32)] = []


class ResponseChanges(_Part):
    """What is changed in an answer before the caller gets it."""

    set_headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32)] = {}
    remove_headers: Annotated[list[HeaderName], Field(max_length=32)] = []
    fields: Annotated[dict[QueryName, Pointer], Field(max_length=64)] | None = Field(
        default=None,
        description="A JSON object in place of the body of a JSON answer: each member by a pointer "
        "(RFC 6901) into it. What is not there is left out.",
    )


class CacheRule(_Part):
    """How long answers to GET are kept, and for whom."""

    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)]
    vary: Annotated[list[HeaderName], Field(max_length=8)] = Field(
        default=[], description="Request headers that the answer depends on."
    )
    scope: Literal["caller", "tenant", "public"] = Field(
        default="tenant",
        description="Who shares an answer: nobody, those of a tenant with the same rights, or everybody.",
    )


class Canary(_Part):
    """A share of the requests for some of the instances, told apart by tag or version."""

    percent: Annotated[float, Field(ge=0, le=100)]
    tag: Label | None = None
    version: Label | None = None

    @model_validator(mode="after")
    def _one_mark(self) -> Canary:
        if (self.tag is None) == (self.version is None):
            raise ValueError("a canary is told apart by tag or by version: give one of them")
        return self


class Shadow(_Part):
    """A copy of the requests for another service, whose answers nobody sees."""

    target: ServiceName
    percent: Annotated[float, Field(gt=0, le=100)] = 100
    unsafe: bool = Field(
        default=False,
        description="Also of requests that change something: the copy changes it too.",
    )


class Ejection(_Part):
    """When an instance that fails is left out, and for how long."""

    failures: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="In a row.")
    base_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=5, description="The first time; each further time takes twice as long."
    )
    most_seconds: Annotated[float, Field(gt=0, le=3600)] = 300


class RouteRule(_Part):
    """A rule, as operators write it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "service": "billing",
                    "path": "/invoices/{path+}",
                    "methods": ["GET", "POST"],
                    "timeout": "ai",
                    "retries": 2,
                    "rewrite": "/v2/invoices/{path+}",
                    "request": {"set_headers": {"x-source": "datapunk"}},
                    "cache": {"ttl_seconds": 30, "vary": ["accept-language"]},
                    "canary": {"percent": 10, "tag": "canary"},
                }
            ]
        },
    )

    service: ServiceName = Field(description="The name in `/v1/services/{service}`.")
    path: Annotated[str, Field(max_length=512), AfterValidator(_pattern)] = Field(
        default="/{path+}",
        description="What follows the name: text, `{name}` for a segment, `{name+}` for the rest.",
    )
    methods: Annotated[list[Method], Field(min_length=1, max_length=7)] = list(METHODS)
    target: ServiceName | None = Field(
        default=None, description="The registered service; by default it is called as in the path."
    )
    needs: Literal["method", "identity", "read", "write", "admin"] = Field(
        default="method",
        description="What a caller must be allowed; `method` is `read` to read, `write` for the rest.",
    )
    timeout: Literal["default", "streaming", "ai", "training"] = Field(
        default="default", description="Class: 30, 5, 10 or 20 s."
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=LONGEST)] | None = Field(
        default=None, description="In place of the class's."
    )
    retries: Annotated[int, Field(ge=0, le=5)] = Field(
        default=2,
        description="Further tries, on other instances, of requests that read or carry an Idempotency-Key.",
    )
    background: Literal["automatic", "never"] = Field(
        default="automatic",
        description="`never`: what does not end in time is answered with 504 and not with 202.",
    )
    rewrite: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="The path the service sees, with the parameters of `path`."
    )
    request: RequestChanges = RequestChanges()
    response: ResponseChanges = ResponseChanges()
    cache: CacheRule | None = None
    balance: Literal["weighted", "adaptive"] = Field(
        default="weighted",
        description="`adaptive`: weights are lowered where answers take longer or fail.",
    )
    canary: Canary | None = None
    shadow: Shadow | None = None
    ejection: Ejection = Ejection()
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0,
        description="Requests at once that the service gets through rules; 0: any number.",
    )
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] = Field(
        default=PLATFORM_PROVIDER,
        description="Whose instances count: the platform's own (`platform`), those of the tenant that asks "
        "(`caller`), or those of a tenant by its name.",
    )
    owners: Annotated[list[Label], Field(max_length=16)] = Field(
        default=[],
        description="Who must have registered an instance, such as `service:billing`; empty: anybody.",
    )
    function: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")] | None = Field(
        default=None,
        description="Where the service is made of functions: the one that answers, `<address>-<function>`.",
    )
    forward_credentials: bool = Field(
        default=False, description="Hand on the caller's own `Authorization`; rarely right."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> RouteRule:
        if self.rewrite is not None:
            check_template(self.rewrite, read_pattern(self.path).names)
        if len(set(self.methods)) != len(self.methods):
            raise ValueError("a method is there twice")
        if self.cache is not None and "GET" not in self.methods:
            raise ValueError("only answers to GET are cached, which is not among the methods")
        if self.shadow is not None and self.shadow.target == self.to:
            raise ValueError("a service is not its own shadow")
        if self.forward_credentials and (self.background != "never" or self.shadow):
            raise ValueError(
                "credentials are not kept or copied: use background never, and no shadow, with them"
            )
        return self

    @property
    def to(self) -> str:
        """Return the name of the registered service."""
        return self.target or self.service

    @property
    def seconds(self) -> float:
        """Return the seconds that a request may take."""
        return self.timeout_seconds or TIMEOUTS[self.timeout]

    def permission(self, method: str) -> str:
        """Return the action of the policy that a request with `method` needs."""
        if self.needs != "method":
            return f"route.{self.needs}"
        return "route.read" if method in READING else "route.write"


class Route(BaseModel):
    """A rule as it is stored, with the version that counts."""

    name: str
    version: int
    rule: RouteRule
    changed_at: datetime
    changed_by: str
    warnings: list[str] = []

    @property
    def etag(self) -> str:
        """Entity tag of this version (RFC 9110, 8.8.3)."""
        return f'"{self.version}"'


class RouteVersion(BaseModel):
    """One version of a rule; `rule` is null where it was deleted."""

    version: int
    rule: RouteRule | None
    changed_at: datetime
    changed_by: str
