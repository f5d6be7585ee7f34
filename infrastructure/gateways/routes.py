"""The table of routes, read from `template.yaml`: the only place where routes are declared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from infrastructure.documents.operations import PROJECT

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_ANY = "ANY"
_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the API (`/v1/lake/datasets/{dataset}`), one method, its operation, its seconds."""

    path: str
    method: str
    operation: str
    seconds: int

    @property
    def name(self) -> str:
        """A name that no other route has: `lake.get_dataset-get-v1-lake-datasets-dataset`."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.path).strip("-")
        return f"{self.operation}-{self.method.lower()}-{words}"

    @property
    def weight(self) -> int:
        """How many characters of the path are given: of two paths that fit, the heavier is meant."""
        return len(_PARAMETER.sub("", self.path))

    @property
    def is_fixed(self) -> bool:
        """Whether the path has no parameters."""
        return "{" not in self.path

    @property
    def pattern(self) -> str:
        """The path as a regular expression without anchors; a parameter is one segment, a greedy one more."""
        parts, end = [], 0
        for found in _PARAMETER.finditer(self.path):
            parts += [re.escape(self.path[end : found.start()]), ".+" if found[2] else "[^/]+"]
            end = found.end()
        return "".join([*parts, re.escape(self.path[end:])])


@cache
def read_routes() -> tuple[Route, ...]:
    """Return every route; fixed paths first and then the more precise ones, as a gateway matches them."""
    order = sorted(
        _routes(), key=lambda route: (not route.is_fixed, -route.weight, route.path, route.method)
    )
    return tuple(order)


def _routes() -> Iterator[Route]:
    from samtranslator.yaml_helper import yaml_parse

    template: dict[str, Any] = yaml_parse((PROJECT / "template.yaml").read_text(encoding="utf-8"))
    shared = template["Globals"]["Function"]["Timeout"]
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = resource["Properties"]
        operation = properties["Handler"].removesuffix(".handler").removesuffix(".app")
        seconds = properties.get("Timeout", shared)
        for event in properties.get("Events", {}).values():
            if event["Type"] == "Api":
                route = event["Properties"]
                method = route["Method"].upper()
                for each in METHODS if method == _ANY else (method,):
                    yield Route(route["Path"], each, operation, seconds)
