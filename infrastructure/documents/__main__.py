"""Write the generated documents, or with `--check` say which are stale and change nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from infrastructure.documents.operations import FUNCTIONS, LAYER, PROJECT

sys.path[:0] = [str(LAYER), str(FUNCTIONS)]


def documents() -> dict[Path, Callable[[], str]]:
    """Return every generated file and what makes its text."""
    from infrastructure.documents import flags, health, openapi, reference, services

    schemas = {flags.SCHEMA_FILE: flags.build_schema, health.SCHEMA_FILE: health.build_schema}
    return {
        openapi.FILE: openapi.build,
        services.FILE: services.build,
        **schemas,
        **reference.PAGES,
    }


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    stale = []
    for file, build in documents().items():
        text = build()
        if not file.exists() or file.read_text() != text:
            stale.append(file.relative_to(PROJECT))
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    for name in stale:
        sys.stdout.write(f"{name}: {'stale, run make openapi' if check else 'written'}\n")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
