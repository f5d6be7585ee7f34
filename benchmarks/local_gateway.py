"""The same trivial function behind our gateway and behind what people use instead.

    python benchmarks/local_gateway.py [--seconds 3] [--rounds 3]

Peers: bare uvicorn (the limit), the control plane's own URL (MiniStack), serverless-offline (from
npm) and `sam local start-api` (needs Docker and the runtime's image). A peer that cannot run here is
named with the reason. Rounds go through all peers in turn; the table shows medians over rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import _support
from benchmarks._gateway_peers import PEERS, AbsentError, Peer, Running

CLIENTS = 8
EXPECTED = b'"hello"'


def measure(running: Running, clients: int, seconds: float) -> _support.Load:
    """Return what some clients see of a running peer."""
    return uvloop.run(
        _support.load(
            "127.0.0.1",
            running.port,
            running.path,
            clients=clients,
            seconds=seconds,
            expected=EXPECTED,
        )
    )


@contextlib.contextmanager
def all_peers(folder: Path) -> Iterator[tuple[dict[Peer, Running], dict[str, str]]]:
    """Start every peer that can run here; give the others with the reason why they cannot."""
    present: dict[Peer, Running] = {}
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for peer in PEERS:
            try:
                present[peer] = stack.enter_context(peer.start(folder / peer.key))
            except AbsentError as reason:
                absent[peer.name] = str(reason)
                print(f"absent: {peer.name}: {reason}", flush=True)
            else:
                print(f"started: {peer.name}", flush=True)
        yield present, absent


def main() -> None:
    """Measure, print the table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(_support.machine(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as folder,
        all_peers(Path(folder)) as (present, absent),
    ):
        for running in present.values():  # every environment is warm before anything counts
            measure(running, CLIENTS, 1.0)
        rounds = [
            {
                peer: (
                    measure(running, 1, given.seconds),
                    measure(running, CLIENTS, given.seconds),
                )
                for peer, running in present.items()
            }
            for _ in range(given.rounds)
        ]
    limit = next(peer for peer in present if peer.key == "uvicorn")
    rows: list[dict[str, Any]] = []
    for peer in present:
        alone = [turn[peer][0] for turn in rounds]
        crowd = [turn[peer][1] for turn in rounds]
        rows.append(
            {
                "behind": peer.name,
                "p50 ms": statistics.median(item.p50 for item in alone),
                "p95 ms": statistics.median(item.p95 for item in alone),
                "req/s, 1 client": round(statistics.median(item.rate for item in alone)),
                f"req/s, {CLIENTS} clients": round(statistics.median(item.rate for item in crowd)),
                f"p50 ms, {CLIENTS} clients": statistics.median(item.p50 for item in crowd),
                "p50 to limit": statistics.median(
                    turn[peer][0].p50 / turn[limit][0].p50 for turn in rounds
                ),
                f"req/s to limit, {CLIENTS} clients": statistics.median(
                    turn[peer][1].rate / turn[limit][1].rate for turn in rounds
                ),
                "errors": sum(item.errors for item in (*alone, *crowd)),
            }
        )
    print(_support.table(rows))
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")
    print(f"figures: {_support.save('local_gateway', {'rows': rows, 'absent': absent})}")
    ours = next(row for row in rows if row["behind"].startswith("Datapunk"))
    others = [row for row in rows if row is not ours and not row["behind"].startswith("uvicorn")]
    rate = f"req/s, {CLIENTS} clients"
    if not all(ours["p50 ms"] < row["p50 ms"] and ours[rate] > row[rate] for row in others):
        raise SystemExit("The gateway is not ahead of every peer but the limit.")


if __name__ == "__main__":
    main()
