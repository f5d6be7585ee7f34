"""The `Prefer` header (RFC 7240) as PostgREST reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from datapunk.lake.rest.errors import RestError

_VALUES: dict[str, tuple[str, ...]] = {
    "return": ("minimal", "headers-only", "representation"),
    "count": ("exact", "planned", "estimated"),
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}
_AFFECTED = "max-affected"
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a client prefers; None where it says nothing."""

    given: dict[str, str] = field(default_factory=dict)
    most_affected: int | None = None

    @property
    def returns(self) -> str:
        """Return what a change is answered with: `minimal`, `headers-only` or `representation`."""
        return self.given.get("return", "minimal")

    @property
    def count(self) -> str | None:
        """Return how all rows are to be counted: `exact`, `planned`, `estimated`, or not at all."""
        return self.given.get("count")

    @property
    def resolution(self) -> str | None:
        """Return what becomes of rows that exist: `merge-duplicates`, `ignore-duplicates`, or an error."""
        return self.given.get("resolution")

    @property
    def defaults(self) -> bool:
        """Whether a column that a row leaves out gets its default instead of null."""
        return self.given.get("missing") == "default"

    def applied(self, names: tuple[str, ...]) -> dict[str, str | list[str]]:
        """Return the header that tells which of the preferences called `names` were heeded."""
        heeded = [f"{name}={self.given[name]}" for name in names if name in self.given]
        return {"Preference-Applied": ", ".join(heeded)} if heeded else {}


def read_preferences(header: str | None) -> Preferences:
    """Read the `Prefer` header.

    Raises RestError (PGRST122) for a preference that is not known, where `handling=strict` asks for it.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for item in (header or "").split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if not name:
            continue
        limited = name == _AFFECTED and value.isascii() and value.isdigit()
        if not (value in _VALUES.get(name, ()) or (limited and len(value) <= _MOST_DIGITS)):
            unknown.append(f"{name}={value}" if value else name)
        elif name not in given:  # RFC 7240, 2: the first one counts
            given[name] = value
    strict = given.get("handling") == "strict"
    if strict and unknown:
        raise RestError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            f"Invalid preferences: {', '.join(unknown)[:200]}",
        )
    if not strict:
        given.pop(_AFFECTED, None)
    return Preferences(given, int(given[_AFFECTED]) if _AFFECTED in given else None)
