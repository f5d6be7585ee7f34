"""CPU time of one decision of the policy: asked of the engine, and remembered.

    python benchmarks/policy.py [--decisions 2000] [--rounds 5]

The budget is 0.5 ms of CPU time a decision of the engine, at the 95th percentile of the median round: what
else the machine does is not the policy's. The question is an editor's write, for which every condition is
looked at. No I/O.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from datapunk.identity import Caller
from datapunk.policy import decide, decisions
from datapunk.policy.engine import BUNDLE, Engine

from benchmarks import _support

BUDGET_MS = 0.5
EDITOR = Caller("user:1", "acme", ("editor",), ("read", "write"), ("client:app",))
ACTION = "lake.insert_records"


def engine_ms(count: int) -> list[float]:
    """Return the milliseconds of decisions that the engine makes."""
    taken = []
    for _ in range(count):
        decisions._decide.cache_clear()  # noqa: SLF001 -- so that the engine is asked
        started = time.thread_time()
        decision = decide(EDITOR, ACTION)
        taken.append((time.thread_time() - started) * 1000)
        assert decision.allow
    return taken


def remembered_ms(count: int) -> list[float]:
    """Return the milliseconds of decisions made before."""
    taken = []
    for _ in range(count):
        started = time.thread_time()
        decide(EDITOR, ACTION)
        taken.append((time.thread_time() - started) * 1000)
    return taken


def start_ms() -> float:
    """Return the milliseconds until a fresh engine has made its first decision, without its import."""
    started = time.thread_time()
    assert Engine(BUNDLE).ask("datapunk/visible", {}) is False
    return (time.thread_time() - started) * 1000


def main() -> int:
    """Measure and print; return 1 when the budget is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decisions", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(_support.machine())
    started = time.thread_time()
    decide(EDITOR, ACTION)
    first = (time.thread_time() - started) * 1000
    rounds = [engine_ms(given.decisions) for _ in range(given.rounds)]
    kept = remembered_ms(given.decisions)
    high = statistics.median(_support.percentile(taken, 0.95) for taken in rounds)
    lines = [
        {
            "decision": "by the engine",
            "p50 ms": statistics.median(map(statistics.median, rounds)),
            "p95 ms": high,
        },
        {
            "decision": "remembered",
            "p50 ms": statistics.median(kept),
            "p95 ms": _support.percentile(kept, 0.95),
        },
        {"decision": "the first, with the import", "p50 ms": first, "p95 ms": first},
        {"decision": "a new engine's first", "p50 ms": start_ms(), "p95 ms": start_ms()},
    ]
    print(_support.table(lines))
    print("written:", _support.save("policy", {"lines": lines}).name)
    if high > BUDGET_MS:
        print(f"OVER the budget of {BUDGET_MS} ms")
    return int(high > BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main())
