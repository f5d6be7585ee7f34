"""The catalogue of the platform's services that a deployment registers: each with its operations."""

from __future__ import annotations

import json

from infrastructure.documents.operations import LAYER, operations

FILE = LAYER / "datapunk" / "nexus" / "registry" / "services.json"


def build() -> str:
    """Return the catalogue as JSON text."""
    services: dict[str, list[str]] = {}
    for operation in operations():
        services.setdefault(operation.module, []).append(operation.name)
    ordered = {name: sorted(services[name]) for name in sorted(services)}
    return json.dumps(ordered, indent=2) + "\n"
