"""The operations of the platform, read from the tree `functions/<module>/<operation>.py`."""

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
        return importlib.import_module(self.id)


def operations() -> Iterator[Operation]:
    """Return every operation, by module and name."""
    for file in sorted(FUNCTIONS.glob("*/*.py")):
        if file.stem == "__init__":
            continue
        docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
        trigger, _, summary = docstring.partition("\n")[0].partition(": ")
        yield Operation(file.parent.name, file.stem, file, trigger, summary)
