"""CPU time the edge of an HTTP function adds to a warm request, beside the resolver alone.

    python benchmarks/edge.py [--requests 3000] [--rounds 7]

The same route and request, once behind Powertools' resolver alone and once behind `datapunk.http`, which adds
correlation, trace, deadline, policy, hygiene, problem documents, a log line and a metric. No I/O, so neither
limit nor audit record (`rate_limit.py` has the limit's time); output goes to /dev/null.
The budget is a ratio of 1.5.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.lake.datasets import DatasetDefinition

from benchmarks import _support

PROJECT = Path(__file__).resolve().parents[1]
BUDGET = 1.5
SAMPLE = PROJECT / "events" / "lake" / "create_dataset.json"


class Context:
    """As much of a Lambda context as a handler asks for."""

    aws_request_id = "benchmark"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left."""
        return 29_000


def ways() -> dict[str, Callable[[], Any]]:
    """Return the two ways to answer the sample request."""
    event = json.loads(SAMPLE.read_text(encoding="utf-8"))
    context: Any = Context()
    resolver = APIGatewayRestResolver(enable_validation=True)
    app, handler = http_function("lake.create_dataset", guard=Guard(limited=False, mutates=False))
    for routes in (resolver, app):

        @routes.post("/v1/lake/datasets")
        def create(definition: DatasetDefinition) -> DatasetDefinition:
            return definition

    return {
        "resolver alone": lambda: resolver.resolve(event, context),
        "datapunk.http": lambda: handler(event, context),
    }


def microseconds(work: Callable[[], Any], requests: int) -> float:
    """Return the CPU microseconds of one request."""
    started = time.process_time()
    for _ in range(requests):
        work()
    return (time.process_time() - started) / requests * 1e6


def main() -> int:
    """Measure and print; return 1 when the budget is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(_support.machine())
    found = ways()
    times: dict[str, list[float]] = {name: [] for name in found}
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        for _ in range(given.rounds):
            for name, work in found.items():
                times[name].append(microseconds(work, given.requests))
    alone = times["resolver alone"]
    lines: list[dict[str, str | float]] = [
        {
            "way": name,
            "CPU us a request": statistics.median(taken),
            "ratio": statistics.median(
                ours / theirs for ours, theirs in zip(taken, alone, strict=True)
            ),
        }
        for name, taken in times.items()
    ]
    print(_support.table(lines))
    print("written:", _support.save("edge", {"lines": lines}).name)
    over = float(str(lines[-1]["ratio"])) > BUDGET
    if over:
        print(f"OVER the budget of {BUDGET}")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
