"""A registered service through the router, beside its instances called directly.

    python benchmarks/router.py [--seconds 3] [--rounds 3] [--clients 2]

Three instances (bare uvicorn, each a process) answer a few bytes. Directly means urllib3 with kept
connections, in turns, which is what the router itself uses: the limit. The router is measured as its parts
(choosing an instance, sending and counting), and whole: the handler of nexus.route from an event of API
Gateway to its answer, with limit, policy, rules, breaker, token, log and metrics. Clients are processes, as
environments are; CPU is their own, and on a busy machine tells more than the waiting. PostgreSQL and Redis
are started for this; output of the handler goes to /dev/null.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functions"))

import urllib3
from datapunk import registry
from datapunk.identity import Caller
from datapunk.keyring.file import FileKeyRing
from datapunk.nexus.routing.balancing import pick, tell
from datapunk.nexus.routing.forwarding import forward
from datapunk.nexus.routing.instances import weigh
from datapunk.nexus.routing.messages import Request
from datapunk.nexus.routing.outgoing import Origin
from datapunk.nexus.routing.rules import RouteRule
from datapunk.registry import PLATFORM, Registration

from benchmarks import _support
from tests.support.invoking import run
from tests.support.people import rows
from tests.support.routing import SERVICE, add_route, forget_routing, request_event
from tests.support.services import Instance

DIRECT = "directly, in turns (the limit)"
CHOICE = "choosing an instance alone"
FORWARD = "the router without its edge"
CACHED = "nexus.route, answer kept"
WHOLE = "nexus.route"
RULE = RouteRule(service=SERVICE, timeout="ai")
UPSTREAM = """
import socket, sys, uvicorn

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"15")]})
    await send({"type": "http.response.body", "body": b'{"answer": "a"}'})

listening = socket.socket()
listening.bind(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="critical", lifespan="off")
uvicorn.Server(config).run(sockets=[listening])
"""
Ask = Callable[[], object]


@contextlib.contextmanager
def services() -> Iterator[Instance]:
    """Run the data services for the body, and let functions find them; nothing is limited."""
    with tempfile.TemporaryDirectory(prefix="datapunk-router-") as name:
        folder = Path(name)
        FileKeyRing(folder / "keyring").add(int(time.time()))
        instance = Instance(folder / "services")
        try:
            instance.up()
            instance.prepare()
            os.environ["KEY_RING"] = f"file:{folder / 'keyring'}"
            os.environ["REDIS_URL"] = instance.url("redis")
            os.environ["DATABASE_URL"] = instance.new_database()
            rows(
                "INSERT INTO nexus.rate_limits (quota, window_seconds) VALUES (1000000, 1) RETURNING 1"
            )
            yield instance
        finally:
            instance.down()


@contextlib.contextmanager
def upstreams(number: int) -> Iterator[list[int]]:
    """Run and register instances for the body; give their ports."""
    processes = [
        subprocess.Popen([sys.executable, "-c", UPSTREAM], stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    try:
        ports = [int(process.stdout.readline()) for process in processes if process.stdout]
        for port in ports:
            registry.register(
                PLATFORM,
                Registration(id=f"i{port}", service=SERVICE, address="127.0.0.1", port=port),
                owner="service:benchmark",
            )
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=10)


def ways(ports: list[int]) -> dict[str, Ask]:
    """Return what is compared; each process makes its own."""
    pools = itertools.cycle([urllib3.HTTPConnectionPool("127.0.0.1", port) for port in ports])
    origin = Origin(Caller("user:ann", "public", ("editor",), ("read", "write")), SERVICE)
    event = request_event("/things")
    kept = request_event("/kept/things")
    request = Request("GET", "/things")

    def choose() -> None:
        members = weigh(_instances(), None)
        tell(pick(SERVICE, "choice", members, repeatable=True, lease=5), "ok", RULE.ejection)

    return {
        DIRECT: lambda: next(pools).request("GET", "/things", retries=False).data,
        CHOICE: choose,
        FORWARD: lambda: forward("bench", RULE, request, origin, 10),
        CACHED: lambda: run("nexus.route", kept),
        WHOLE: lambda: run("nexus.route", event),
    }


def _instances() -> Any:
    from datapunk.nexus.routing.forwarding import find_place

    return find_place(SERVICE, RULE, "public").instances


@dataclass(frozen=True, slots=True)
class Taken:
    """One measurement: answers a second of all clients, and an answer's microseconds."""

    rate: float
    wall: float
    cpu: float


def measure(name: str, ports: list[int], clients: int, seconds: float) -> Taken:
    """Have some processes ask for so long."""
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(clients), context.Queue()

    def work() -> None:
        from tests.conftest import forget_connections

        forget_connections()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        ask = ways(ports)[name]
        for _ in range(20):
            ask()
        start.wait(60)
        times = []
        end, cpu = time.perf_counter() + seconds, time.process_time()
        while (began := time.perf_counter()) < end:
            ask()
            times.append(time.perf_counter() - began)
        spent = (time.process_time() - cpu) / len(times)
        found.put((len(times), statistics.median(times), spent))

    children = [context.Process(target=work) for _ in range(clients)]
    for child in children:
        child.start()
    counted = [found.get(timeout=120) for _ in children]
    for child in children:
        child.join(30)
    numbers, middles, spent = zip(*counted, strict=True)
    return Taken(
        sum(numbers) / seconds, statistics.median(middles) * 1e6, statistics.median(spent) * 1e6
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=2, help="processes that ask at once")
    given = parser.parse_args()
    print(_support.machine())
    measured: dict[str, list[Taken]] = {}
    with services(), upstreams(3) as ports:
        add_route(timeout="ai")
        add_route("kept", path="/kept/{path+}", timeout="ai", cache={"ttl_seconds": 3600})
        forget_routing()
        for _ in range(given.rounds):
            for name in (DIRECT, CHOICE, FORWARD, CACHED, WHOLE):
                measured.setdefault(name, []).append(
                    measure(name, ports, given.clients, given.seconds)
                )
    lines = []
    for name, taken in measured.items():
        pairs = list(zip(taken, measured[DIRECT], strict=True))
        lines.append(
            {
                "way": name,
                "CPU us": statistics.median(item.cpu for item in taken),
                "wall us": statistics.median(item.wall for item in taken),
                f"requests/s, {given.clients} processes": round(
                    statistics.median(item.rate for item in taken)
                ),
                "CPU to limit": statistics.median(own.cpu / limit.cpu for own, limit in pairs),
                "rate to limit": statistics.median(own.rate / limit.rate for own, limit in pairs),
            }
        )
    print(_support.table(lines))
    print("written:", _support.save("router", {"lines": lines}).name)


if __name__ == "__main__":
    main()
