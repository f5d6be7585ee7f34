"""Sizes of what `sam build` made, against the limits: `python -m infrastructure.build.sizes`.

Lambda takes 250 MiB for a function with its layers, unzipped. The budgets are below that. The common layer
has its own, since every cold start reads it; the other layers have what is left beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.build.target import PROJECT

MIB = 1024 * 1024
LAYER_LIMITS = {"CommonLayer": 85 * MIB, "AnalyticsLayer": 125 * MIB, "ExpressionsLayer": 10 * MIB}
FUNCTION_LIMIT = 235 * MIB


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a layer, or of a function together with its layers, in bytes."""

    name: str
    size: int
    limit: int
    uncompiled: int
    """Modules without bytecode."""

    def __str__(self) -> str:
        mark = "" if self.size <= self.limit else "  TOO LARGE"
        plain = f"  {self.uncompiled} modules without bytecode" if self.uncompiled else ""
        return f"{self.name:<32}{self.size / MIB:8.1f} MiB of {self.limit / MIB:.0f}{mark}{plain}"


def folder_size(folder: Path) -> int:
    """Return the sum of the files' sizes in bytes, as Lambda counts."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def uncompiled(folder: Path) -> int:
    """Return how many modules have no bytecode beside them."""
    return sum(
        not any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
        for path in folder.rglob("*.py")
    )


def _layers_of(properties: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers that a function, or every function, has."""
    return [reference["Ref"] for reference in properties.get("Layers", ())]


def measure(built: Path, template: Mapping[str, Any]) -> Iterator[Size]:
    """Yield the sizes of everything in a build folder whose template is given: layers, then functions."""
    resources = template["Resources"]
    layers = {}
    folders = {path.name: path for path in built.iterdir() if path.is_dir()}
    if not isinstance(resources, dict):
        raise TypeError("the built template has no resources")
    shared = _layers_of(template.get("Globals", {}).get("Function", {}))
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            layers[name] = folder_size(folders[name])
            yield Size(name, layers[name], LAYER_LIMITS[name], uncompiled(folders[name]))
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            code = built / str(resource["Properties"]["CodeUri"])
            own = {*shared, *_layers_of(resource["Properties"])}
            size = folder_size(code) + sum(layers[layer] for layer in own)
            yield Size(name, size, FUNCTION_LIMIT, uncompiled(code))


def main() -> int:
    """Print all sizes; 1 when one is above its limit."""
    from samtranslator.yaml_helper import yaml_parse

    built = PROJECT / ".aws-sam" / "build"
    template = built / "template.yaml"
    if not template.is_file():
        sys.stderr.write("nothing is built: run `make build`\n")
        return 1
    sizes = list(measure(built, yaml_parse(template.read_text(encoding="utf-8"))))
    for size in sizes:
        sys.stdout.write(f"{size}\n")
    return int(any(size.size > size.limit for size in sizes))


if __name__ == "__main__":
    sys.exit(main())
