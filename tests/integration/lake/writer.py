"""A client of the first definition: writes rows until its input ends, then tells which were taken."""

from __future__ import annotations

import json
import select
import sys
import time

from tests.support.invoking import answer
from tests.support.samples import http_event

BATCH = 10
SECONDS = 60


def main(first: int) -> None:
    """Write rows from the number `first` on; what is refused for the moment is sent again."""
    taken, again, number, wrong = 0, 0, first, ""
    end = time.monotonic() + SECONDS
    while not wrong and time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        rows = [
            {"id": number + place, "at": "2026-11-01T00:00:00Z", "ppm": place}
            for place in range(BATCH)
        ]
        event = http_event("lake.insert_records", path={"dataset": "t"}, body=rows)
        event["headers"]["Content-Type"] = "application/json"
        event["multiValueHeaders"]["Content-Type"] = ["application/json"]
        found = answer("lake.insert_records", event)
        if found.status == 201:
            taken += BATCH
            number += BATCH
        elif found.status == 503:
            again += 1
        else:
            wrong = f"{found.status} {found.body}"
    report = {"first": first, "taken": taken, "again": again, "wrong": wrong}
    sys.stderr.write(f"\n{json.dumps(report)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
