"""How the keys of a ring follow each other: each is published before it signs and for a while after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datapunk.errors import UnavailableError
from datapunk.keyring.ring import KeyRing, RingKey


@dataclass(frozen=True, slots=True)
class Succession:
    """The times of a ring's keys, in seconds."""

    period: int
    """How long a key signs."""
    lead: int
    """How long a key is published before it signs."""
    overlap: int
    """How long a key is published after it signed last."""

    def published(self, keys: tuple[RingKey, ...], now: float) -> list[RingKey]:
        """Return the keys whose successor has not signed for longer than the overlap."""
        ends = [*(key.signs_from + self.overlap for key in keys[1:]), float("inf")]
        # An empty ring has one end too many.
        return [key for key, end in zip(keys, ends, strict=False) if now < end]

    def rotate(
        self, ring: KeyRing, moment: int, *, force: bool = False, lead: int | None = None
    ) -> dict[str, Any]:
        """Make the next key when it is due (or `force`), remove those that verify nothing any more.

        The first key of a ring signs at once, every later one after the lead, or after `lead` seconds.
        Returns what was done.
        """
        keys = ring.list_keys()
        added = None
        if not keys:
            added = ring.add(moment)
        elif keys[-1].signs_from <= moment and (
            force or moment - keys[-1].signs_from >= self.period - self.lead
        ):
            added = ring.add(moment + (self.lead if lead is None else lead))
        kept = {key.kid for key in self.published(ring.list_keys(), moment)}
        gone = [key.kid for key in ring.list_keys() if key.kid not in kept]
        for kid in gone:
            ring.remove(kid)
        return {"added": [added] if added else [], "removed": gone}


def signing_key(ring: KeyRing, now: float) -> RingKey:
    """Return the key that signs now. Raises UnavailableError when the ring has none."""
    signing = [key for key in ring.list_keys() if key.signs_from <= now]
    if not signing:
        raise UnavailableError(
            "key ring", "No key signs yet: run nexus.rotate_keys and nexus.rotate_authority."
        )
    return signing[-1]
