"""The generated tables of docs/reference: operations, settings, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from datapunk.errors import error_classes
from datapunk.settings import Settings

from infrastructure.documents.flags import build_flags
from infrastructure.documents.health import build_health
from infrastructure.documents.operations import FUNCTIONS, PROJECT, operations
from infrastructure.documents.timeouts import build_timeouts

FOLDER = PROJECT / "docs" / "reference"
_HEAD = "<!-- Written by `make openapi` from the code: edit there. -->\n"


def build_operations() -> str:
    """Return the table of all operations."""
    lines = [
        _HEAD,
        "# Operations\n",
        "One operation is one file, one function, one log group and one event sample.\n",
        "| operation | trigger | what it does | sample |",
        "| --- | --- | --- | --- |",
    ]
    for item in operations():
        code = f"[`{item.id}`](../../functions/{item.file.relative_to(FUNCTIONS)})"
        sample = f"[event](../../events/{item.module}/{item.name}.json)"
        lines.append(f"| {code} | `{item.trigger}` | {item.summary} | {sample} |")
    return "\n".join(lines) + "\n"


def build_settings() -> str:
    """Return the table of all settings."""
    lines = [
        _HEAD,
        "# Settings\n",
        "Functions read these environment variables, which `template.yaml` sets. A value of the form",
        "`secretsmanager:<id>` or `ssm:<name>` is looked up on first use. An empty variable is unset.\n",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for field in Settings.model_fields.values():
        default = "none" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{field.alias}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def build_errors() -> str:
    """Return the table of all errors."""
    lines = [
        _HEAD,
        "# Errors\n",
        "Every error is a problem document (`application/problem+json`, RFC 9457). `code` is stable and",
        "meant for programs; `errors` names the fields. Retryable errors may go away by themselves.\n",
        "| code | status | retryable | title | what the caller can do |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cls in error_classes():
        retryable = "yes" if cls.retryable else "no"
        lines.append(
            f"| `{cls.code}` | {cls.status} | {retryable} | {cls.title()} | {cls.action} |"
        )
    return "\n".join(lines) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    FOLDER / "operations.md": build_operations,
    FOLDER / "settings.md": build_settings,
    FOLDER / "errors.md": build_errors,
    FOLDER / "flags.md": lambda: build_flags(_HEAD),
    FOLDER / "health.md": lambda: build_health(_HEAD),
    FOLDER / "timeouts.md": lambda: build_timeouts(_HEAD),
}
