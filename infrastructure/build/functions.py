"""Build the functions' code: `python -m infrastructure.build.functions ARTIFACTS_DIR`, for `sam build`.

All functions share one folder, but SAM calls a makefile once per function. The first call copies and
compiles, the others take a copy of what it made.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from infrastructure.build.compiling import compile_folder
from infrastructure.build.interpreter import find_interpreter
from infrastructure.build.kept import digest_of, kept
from infrastructure.build.target import PROJECT, BuildError

_PLACE = "/var/task"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "Makefile")


def build_functions(artifacts: Path, source: Path = PROJECT / "functions") -> None:
    """Put the code of all functions, compiled, into `artifacts`."""

    def make(folder: Path) -> None:
        shutil.copytree(source, folder, ignore=_IGNORED)
        compile_folder(folder, _PLACE)

    files = [path for path in source.rglob("*") if path.is_file()]
    own = [path for path in files if "__pycache__" not in path.parts]
    names = [path.relative_to(source).as_posix() for path in own]
    digest = digest_of((*own, *Path(__file__).parent.glob("*.py")), names, find_interpreter())
    shutil.copytree(kept("functions", digest, make), artifacts, dirs_exist_ok=True)


def main() -> int:
    """Build into the folder named on the command line."""
    try:
        build_functions(Path(sys.argv[1]))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
