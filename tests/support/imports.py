"""What a file of the project imports of the layer, and what that imports in turn."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.support.samples import PROJECT

LAYER = PROJECT / "layers" / "common"


def file_of(module: str) -> Path | None:
    """Return the file of a module or package of the layer, None where it is none."""
    place = LAYER / module.replace(".", "/")
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Return the modules of the layer that a file imports anywhere, with the packages they are in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{name.name}" for name in node.names)
    known = {name for name in found if name.startswith("datapunk") and file_of(name)}
    return frozenset(known)


def reached_by(start: Path) -> set[str]:
    """Return all modules of the layer that a file imports, itself or through others."""
    waiting, seen = [start], set[str]()
    while waiting:
        for module in imports_of(waiting.pop()) - seen:
            seen.add(module)
            file = file_of(module)
            assert file is not None
            waiting.append(file)
    return seen
