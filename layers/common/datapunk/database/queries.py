"""SQL lives in `.sql` files: named blocks, a comment line each, loaded once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import LiteralString

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


class Queries(Mapping[str, LiteralString]):
    """The named statements of one file. They come from the code base, hence literal strings."""

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = dict(statements)

    def __getitem__(self, name: str) -> LiteralString:
        """Return the statement called `name`."""
        return self._statements[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the statements' names."""
        return iter(self._statements)

    def __len__(self) -> int:
        """Return the number of statements."""
        return len(self._statements)


@cache
def load_queries(file: Path) -> Queries:
    """Return the statements of a `.sql` file, each below its `-- name: ...` line."""
    _, *parts = _NAME.split(file.read_text())
    return Queries(dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True)))
