"""Write the code of `events/protos/*.proto`: `python -m infrastructure.contracts`.

With `--check` nothing is written; it fails when a checked-in file is not what the compiler makes now.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROTOS = PROJECT / "events" / "protos"
GENERATED = PROJECT / "layers" / "common" / "datapunk" / "mesh" / "generated"
_INIT = '"""Generated from `events/protos` by `make contracts`; not edited by hand."""\n'


def generate(folder: Path) -> None:
    """Write the code of every contract into `folder`. Raises `SystemExit` for a contract that is wrong."""
    import grpc_tools
    from grpc_tools import protoc

    known = Path(grpc_tools.__file__).parent / "_proto"
    protos = sorted(str(path) for path in PROTOS.glob("*.proto"))
    arguments = [f"-I{PROTOS}", f"-I{known}", f"--python_out={folder}", f"--pyi_out={folder}"]
    if protoc.main(["protoc", *arguments, *protos]):
        raise SystemExit("events/protos: the compiler refuses a contract, see above.")
    (folder / "__init__.py").write_text(_INIT)


def contents(folder: Path) -> dict[str, str]:
    """Return the text of every file of a folder of generated code."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.py*")) if path.is_file()}


def stale() -> list[str]:
    """Return the names of generated files that are missing, superfluous or not what they should be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder)
        wanted, found = contents(folder), contents(GENERATED)
    return sorted(file for file in wanted | found if wanted.get(file) != found.get(file))


def main() -> int:
    """Write the generated code, or with `--check` say whether it is up to date."""
    if "--check" in sys.argv[1:]:
        old = stale()
        for name in old:
            sys.stderr.write(f"{name} is not what events/protos says: run `make contracts`\n")
        return int(bool(old))
    GENERATED.mkdir(exist_ok=True)
    for path in GENERATED.glob("*.py*"):
        path.unlink()
    generate(GENERATED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
