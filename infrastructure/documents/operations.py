"""The operations of the platform, read from the tree `functions/<module>/<operation>.py`.

A function that is the face of a whole protocol is `functions/<module>/<protocol>/app.py`.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[2]
FUNCTIONS = PROJECT / "functions"
LAYER = PROJECT / "layers" / "common"
FACE = "app"
"""The file of a function that speaks a whole protocol; the function is called as its folder."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One handler file. `trigger` and `summary` are the two halves of its docstring's first line."""

    module: str
    name: str
    file: Path
    trigger: str
    summary: str

    @property
    def id(self) -> str:
        """`lake.create_dataset`."""
        return f"{self.module}.{self.name}"

    def load(self) -> ModuleType:
        """Import the handler's module."""
        for folder in (FUNCTIONS, LAYER):
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
        return importlib.import_module(self.id + (".app" if self.file.stem == FACE else ""))


def operations() -> Iterator[Operation]:
    """Return every operation, by module and name."""
    files = [*FUNCTIONS.glob("*/*.py"), *FUNCTIONS.glob(f"*/*/{FACE}.py")]
    places = {file.parent if file.stem == FACE else file: file for file in files}
    for place in sorted(places, key=lambda place: (place.parent.name, place.stem)):
        if place.stem == "__init__":
            continue
        file = places[place]
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        trigger, _, summary = docstring.partition("\n")[0].partition(": ")
        yield Operation(place.parent.name, place.stem, file, trigger, summary)
