"""A request in PostgREST's words: its parameters and headers, read but not yet checked against a dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datapunk.lake.rest import grammar
from datapunk.lake.rest.errors import RestError, syntax_error
from datapunk.lake.rest.grammar import OrderItem, Path, SelectItem, Test, Tree
from datapunk.lake.rest.preferences import Preferences, read_preferences

MOST_CONDITIONS = 200
"""Conditions, sort keys and selected values of one request, all together."""

JSON = "application/json"
ARRAY = "application/vnd.pgrst.array+json"
OBJECT = "application/vnd.pgrst.object+json"
CSV = "text/csv"
GEOJSON = "application/geo+json"
MEDIA_TYPES = (JSON, OBJECT, ARRAY, CSV, GEOJSON)
_SAME = {"*/*": JSON, "application/*": JSON, "text/*": CSV, "application/vnd.pgrst.object": OBJECT}
_SAME |= {"application/vnd.pgrst.array": ARRAY}
_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})?\Z", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}\Z", re.ASCII)
_TREES = ("and", "or")
_SETTINGS = ("select", "order", "limit", "offset", "columns", "on_conflict")

Place = tuple[str, ...]
"""Names of the embedded resources that lead to one; empty for the dataset itself."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of a result: `limit` of them (None for all) behind the first `offset`."""

    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer looks like: its media type, and whether members that are null are left out."""

    media_type: str = JSON
    without_nulls: bool = False

    @property
    def single(self) -> bool:
        """Whether it is one object instead of an array."""
        return self.media_type == OBJECT

    @property
    def content_type(self) -> str:
        """Return the header of the answer."""
        return f"{self.media_type}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RestRequest:
    """What a request asks for, by the embedded resource it is asked of."""

    select: tuple[SelectItem, ...]
    conditions: dict[Place, list[Test | Tree]]
    order: dict[Place, tuple[OrderItem, ...]]
    windows: dict[Place, Window]
    columns: tuple[str, ...] | None
    on_conflict: tuple[str, ...] | None
    preferences: Preferences
    form: Form
    given: frozenset[str] = field(default=frozenset())
    """Names of the settings that were given."""

    @property
    def window(self) -> Window:
        """Which rows of the dataset itself."""
        return self.windows.get((), Window())


def read_request(
    parameters: Mapping[str, Sequence[str]], header: Mapping[str, str | None]
) -> RestRequest:
    """Read a request from its query parameters and the headers `accept`, `prefer` and `range`.

    Raises RestError for what PostgREST would not understand either.
    """
    _check_texts(parameters)
    conditions: dict[Place, list[Test | Tree]] = {}
    order: dict[Place, tuple[OrderItem, ...]] = {}
    limits: dict[Place, str] = {}
    offsets: dict[Place, str] = {}
    settings: dict[str, str] = {}
    for name, values in parameters.items():
        place, path = grammar.read_key(name)
        last = place[-1] if place else ""
        for value in values:
            if path.steps or not (path.name in _SETTINGS or path.name in _TREES):
                conditions.setdefault(place, []).append(grammar.read_test(path, value))
            elif path.name in _TREES:
                negated = last == "not"
                read = grammar.read_tree(path.name, value, negated=negated)
                conditions.setdefault(place[:-1] if negated else place, []).append(read)
            elif path.name == "order":
                order[place] = grammar.read_order(value)
            elif path.name == "limit":
                limits[place] = value
            elif path.name == "offset":
                offsets[place] = value
            elif place:
                raise syntax_error("filter", name, 0, f"no resource before {path.name}")
            else:
                settings[path.name] = value
    return RestRequest(
        select=grammar.read_select(settings.get("select", "")),
        conditions=conditions,
        order=order,
        windows=_windows(limits, offsets, header.get("range"), header.get("range-unit")),
        columns=_names(settings.get("columns")),
        on_conflict=_names(settings.get("on_conflict")),
        preferences=read_preferences(header.get("prefer")),
        form=read_form(header.get("accept")),
        given=frozenset({*settings, *(["limit"] if () in limits or () in offsets else [])}),
    )


def _check_texts(parameters: Mapping[str, Sequence[str]]) -> None:
    """Refuse what no text of the database can be."""
    for name, values in parameters.items():
        for text in (name, *values):
            if "\x00" in text or not _encodable(text):
                raise RestError(
                    400, "22021", "A parameter holds a character that no text can have."
                )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(dict.fromkeys(grammar.read_names(text)))


def _windows(
    limits: Mapping[Place, str], offsets: Mapping[Place, str], header: str | None, unit: str | None
) -> dict[Place, Window]:
    found = {
        place: Window(
            _number("limit", limits[place]) if place in limits else None,
            _number("offset", offsets[place]) if place in offsets else 0,
        )
        for place in {*limits, *offsets}
    }
    if header is not None and () not in found and (unit or "items") == "items":
        found[()] = _range(header)
    return found


def _number(name: str, text: str) -> int:
    if not _NUMBER.match(text):
        raise syntax_error(name, text, 0, "a whole number")
    if int(text) < 0:
        raise _range_error(f"{name.title()} should be greater than or equal to zero.")
    return int(text)


def _range(header: str) -> Window:
    match = _RANGE.match(header.removeprefix("items=").strip())
    if match is None:
        return Window()  # RFC 9110, 14.2: a range that is not understood is ignored
    first, last = int(match[1]), match[2]
    if last is None:
        return Window(None, first)
    if int(last) < first:
        raise _range_error(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    return Window(int(last) - first + 1, first)


def _range_error(details: str) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details)


def read_form(accept: str | None) -> Form:
    """Return the first form of answer that the `Accept` header names and there is.

    Raises RestError (PGRST107) when it names none.
    """
    named = [part.strip() for part in (accept or "").split(",") if part.strip()]
    for part in named or [JSON]:
        media_type, *options = (piece.strip().lower() for piece in part.split(";"))
        media_type = _SAME.get(media_type, media_type)
        if media_type in MEDIA_TYPES:
            stripped = "nulls=stripped" in options and media_type in (OBJECT, ARRAY)
            return Form(media_type, stripped)
    raise RestError(
        406,
        "PGRST107",
        f"None of these media types are available: {', '.join(named)[:200]}",
        None,
        f"There are: {', '.join(MEDIA_TYPES)}",
    )


def count_of(request: RestRequest) -> int:
    """Return how many things a request asks for. Raises RestError when they are too many."""
    total = sum(map(_size, request.select)) + sum(map(len, request.order.values()))
    total += sum(_size(item) for items in request.conditions.values() for item in items)
    if total > MOST_CONDITIONS:
        raise RestError(
            400,
            "54001",
            f"A query may have {MOST_CONDITIONS} conditions, sort keys and selected values at most.",
            f"This one has {total}.",
        )
    return total


def _size(item: SelectItem | Test | Tree) -> int:
    if isinstance(item, Tree | grammar.Resource):
        return 1 + sum(map(_size, item.items))
    return 1


__all__ = ["Path", "RestRequest", "Window", "read_request"]
