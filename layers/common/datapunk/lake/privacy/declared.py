"""How a column is protected, as it is declared beside its sensitivity."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Protection(StrEnum):
    """How the values of a column are stored."""

    ENCRYPTED = "encrypted"


class Mask(StrEnum):
    """What a caller is shown in place of a value, from the most that is told to nothing."""

    CLEAR = "clear"
    PARTIAL = "partial"
    TOKENISE = "tokenise"
    HASH = "hash"
    FULL = "full"


class Masking(BaseModel):
    """What callers are shown by their roles. Whoever has several sees what the clearest of them shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: Annotated[dict[Role, Mask], Field(max_length=32)] = Field(
        default={}, description="What callers with a role are shown."
    )
    others: Mask = Field(default=Mask.FULL, description="What everybody else is shown.")

    # Members of columns are keys of caches.
    def __hash__(self) -> int:
        return hash((tuple(sorted(self.roles.items())), self.others))

    def of(self, roles: tuple[str, ...]) -> Mask:
        """Return what a caller with these roles is shown."""
        order = list(Mask)
        found = [self.roles[role] for role in roles if role in self.roles]
        return min(found, key=order.index) if found else self.others

    @property
    def methods(self) -> set[Mask]:
        """All masks that somebody is shown."""
        return {*self.roles.values(), self.others}
