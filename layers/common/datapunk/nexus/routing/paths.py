"""Paths of routed requests, and the patterns of rules, in the words of API Gateway.

A pattern is literal segments, `{name}` for one segment and `{name+}` for what remains, at least one segment.
Where several match, the more literal one counts, segment by segment from the left.

A path is taken apart once and written anew, so that the rule is chosen by the very path that the service
sees. Spellings that servers disagree on (`..`, an encoded slash, `;`) are refused: with them a request could
pass by one rule and arrive as another's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import quote, unquote

from datapunk.errors import FieldError, InvalidInputError

MOST_SEGMENTS = 64
_SAFE = "!$&'()*+,=:@-._~"
"""What RFC 3986, 3.3 lets stand in a segment, without `;`."""
_MARKS = ("", "{}", "{+}")
_LITERAL = re.compile(r"[A-Za-z0-9!$&'()*+,=:@._~-]+\Z")
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]{0,31})(\+?)\}\Z")
_BAD = re.compile(r"[/\\;\x00-\x1f\x7f]")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Kind(IntEnum):
    """Kinds of segments, the one that counts more first."""

    LITERAL = 0
    PARAMETER = 1
    REST = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern; `text` is the literal or the parameter's name."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Path:
    """The path of a request behind the service's name, taken apart and decoded."""

    segments: tuple[str, ...]
    slash: bool = False
    """Whether it ends with a slash, which some servers care for."""

    def __str__(self) -> str:
        if not self.segments:
            return "/"
        return "/" + "/".join(map(encode, self.segments)) + ("/" if self.slash else "")


@dataclass(frozen=True, slots=True)
class Pattern:
    """The pattern of a rule."""

    segments: tuple[Segment, ...]

    @property
    def rank(self) -> tuple[Kind, ...]:
        """Return what patterns that match the same path are ordered by, the one that counts first."""
        return tuple(segment.kind for segment in self.segments)

    @property
    def shape(self) -> tuple[str, ...]:
        """Return what two patterns have in common that match exactly the same paths."""
        return tuple(
            segment.text if segment.kind is Kind.LITERAL else _MARKS[segment.kind]
            for segment in self.segments
        )

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the pattern's parameters."""
        return frozenset(item.text for item in self.segments if item.kind is not Kind.LITERAL)

    def match(self, path: Path) -> dict[str, str] | None:
        """Return the parameters, encoded as they may stand in a path; None where it does not match."""
        found: dict[str, str] = {}
        for place, segment in enumerate(self.segments):
            if place >= len(path.segments):
                return None
            if segment.kind is Kind.REST:
                rest = "/".join(map(encode, path.segments[place:]))
                found[segment.text] = rest + ("/" if path.slash else "")
                return found
            given = path.segments[place]
            if segment.kind is Kind.PARAMETER:
                found[segment.text] = encode(given)
            elif segment.text != given:
                return None
        return found if len(path.segments) == len(self.segments) else None


def encode(segment: str) -> str:
    """Return a decoded segment as it stands in a path."""
    return quote(segment, safe=_SAFE)


def read_path(raw: str) -> Path:
    """Take a path apart as it came, percent-encoded, without its query.

    Empty segments are left out. Raises InvalidInputError for what servers could understand differently.
    """
    parts = [part for part in raw.split("/") if part]
    if len(parts) > MOST_SEGMENTS:
        raise _refused(f"has more than {MOST_SEGMENTS} segments")
    return Path(tuple(map(_decode, parts)), slash=raw.endswith("/"))


def read_pattern(text: str) -> Pattern:
    """Return a pattern. Raises ValueError that says what is wrong with it."""
    if not text.startswith("/"):
        raise ValueError("must begin with /")
    parts = text[1:].removesuffix("/").split("/") if text != "/" else []
    segments: list[Segment] = []
    for place, part in enumerate(parts):
        segment = _segment(part)
        if segment.kind is Kind.REST and place < len(parts) - 1:
            raise ValueError(f"{part} may only stand at the end")
        if segment.kind is not Kind.LITERAL and segment.text in {item.text for item in segments}:
            raise ValueError(f"{segment.text} is there twice")
        segments.append(segment)
    return Pattern(tuple(segments))


def fill(template: str, parameters: Mapping[str, str]) -> str:
    """Return a path in which each `{name}` or `{name+}` is replaced by its encoded value."""
    parts = template.split("/")
    filled = []
    for part in parts:
        match = _PARAMETER.match(part)
        filled.append(parameters[match[1]] if match else part)
    return "/".join(filled)


def check_template(template: str, names: frozenset[str]) -> None:
    """Raise ValueError unless a rewritten path is a pattern whose parameters are among `names`."""
    unknown = sorted(read_pattern(template).names - names)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: the path of the rule has no such parameter")


def _segment(part: str) -> Segment:
    match = _PARAMETER.match(part)
    if match:
        return Segment(Kind.REST if match[2] else Kind.PARAMETER, match[1])
    if part in (".", "..") or not _LITERAL.match(part):
        raise ValueError(f"{part[:40]!r} is no segment: use plain text, {{name}} or {{name+}}")
    return Segment(Kind.LITERAL, part)


def _decode(part: str) -> str:
    if _BROKEN.search(part):
        raise _refused("has a % that begins no escape")
    try:
        segment = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None
    if segment in (".", "..") or _BAD.search(segment):
        raise _refused("must not contain . or .. segments, ; or encoded slashes")
    return segment


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError("Not valid: path.", errors=[FieldError("path", message, "path")])
