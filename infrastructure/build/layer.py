"""Build one layer: `python -m infrastructure.build.layer common ARTIFACTS_DIR`, called by `sam build`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from infrastructure.build import pruning
from infrastructure.build.compiling import check_imports, compile_folder
from infrastructure.build.interpreter import find_interpreter
from infrastructure.build.kept import digest_of, kept
from infrastructure.build.requirements import uv
from infrastructure.build.target import LATE_MODULES, PLATFORM, PROJECT, PYTHON, BuildError

_PLACE = "/opt/python"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "py.typed")


def build_layer(name: str, artifacts: Path) -> None:
    """Build the layer `layers/<name>` into `artifacts/python`: its packages, and the code beside them."""
    source = PROJECT / "layers" / name
    target = artifacts / "python"
    shutil.copytree(_packages(source), target, dirs_exist_ok=True)
    own = sorted(path.parent.name for path in source.glob("*/__init__.py"))
    for package in own:
        # Links are followed: the migrations live in infrastructure/ and travel with the code.
        shutil.copytree(source / package, target / package, ignore=_IGNORED, dirs_exist_ok=True)
        compile_folder(target / package, f"{_PLACE}/{package}")
    modules = [name for name in _modules(target, own) if name not in LATE_MODULES]
    check_imports(modules or _named(source), [target])


def _modules(folder: Path, packages: list[str]) -> list[str]:
    names = []
    for package in packages:
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def _named(layer: Path) -> list[str]:
    """Return the modules that are imported of a layer without code of its own: `imports.txt` has them."""
    lines = (layer / "imports.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _packages(layer: Path) -> Path:
    """Return the folder of the installed, pruned and compiled packages of a layer."""
    requirements = layer / "requirements.txt"

    def make(folder: Path) -> None:
        _install(requirements, folder)
        pruning.prune(folder)
        if pruning.strip(folder) is None:
            sys.stdout.write(
                "no `strip` here (package binutils): the layer stays a few MB larger\n"
            )
        compile_folder(folder, _PLACE)

    tools = (find_interpreter(), shutil.which("strip"))
    digest = digest_of((requirements, *Path(__file__).parent.glob("*.py")), *tools)
    return kept(f"packages-{layer.name}", digest, make)


def _install(requirements: Path, target: Path) -> None:
    target.mkdir(parents=True)
    answer = subprocess.run(
        [
            uv(),
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            str(target),
            "--python-version",
            PYTHON,
            "--python-platform",
            PLATFORM,
            "--only-binary",
            ":all:",
            "--no-deps",
            "--require-hashes",
            "--no-compile-bytecode",
            "--link-mode",
            "copy",
            "--requirement",
            str(requirements),
        ],
        cwd=target,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if answer.returncode:
        raise BuildError(f"the layer's packages could not be installed:\n{answer.stderr.strip()}")


def main() -> int:
    """Build the layer named on the command line."""
    name, artifacts = sys.argv[1:]
    try:
        build_layer(name, Path(artifacts))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
