"""Which route of the REST API a path belongs to.

API Gateway prefers, segment by segment, literal text to `{parameter}` and both to a greedy
`{proxy+}`; a slash at the end changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from infrastructure.local.catalog import Route


@dataclass(slots=True)
class Node:
    """One level of the resource tree."""

    literals: dict[str, Node] = field(default_factory=dict)
    parameter: Node | None = None
    greedy: Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    """Names of the parameters on the way here."""


@dataclass(frozen=True, slots=True)
class Match:
    """A route and the decoded values of its path parameters."""

    route: Route
    parameters: dict[str, str] | None


class Router:
    """Finds routes; built once from a catalog."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = Node()
        self._literal: dict[tuple[str, str], Match] = {}
        for route in routes:
            node = self._root
            names: tuple[str, ...] = ()
            for segment in _segments(route.path):
                if segment.startswith("{"):
                    names = (*names, segment.strip("{}+"))
                    if segment.endswith("+}"):
                        node.greedy = node.greedy or Node()
                        node = node.greedy
                    else:
                        node.parameter = node.parameter or Node()
                        node = node.parameter
                else:
                    node = node.literals.setdefault(segment, Node())
            node.methods[route.method.upper()] = route
            node.names = names
            if not names:
                self._literal[route.method.upper(), route.path] = Match(route, None)

    def find(self, method: str, path: str) -> Match | None:
        """Return the route of a request, or None. `path` is as it came, still percent-encoded."""
        found = self._literal.get((method, path))
        if found is not None:
            return found
        values: list[str] = []
        node = _descend(self._root, _segments(path), 0, method, values)
        if node is None:
            return None
        route = node.methods.get(method) or node.methods["ANY"]
        parameters = {name: unquote(value) for name, value in zip(node.names, values, strict=True)}
        return Match(route, parameters or None)


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _descend(
    node: Node, segments: list[str], position: int, method: str, values: list[str]
) -> Node | None:
    """Follow the best branch that ends in a node with the method; values are collected on the way."""
    if position == len(segments):
        return node if method in node.methods or "ANY" in node.methods else None
    segment = segments[position]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _descend(literal, segments, position + 1, method, values)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        values.append(segment)
        found = _descend(node.parameter, segments, position + 1, method, values)
        if found is not None:
            return found
        values.pop()
    if node.greedy is not None and (method in node.greedy.methods or "ANY" in node.greedy.methods):
        values.append("/".join(segments[position:]))
        return node.greedy
    return None
