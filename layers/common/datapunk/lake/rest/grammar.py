"""PostgREST's grammar: what a request's parameters say, before anyone knows what the names mean.

docs.postgrest.org, Tables and Views, Resource Embedding, Aggregate Functions; written by its examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from datapunk.lake.rest.arguments import Argument
from datapunk.lake.rest.errors import syntax_error

MOST_DEPTH = 8
"""Levels of embedded datasets and of parentheses in conditions."""

_NAME = re.compile(r"[\w$ ]+(?:-(?!>)[\w$ ]*)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLACE = re.compile(r"-?[0-9]{1,9}(?=->|::|[,.):=]|\Z)")
_WORD = re.compile(r"[a-z_]+")
_CAST = re.compile(r"[a-z0-9_]+(?: [a-z]+)*")
_PLAIN = re.compile(r"[^,)]*")
_OPERATOR = re.compile(r"([a-z_]+)(?:\(([a-z_]*)\))?\.")
_BRACKETS = {"(": ")", "{": "}", "[": "]"}

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Path:
    """A column's name and the steps into its JSON value: `->` keeps JSON, `->>` (True) makes text."""

    name: str
    steps: tuple[tuple[str | int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """`alias:path::cast.aggregate()::result_cast`; no path for `count()`."""

    path: Path | None
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None
    result_cast: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """`alias:target!hint!inner(items)`, or `...target(items)`."""

    target: str
    items: tuple[SelectItem, ...]
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def name(self) -> str:
        """What the rest of the request calls it."""
        return self.alias or self.target


SelectItem = Column | Resource
STAR = Column(Path("*"))


@dataclass(frozen=True, slots=True)
class Test:
    """`path.not.operator(modifier).value`; a function's argument may take the place of the text."""

    path: Path
    operator: str
    value: str | Argument
    negated: bool = False
    modifier: str | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """`not.and(...)` or `or(...)`."""

    word: str
    items: tuple[Test | Tree, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OrderItem:
    """`path.desc.nullslast`, or `resource(path)...` for a value of an embedded row."""

    path: Path
    descending: bool = False
    nulls_first: bool | None = None
    resource: str | None = None


class Reader:
    """Reads a text from left to right; `what` names it in errors."""

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text
        self.place = 0
        self.depth = 0

    def fail(self, expected: str) -> Exception:
        """Return the error that something else was expected here."""
        return syntax_error(self.what, self.text, self.place, expected)

    def at(self, sign: str) -> bool:
        """Tell whether `sign` comes next."""
        return self.text.startswith(sign, self.place)

    def take(self, sign: str) -> bool:
        """Go past `sign` if it comes next."""
        if not self.at(sign):
            return False
        self.place += len(sign)
        return True

    def need(self, sign: str) -> None:
        """Go past `sign`, which must come next."""
        if not self.take(sign):
            raise self.fail(f'"{sign}"')

    def find(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        """Go past what matches a pattern, which must come next."""
        match = pattern.match(self.text, self.place)
        if match is None:
            raise self.fail(expected)
        self.place = match.end()
        return match

    def end(self) -> None:
        """Be at the end of the text."""
        if self.place != len(self.text):
            raise self.fail("end of input")

    def within(self, read: Callable[[], Item]) -> tuple[Item, ...]:
        """Read a list in parentheses, which may be empty."""
        self.need("(")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.fail(f"at most {MOST_DEPTH} levels")
        items = () if self.at(")") else self.separated(read)
        self.need(")")
        self.depth -= 1
        return items

    def separated(self, read: Callable[[], Item]) -> tuple[Item, ...]:
        """Read items with commas between them."""
        items = [read()]
        while self.take(","):
            items.append(read())
        return tuple(items)

    # -- names and paths ---------------------------------------------------------------------------

    def name(self) -> str:
        """Read a name, quoted or plain."""
        if self.at('"'):
            quoted = self.find(_QUOTED, "the end of a quoted name")[1]
            return _ESCAPED.sub(r"\1", quoted)
        name = self.find(_NAME, "a name")[0].strip()
        if not name:
            raise self.fail("a name")
        return name

    def path(self) -> Path:
        """Read a column's name and the steps behind it."""
        return Path(self.name(), self.steps())

    def steps(self) -> tuple[tuple[str | int, bool], ...]:
        """Read the steps into a JSON value."""
        found: list[tuple[str | int, bool]] = []
        while self.at("->"):
            as_text = self.take("->>") or not self.take("->")
            place = _PLACE.match(self.text, self.place)
            if place is None:
                found.append((self.name(), as_text))
            else:
                self.place = place.end()
                found.append((int(place[0]), as_text))
        return tuple(found)

    # -- select ------------------------------------------------------------------------------------

    def select_item(self) -> SelectItem:
        """Read one item of `select`."""
        if self.take("*"):
            return STAR
        if self.take("..."):
            return self._resource(self.name(), None, spread=True)
        name, alias = self.name(), None
        if self.at(":") and not self.at("::"):
            self.place += 1
            alias, name = name, self.name()
        if name == "count" and self.take("()"):
            return Column(None, alias, aggregate="count", result_cast=self._cast())
        if self.at("(") or self.at("!"):
            return self._resource(name, alias)
        path, cast, aggregate = Path(name, self.steps()), self._cast(), None
        if self.take("."):
            aggregate = self.find(_WORD, "an aggregate function")[0]
            self.need("()")
        return Column(path, alias, cast, aggregate, self._cast() if aggregate else None)

    def _cast(self) -> str | None:
        return self.find(_CAST, "a type")[0] if self.take("::") else None

    def _resource(self, target: str, alias: str | None, *, spread: bool = False) -> Resource:
        if spread and self.at(":") and not self.at("::"):
            self.place += 1
            alias, target = target, self.name()
        hint, inner = None, False
        while self.take("!"):
            word = self.name()
            if word in ("inner", "left"):
                inner = word == "inner"
            elif hint is None:
                hint = word
            else:
                raise self.fail("one hint")
        return Resource(target, self.within(self.select_item), alias, hint, inner, spread)

    # -- conditions --------------------------------------------------------------------------------

    def tree(self, word: str, *, negated: bool = False) -> Tree:
        """Read the conditions in parentheses that `word` joins."""
        items = self.within(self._condition)
        if not items:
            raise self.fail("a condition")
        return Tree(word, items, negated)

    def _condition(self) -> Test | Tree:
        for start, word, negated in (
            ("and(", "and", False),
            ("or(", "or", False),
            ("not.and(", "and", True),
            ("not.or(", "or", True),
        ):
            if self.take(start):
                self.place -= 1
                return self.tree(word, negated=negated)
        path = self.path()
        self.need(".")
        negated, operator, modifier = self._operator()
        return Test(path, operator, self._value(), negated, modifier)

    def test(self, path: Path) -> Test:
        """Read what stands behind `column=`: the rest of the text is the value, whatever is in it."""
        negated, operator, modifier = self._operator()
        return Test(path, operator, self.text[self.place :], negated, modifier)

    def _operator(self) -> tuple[bool, str, str | None]:
        negated = self.take("not.")
        match = self.find(_OPERATOR, "operator (eq, gt, ...) and a dot")
        return negated, match[1], match[2]

    def _value(self) -> str:
        """Read a value among other conditions: quoted, in brackets, or up to a comma or parenthesis."""
        if self.at('"'):
            return _ESCAPED.sub(r"\1", self.find(_QUOTED, "the end of a quoted value")[1])
        if self.place < len(self.text) and self.text[self.place] in _BRACKETS:
            return self._bracketed()
        return self.find(_PLAIN, "a value")[0]

    def _bracketed(self) -> str:
        start, open_brackets = self.place, []
        while self.place < len(self.text):
            sign = self.text[self.place]
            if sign == '"':
                self.find(_QUOTED, "the end of a quoted value")
                continue
            self.place += 1
            if sign in _BRACKETS:
                open_brackets.append(sign)
            elif sign in ")]}":
                open_brackets.pop()
                if not open_brackets:
                    return self.text[start : self.place]
        raise self.fail("the end of a list")

    # -- order -------------------------------------------------------------------------------------

    def order_item(self) -> OrderItem:
        """Read one sort key."""
        path, resource = self.path(), None
        if not path.steps and self.take("("):
            resource, path = path.name, self.path()
            self.need(")")
        descending, nulls_first = False, None
        if self.take(".desc"):
            descending = True
        else:
            self.take(".asc")
        if self.take(".nullsfirst"):
            nulls_first = True
        elif self.take(".nullslast"):
            nulls_first = False
        return OrderItem(path, descending, nulls_first, resource)


def read_select(text: str) -> tuple[SelectItem, ...]:
    """Read `select`. Raises RestError (PGRST100) for what is none."""
    if not text.strip():
        return (STAR,)
    reader = Reader("select parameter", text)
    items = reader.separated(reader.select_item)
    reader.end()
    return items


def read_order(text: str) -> tuple[OrderItem, ...]:
    """Read `order`. Raises RestError (PGRST100) for what is none."""
    if not text.strip():
        return ()
    reader = Reader("order", text)
    items = reader.separated(reader.order_item)
    reader.end()
    return items


def read_names(text: str) -> tuple[str, ...]:
    """Read `columns` or `on_conflict`. Raises RestError (PGRST100) for what is no list of names."""
    reader = Reader("columns parameter", text)
    names = reader.separated(reader.name)
    reader.end()
    return names


def read_tree(word: str, text: str, *, negated: bool) -> Tree:
    """Read the value of `and`, `or`, `not.and` or `not.or`. Raises RestError (PGRST100)."""
    reader = Reader("logic tree", text)
    found = reader.tree(word, negated=negated)
    reader.end()
    return found


def read_key(text: str) -> tuple[tuple[str, ...], Path]:
    """Read a parameter's name: the embedded resources it leads through, and a column or word.

    Raises RestError (PGRST100) for what is none.
    """
    reader = Reader("filter", text)
    names = [reader.name()]
    while reader.take("."):
        names.append(reader.name())
    path = Path(names.pop(), reader.steps())
    reader.end()
    return tuple(names), path


def read_test(path: Path, text: str) -> Test:
    """Read the condition `column=text`. Raises RestError (PGRST100) for what is none."""
    return Reader("filter", text).test(path)
