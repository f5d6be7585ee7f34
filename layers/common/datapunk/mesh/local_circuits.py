"""Breakers and bulkheads of one environment, for when Redis is gone: the rules of `breaker.lua`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from datapunk.mesh.rules import BUCKETS, Admission, BreakerPolicy, Change, Outcome


@dataclass(slots=True)
class _Circuit:
    """One target. Times are seconds of the monotonic clock; a bucket holds calls and failures."""

    buckets: dict[int, list[int]] = field(default_factory=dict)
    row: int = 0
    last: float = -math.inf
    until: float | None = None
    probe: str = ""
    lease: float = -math.inf
    slots: dict[str, float] = field(default_factory=dict)

    def bucket(self, policy: BreakerPolicy, now: float) -> list[int]:
        number = int(now * 1000 / policy.width)
        if number not in self.buckets:
            for old in [other for other in self.buckets if other <= number - BUCKETS]:
                del self.buckets[old]
        return self.buckets.setdefault(number, [0, 0])

    def open(self, policy: BreakerPolicy, now: float) -> Change:
        self.until, self.probe, self.lease = now + policy.reset, "", -math.inf
        return "opened"


class LocalCircuits:
    """The circuits of this environment by target."""

    def __init__(self) -> None:
        self._circuits: dict[str, _Circuit] = {}

    def admit(self, target: str, policy: BreakerPolicy, call: str, lease: float) -> Admission:
        """Let a call pass or not."""
        now = time.monotonic()
        circuit = self._circuits.setdefault(target, _Circuit())
        if circuit.until is not None:
            wait = max(circuit.until, circuit.lease) - now
            if wait > 0:
                return Admission("open", wait)
        if policy.concurrency:
            circuit.slots = {held: end for held, end in circuit.slots.items() if end > now}
            if len(circuit.slots) >= policy.concurrency:
                return Admission("full", min(circuit.slots.values()) - now)
            circuit.slots[call] = now + lease
        if circuit.until is not None:
            circuit.probe, circuit.lease = call, now + lease
            return Admission("probe")
        circuit.bucket(policy, now)[0] += 1
        return Admission("closed")

    def settle(
        self, target: str, policy: BreakerPolicy, call: str, outcome: Outcome, *, is_probe: bool
    ) -> Change:
        """Take note of how a call went."""
        now = time.monotonic()
        circuit = self._circuits.setdefault(target, _Circuit())
        circuit.slots.pop(call, None)
        if circuit.until is not None:
            return self._settle_open(target, circuit, policy, call, outcome)
        if is_probe or outcome == "unknown":
            return "closed"
        if outcome == "ok":
            circuit.row = 0
            return "closed"
        circuit.row = circuit.row + 1 if now - circuit.last < policy.window else 1
        circuit.last = now
        circuit.bucket(policy, now)[1] += 1
        calls = sum(bucket[0] for bucket in circuit.buckets.values())
        failed = sum(bucket[1] for bucket in circuit.buckets.values())
        many = calls >= policy.volume and failed >= policy.failures
        if circuit.row >= policy.failures or (
            many and failed * 100 >= calls * policy.error_percent
        ):
            return circuit.open(policy, now)
        return "closed"

    def learn(self, target: str, wait: float) -> None:
        """Remember that others found the target ill: it is left alone for `wait` seconds more."""
        circuit = self._circuits.setdefault(target, _Circuit())
        circuit.until = time.monotonic() + wait

    def unlearn(self, target: str) -> None:
        """Remember that the target is well."""
        self._circuits.pop(target, None)

    def clear(self) -> None:
        """Forget everything."""
        self._circuits.clear()

    def _settle_open(
        self, target: str, circuit: _Circuit, policy: BreakerPolicy, call: str, outcome: Outcome
    ) -> Change:
        if circuit.probe != call:
            return "open"
        if outcome == "ok":
            self.unlearn(target)
            return "recovered"
        if outcome == "failed":
            return circuit.open(policy, time.monotonic())
        circuit.probe, circuit.lease = "", -math.inf
        return "open"
