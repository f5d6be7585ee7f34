"""The generated tables of docs/reference: operations, settings, errors, keys of Redis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from datapunk.cache import local, reading, repair, shared
from datapunk.cache.namespaces import KEYSPACES, NAMESPACES, PARTITIONS
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


def build_cache() -> str:
    """Return the tables of what Redis holds, and the times that the cache keeps to."""
    lines = [
        _HEAD,
        "# Keys and times of Redis\n",
        "Every key has a time to live. What each use may do is declared in one table,",
        "`datapunk/cache/namespaces.py`; a test compares it with live keys.\n",
        "| keys | written by | what | longest life |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{use.pattern}` | {use.module} | {use.holds} | {use.longest:,} s |" for use in KEYSPACES
    ]
    lines += [
        "\n## Namespaces of the cache\n",
        "A value is in `cache:{<namespace>:<partition>}:entry:<tenant>:<key>`. Partitions of a namespace:",
        f"{PARTITIONS}.\n",
        "| namespace | what | life | absence is remembered | bytes in all | bytes of a value | kind |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{item.name}` | {item.holds} | {item.ttl:,} s | {item.absent_ttl} s "
        f"| {item.max_bytes:,} | {item.max_value:,} | {item.sensitivity} |"
        for item in NAMESPACES.values()
    ]
    lines += ["\n## Times\n", "| what | limit |", "| --- | --- |"]
    lines += [f"| {what} | {limit} |" for what, limit in _cache_times()]
    return "\n".join(lines) + "\n"


def _cache_times() -> list[tuple[str, str]]:
    local_size = f"{local.MAX_ENTRIES:,} values, {local.MAX_BYTES // 1024**2} MiB"
    return [
        ("a value is answered from an environment's memory", f"{local.MAX_AGE:g} s"),
        ("an environment's memory", local_size),
        ("Redis is asked after pending writes were last looked for", f"{shared.SWEPT_SECONDS:g} s"),
        ("one reader is asked to look for them", f"after {shared.SWEEP_DUE_SECONDS:g} s"),
        ("one reader may load a value for all", f"{shared.LEASE_MS / 1000:g} s"),
        ("the others wait for it", f"{reading.WAIT_SECONDS:g} s"),
        ("a write may come late to Redis", f"{shared.LATE_MS / 1000:g} s"),
        ("Redis is left alone after a failure", f"{shared.PAUSE:g} s"),
        ("the version of a key is remembered after its last write", f"{repair.KEEP_SECONDS:,} s"),
    ]


PAGES: dict[Path, Callable[[], str]] = {
    FOLDER / "operations.md": build_operations,
    FOLDER / "settings.md": build_settings,
    FOLDER / "errors.md": build_errors,
    FOLDER / "cache.md": build_cache,
    FOLDER / "flags.md": lambda: build_flags(_HEAD),
    FOLDER / "health.md": lambda: build_health(_HEAD),
    FOLDER / "timeouts.md": lambda: build_timeouts(_HEAD),
}
