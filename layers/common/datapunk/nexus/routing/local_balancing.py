"""What balancing.lua does, for an environment alone while Redis is gone: same words, same answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class _State:
    failures: int = 0
    ejections: int = 0
    till: float = 0
    probe: float = 0
    recovered: float = 0


@dataclass(slots=True)
class _Service:
    turns: dict[str, dict[str, float]] = field(default_factory=dict)
    health: dict[str, _State] = field(default_factory=dict)


_services: dict[str, _Service] = {}


def pick(service: str, rule: str, lease: str, repeatable: str, patience: str, *rest: str) -> str:
    """Choose an instance; arguments and answer are those of the script's `pick`."""
    known = _services.setdefault(service, _Service())
    now = _now()
    names, weights = rest[::3], [float(weight) for weight in rest[1::3]]
    excluded = [flag == "1" for flag in rest[2::3]]
    free, wait = [], -1.0
    for place, name in enumerate(names):
        state = known.health.get(name, _State())
        late = max(state.till, state.probe) - now
        if state.till == 0:
            if not excluded[place] and weights[place] > 0:
                free.append(place)
        elif late > 0:
            wait = late if wait < 0 else min(wait, late)
        elif not excluded[place]:
            if repeatable == "1" or now >= state.till + float(patience):
                state.probe = now + float(lease)
                return f"{place + 1} probe"
            wait = 0
    if not free:
        return f"0 {max(wait, 0):.0f}"
    old = known.turns.get(rule, {})
    turns = {name: old[name] for name in names if name in old}
    for place in free:
        turns[names[place]] = turns.get(names[place], 0.0) + weights[place]
    best = max(free, key=lambda place: (turns[names[place]], -place))
    turns[names[best]] -= sum(weights[place] for place in free)
    known.turns[rule] = turns
    return f"{best + 1} {'shaky' if names[best] in known.health else 'turn'}"


def tell(
    service: str, instance: str, probe: str, outcome: str, failures: str, base: str, most: str
) -> str:
    """Note how a request went; arguments and answer are those of the script's `tell`."""
    known = _services.setdefault(service, _Service())
    state = known.health.get(instance, _State())
    now, is_probe = _now(), probe == "1"
    if (state.till > 0) != is_probe:
        return "kept"
    if outcome == "unknown":
        state.probe = 0
        return "kept"
    if outcome == "ok":
        return _good(known, instance, now, float(most))
    known.health[instance] = state
    if not is_probe:
        state.failures += 1
        if state.failures < int(failures):
            return "kept"
        if now - state.recovered >= float(most):
            state.ejections = 0
    state.ejections += 1
    seconds = min(float(base) * 2 ** min(state.ejections - 1, 30), float(most))
    state.failures, state.till, state.probe = 0, now + seconds, 0
    return f"ejected {seconds:.0f}"


def forget() -> None:
    """Forget all turns and failures."""
    _services.clear()


def _good(known: _Service, instance: str, now: float, most: float) -> str:
    state = known.health.get(instance, _State())
    if state.till > 0:
        state.failures, state.till, state.probe, state.recovered = 0, 0, 0, now
        return "recovered"
    if state.ejections and now - state.recovered < most:
        state.failures = 0
    else:
        known.health.pop(instance, None)
    return "kept"


def _now() -> float:
    return time.monotonic() * 1000 + 1
