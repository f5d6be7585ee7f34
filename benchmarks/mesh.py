"""What `call_service` adds to a bare invoke, and the breaker beside pybreaker on the same Redis.

    python benchmarks/mesh.py [--calls 1000] [--callers 50]

The callee is a server that answers every invoke at once with the same message, so that only the caller's side
differs: boto3's client with a payload made beforehand, the transport alone (signing, encoding, no breaker),
and the whole call with breaker and bulkhead. Breakers let a call pass that does nothing, in turns with a bare
GET. Then the breakers are open, their pause is over, and callers ask at the same time: one should pass. It
starts a Redis of its own in a temporary folder and stops it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers" / "common"))

import boto3
import pybreaker
import redis
import uvicorn
from botocore.config import Config
from datapunk import cache
from datapunk.errors import CircuitOpenError, UnavailableError
from datapunk.identity import Caller
from datapunk.mesh import breaker, call_service, invoking
from datapunk.mesh.breaker import BreakerPolicy, passing
from datapunk.mesh.contract import PROTO, encode, find_method
from datapunk.mesh.generated.lake_pb2 import Dataset, GetDatasetRequest
from datapunk.mesh.wire import Call
from datapunk.settings import settings

from benchmarks import _support
from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.ports import choose_port
from infrastructure.local.progress import Progress
from infrastructure.local.services.redis import Redis

CALLER = Caller("user:ann", "acme", ("editor",), ("read", "write"))
REQUEST = GetDatasetRequest(dataset="co2_weekly")
FUNCTION = "lambda:bench-lake-serve_rpc"
READY_SECONDS = 30.0
HOLD_SECONDS = 5.0
ANSWER = json.dumps(
    {
        "statusCode": 200,
        "multiValueHeaders": {"Content-Type": [PROTO]},
        "body": base64.b64encode(Dataset(name="co2_weekly").SerializeToString()).decode(),
        "isBase64Encoded": True,
    }
).encode()


async def answer(_: Any, receive: Any, send: Any) -> None:
    """Answer every invoke with the same message (ASGI)."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


@contextlib.contextmanager
def running_redis() -> Iterator[str]:
    """Start a Redis in a temporary folder; give its URL; stop it."""
    with tempfile.TemporaryDirectory(prefix="datapunk-mesh-") as folder:
        server = Redis(Paths(state=Path(folder), programs=PROJECT / ".datapunk"), {})
        try:
            with Progress(io.StringIO(), live=False):
                server.start()
                server.wait_ready(READY_SECONDS)
            yield server.endpoints()["redis"]
        finally:
            server.stop()


@contextlib.contextmanager
def running_callee() -> Iterator[str]:
    """Serve the callee in a process of its own; give its URL."""
    port = choose_port(None, taken=set(), seed="mesh benchmark")
    serve = functools.partial(
        uvicorn.run, answer, host="127.0.0.1", port=port, log_level="error", lifespan="off"
    )
    process = multiprocessing.get_context("fork").Process(target=serve)
    process.start()
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join(10)


def calls(url: str) -> dict[str, Callable[[], object]]:
    """Return each way to call."""
    method = find_method("lake", "get_dataset")
    call = Call(method, FUNCTION, PROTO, encode(REQUEST, PROTO), {}, 30.0, CALLER)
    client = boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}),
    )
    payload = json.dumps(invoking.event_of(call)).encode()

    def invoke() -> object:
        name = FUNCTION.removeprefix("lambda:")
        return client.invoke(FunctionName=name, Payload=payload)["Payload"].read()

    ask = functools.partial(call_service, "lake", "get_dataset", REQUEST, caller=CALLER)
    return {
        "bare invoke (boto3)": invoke,
        "the transport alone": lambda: invoking.send(call),
        "call_service, breaker": lambda: ask(breaker=BreakerPolicy()),
        "call_service, breaker and bulkhead": ask,
    }


def ours(name: str, policy: BreakerPolicy) -> Callable[[], object]:
    """Return a call through our breaker that does nothing."""

    def ask() -> None:
        with passing(name, policy):
            pass

    return ask


def theirs(name: str, url: str, pause: float = 60.0) -> pybreaker.CircuitBreaker:
    """Return pybreaker's breaker with its state in Redis."""
    storage = pybreaker.CircuitRedisStorage(
        pybreaker.STATE_CLOSED, redis.Redis.from_url(url), namespace=name
    )
    return pybreaker.CircuitBreaker(fail_max=5, reset_timeout=pause, state_storage=storage)


def in_turns(ways: dict[str, Callable[[], object]], calls: int) -> dict[str, tuple[float, float]]:
    """Return the median microseconds of each way, called one after the other in each turn.

    First those that pass, then those this process computes: on a busy machine a caller waits for its turn
    each time it waits for an answer, and only the second says what the code costs.
    """
    elapsed: dict[str, list[float]] = {name: [] for name in ways}
    computing: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        _support.timed(way, count=1)
    for _ in range(calls):
        for name, way in ways.items():
            started, computed = time.perf_counter(), time.process_time()
            way()
            computing[name].append(time.process_time() - computed)
            elapsed[name].append(time.perf_counter() - started)
    return {
        name: (statistics.median(elapsed[name]) * 1e6, statistics.median(computing[name]) * 1e6)
        for name in ways
    }


def lines(head: str, times: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Return one line for each way; the ratios are to the first."""
    first = next(iter(times.values()))
    return [
        {
            head: name,
            "us": round(passed),
            "ratio": round(passed / first[0], 2),
            "us of CPU": round(computed),
            "ratio of CPU": round(computed / first[1], 2),
        }
        for name, (passed, computed) in times.items()
    ]


def half_open(act: Callable[[], bool], callers: int) -> int:
    """Return how many of so many processes pass when a pause is over; each holds on for 5 s."""
    context = multiprocessing.get_context("fork")
    start, passed = context.Barrier(callers), context.Value("i", 0)

    def work() -> None:
        cache.forget()
        start.wait(60)
        own = act()
        with passed.get_lock():
            passed.value += own

    children = [context.Process(target=work) for _ in range(callers)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    return int(passed.value)


def ours_passes() -> bool:
    """Tell whether a call passes our breaker, and hold on."""
    try:
        with passing("ill", BreakerPolicy(reset=0.5)):
            time.sleep(HOLD_SECONDS)
    except CircuitOpenError:
        return False
    return True


def theirs_passes(url: str) -> bool:
    """Tell whether a call passes pybreaker's, and hold on."""
    try:
        theirs("ill", url, 0.5).call(time.sleep, HOLD_SECONDS)
    except pybreaker.CircuitBreakerError:
        return False
    return True


def open_both(url: str) -> None:
    """Open both breakers and let their pause go by."""
    other = theirs("ill", url, 0.5)

    def fail() -> None:
        raise UnavailableError("ill")

    for _ in range(5):
        with contextlib.suppress(UnavailableError), passing("ill", BreakerPolicy(reset=0.5)):
            fail()
        with contextlib.suppress(UnavailableError, pybreaker.CircuitBreakerError):
            other.call(fail)
    time.sleep(1)


def measure(url: str, callee: str, given: argparse.Namespace) -> list[list[dict[str, Any]]]:
    """Return the tables."""
    client = redis.Redis.from_url(url)
    peer = theirs("well", url)
    breakers: dict[str, Callable[[], object]] = {
        "a bare GET": lambda: client.get("nothing"),
        "our breaker": ours("well", BreakerPolicy()),
        "our breaker and bulkhead": ours("well-2", BreakerPolicy(concurrency=100)),
        "pybreaker, Redis storage": lambda: peer.call(int),
    }
    tables = [
        lines("call", in_turns(calls(callee), given.calls)),
        lines("breaker", in_turns(breakers, given.calls)),
    ]
    passed: list[dict[str, Any]] = []
    ways: dict[str, Callable[[], bool]] = {
        "our breaker": ours_passes,
        "pybreaker, Redis storage": functools.partial(theirs_passes, url),
    }
    for name, act in ways.items():
        breaker.forget()
        client.flushdb()
        open_both(url)
        passed.append(
            {"half-open": name, f"of {given.callers} passed": half_open(act, given.callers)}
        )
    tables.append(passed)
    client.close()
    return tables


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=50)
    given = parser.parse_args()
    print(_support.machine())
    nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- closed with the process
    with running_callee() as callee, running_redis() as url:
        os.environ.update(
            REDIS_URL=url,
            SERVICES=f"lake={FUNCTION}",
            AWS_ENDPOINT_URL_LAMBDA=callee,
            AWS_ACCESS_KEY_ID="bench",
            AWS_SECRET_ACCESS_KEY="bench",  # noqa: S106 -- of nobody
        )
        settings.cache_clear()
        with contextlib.redirect_stdout(nowhere):
            tables = measure(url, callee, given)
        cache.forget()
    for found in tables:
        print(_support.table(found), "\n")
    print("written:", _support.save("mesh", {"tables": tables}).name)


if __name__ == "__main__":
    main()
