"""Translations that were made before: SAM's translator takes seconds, and says the same of the same text."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infrastructure.local.control_plane.packages import Artifact
from infrastructure.local.control_plane.translation import Translation, translate
from infrastructure.local.state import write_text

MOST_KEPT = 8
"""Files in the folder: branches that somebody changes between do not drive each other out."""


def digest_of_sources(project: Path) -> str:
    """Return the digest of everything a translation is made of: templates, translator, and what is added."""
    digest = hashlib.sha256(importlib.metadata.version("aws-sam-translator").encode())
    for path in (
        project / "template.yaml",
        *sorted((project / "infrastructure").glob("*.yaml")),
        *sorted(Path(__file__).parent.glob("*.py")),
    ):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def translate_once(project: Path, parameters: Mapping[str, str], folder: Path) -> Translation:
    """Translate a project's template, or return what came of it before, kept in `folder`.

    Raises `TranslationError` as `translate` does; then nothing is kept.
    """
    known = json.dumps(dict(parameters), sort_keys=True).encode()
    digest = hashlib.sha256(digest_of_sources(project).encode() + known).hexdigest()[:32]
    path = folder / f"{digest}.json"
    kept = _read(path)
    if kept is not None:
        return kept
    made = translate(project / "template.yaml", parameters)
    artifacts = [
        {"key": item.key, "body": base64.b64encode(item.body).decode()} for item in made.artifacts
    ]
    write_text(path, json.dumps({"template": made.template, "artifacts": artifacts}))
    for old in sorted(folder.glob("*.json"), key=_age)[MOST_KEPT:]:
        old.unlink(missing_ok=True)
    return made


def _read(path: Path) -> Translation | None:
    """Return the translation of a file; nothing where there is none, or somebody has damaged it."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        artifacts = tuple(
            Artifact(item["key"], base64.b64decode(item["body"])) for item in content["artifacts"]
        )
        return Translation(content["template"], artifacts)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # another launcher has removed it meanwhile
        return 0.0
