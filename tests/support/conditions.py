"""Conditions in PostgREST's words, drawn at random, and what Python says of a row they are asked about."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

Row = dict[str, Any]
Verdict = bool | None
"""What SQL says: true, false or unknown."""

COLUMNS = [
    {"name": "id", "type": "integer"},
    {"name": "n", "type": "integer"},
    {"name": "t", "type": "text"},
    {"name": "b", "type": "boolean"},
    {"name": "d", "type": "date"},
    {"name": "j", "type": "json"},
    {"name": "r", "type": "integer_range"},
]
NUMBERS = st.integers(-3, 3)
TEXTS = st.text("aAbB %_*,.()\\\"'{}", max_size=4)
DAYS = st.dates(dt.date(2026, 1, 1), dt.date(2026, 1, 4))
SPANS = st.none() | st.tuples(st.integers(0, 5), st.integers(1, 3)).map(lambda p: (p[0], sum(p)))
"""Ranges of whole numbers, the upper bound left out; None is the empty one."""
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | NUMBERS,
            "t": st.none() | TEXTS,
            "b": st.none() | st.booleans(),
            "d": st.none() | DAYS,
            "j": st.none() | st.fixed_dictionaries({}, optional={"k": TEXTS, "m": NUMBERS}),
            "r": st.none() | st.tuples(SPANS),
        }
    ),
    min_size=1,
    max_size=8,
)


@dataclass(frozen=True)
class Asked:
    """A condition: how it is written as a parameter and inside a tree, and what Python says of a row."""

    name: str
    text: str
    inner: str
    holds: Callable[[Row], Verdict]


def _known(compare: Callable[[Any], bool], value: Any) -> Verdict:
    return None if value is None else bool(compare(value))


def _not(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _and(verdicts: list[Verdict]) -> Verdict:
    return False if False in verdicts else None if None in verdicts else True


def _or(verdicts: list[Verdict]) -> Verdict:
    return True if True in verdicts else None if None in verdicts else False


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def _swapped(compare: Callable[[Any, Any], bool], value: Any, found: Any) -> bool:
    return compare(found, value)


LISTABLE = ("eq", "gt", "gte", "lt", "lte")


@st.composite
def comparisons(draw: st.DrawFn) -> Asked:
    """Draw a comparison of a column with one value or several."""
    name, values = draw(
        st.sampled_from([("n", NUMBERS), ("t", TEXTS), ("b", st.booleans()), ("d", DAYS)])
    )
    word = draw(st.sampled_from([*COMPARE, "in", "isdistinct", "any", "all"]))
    if word in ("in", "any", "all"):
        listed = draw(st.lists(values, max_size=3))
        written = ",".join(_quoted(_value(value)) for value in listed)
        if word == "in":
            text = f"in.({written})"
            return Asked(name, text, text, lambda row: _in(row[name], listed))
        operator, glue = draw(st.sampled_from(LISTABLE)), _or if word == "any" else _and
        text = f"{operator}({word}).{{{written}}}"
        return Asked(
            name,
            text,
            text,
            lambda row: glue(
                [_known(partial(_swapped, COMPARE[operator], it), row[name]) for it in listed]
            ),
        )
    value = draw(values)
    written = _value(value)
    inner = f"{word}.{_quoted(written)}"
    if word == "isdistinct":
        return Asked(name, f"{word}.{written}", inner, lambda row: row[name] != value)
    return Asked(
        name,
        f"{word}.{written}",
        inner,
        lambda row: _known(lambda found: COMPARE[word](found, value), row[name]),
    )


def _in(found: Any, listed: list[Any]) -> Verdict:
    if not listed:
        return False
    return _known(lambda value: value in listed, found)


def _pattern(text: str) -> str:
    """Return LIKE's pattern as a regular expression; a backslash takes the next sign as it is."""
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    signs = {"%": ".*", "*": ".*", "_": "."}
    return "".join(
        re.escape("%" if part == "\\*" else part[1])
        if part.startswith("\\")
        else signs.get(part, re.escape(part))
        for part in parts
    )


@st.composite
def patterns(draw: st.DrawFn) -> Asked:
    """Draw a comparison with a pattern."""
    word = draw(st.sampled_from(["like", "ilike"]))
    text = draw(st.text("aAbB%_*", max_size=4))
    flags = re.DOTALL | (re.IGNORECASE if word == "ilike" else 0)
    shape = re.compile(_pattern(text), flags)
    return Asked(
        "t",
        f"{word}.{text}",
        f"{word}.{_quoted(text)}",
        lambda row: _known(lambda found: shape.fullmatch(found) is not None, row["t"]),
    )


@st.composite
def nothings(draw: st.DrawFn) -> Asked:
    """Draw an `is`."""
    name = draw(st.sampled_from(["n", "t", "b", "d", "j", "r"]))
    words: dict[str, Callable[[Any], bool]] = {
        "null": lambda found: found is None,
        "not_null": lambda found: found is not None,
    }
    if name == "b":
        words |= {
            "true": lambda found: found is True,
            "false": lambda found: found is False,
            "unknown": lambda found: found is None,
        }
    word = draw(st.sampled_from(sorted(words)))
    return Asked(name, f"is.{word}", f"is.{word}", lambda row: words[word](row[name]))


@st.composite
def insides(draw: st.DrawFn) -> Asked:
    """Draw a comparison with what is inside a JSON value."""
    if draw(st.booleans()):
        key = draw(TEXTS)
        return Asked(
            "j->>k",
            f"eq.{key}",
            f"eq.{_quoted(key)}",
            lambda row: _known(lambda found: found == key, (row["j"] or {}).get("k")),
        )
    number = draw(NUMBERS)
    return Asked(
        "j->m",
        f"gt.{number}",
        f"gt.{number}",
        lambda row: _known(lambda found: found > number, (row["j"] or {}).get("m")),
    )


Span = tuple[int, int] | None
SPANNING: dict[str, Callable[[Span, Span], bool]] = {
    "cs": lambda a, b: b is None or (a is not None and a[0] <= b[0] and b[1] <= a[1]),
    "cd": lambda a, b: a is None or (b is not None and b[0] <= a[0] and a[1] <= b[1]),
    "ov": lambda a, b: bool(a and b and a[0] < b[1] and b[0] < a[1]),
    "sl": lambda a, b: bool(a and b and a[1] <= b[0]),
    "sr": lambda a, b: bool(a and b and a[0] >= b[1]),
    "nxr": lambda a, b: bool(a and b and a[1] <= b[1]),
    "nxl": lambda a, b: bool(a and b and a[0] >= b[0]),
    "adj": lambda a, b: bool(a and b and (a[1] == b[0] or b[1] == a[0])),
    "eq": lambda a, b: a == b,
}


def _span(span: Span) -> str:
    return "empty" if span is None else f"[{span[0]},{span[1]})"


@st.composite
def spans(draw: st.DrawFn) -> Asked:
    """Draw a comparison of ranges."""
    word, other = draw(st.sampled_from(sorted(SPANNING))), draw(SPANS)
    text = f"{word}.{_span(other)}"
    return Asked(
        "r",
        text,
        text,
        lambda row: _known(lambda found: SPANNING[word](found[0], other), row["r"]),
    )


LEAVES = st.one_of(comparisons(), patterns(), nothings(), insides(), spans())


def _negated(asked: Asked) -> Asked:
    return Asked(
        asked.name, f"not.{asked.text}", f"not.{asked.inner}", lambda row: _not(asked.holds(row))
    )


SIMPLE = LEAVES | LEAVES.map(_negated)


def _joined(word: str, items: list[Asked], *, negated: bool) -> Asked:
    inner = ",".join(
        f"{item.name}{item.inner}" if item.name in TREES else f"{item.name}.{item.inner}"
        for item in items
    )
    glue = _and if word == "and" else _or
    name = f"not.{word}" if negated else word

    def holds(row: Row) -> Verdict:
        verdict = glue([item.holds(row) for item in items])
        return _not(verdict) if negated else verdict

    return Asked(name, f"({inner})", f"({inner})", holds)


TREES = ("and", "or", "not.and", "not.or")
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: st.builds(
        _joined,
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
        negated=st.booleans(),
    ),
    max_leaves=6,
)


def plain(row: Row) -> Row:
    day, span = row["d"], row["r"]
    return {**row, "d": day and day.isoformat(), "r": None if span is None else _span(span[0])}
