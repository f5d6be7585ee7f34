"""Templates of the project as they are written, each read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tests.support.samples import PROJECT


@cache
def template(name: str = "template.yaml") -> dict[str, Any]:
    """Return a template by its path in the project. It is shared: look at it, do not change it."""
    parsed: dict[str, Any] = yaml_parse(Path(PROJECT, name).read_text(encoding="utf-8"))
    return parsed
