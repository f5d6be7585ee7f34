"""CPU time of the authorizer with warm caches, beside a bare verification of the same token.

    python benchmarks/authorize.py [--requests 300] [--rounds 5]

Bare is PyJWT's `decode` with the public key at hand: signature, issuer, audience, times. The authorizer adds
the search for the key, the look at what was revoked (real PostgreSQL and Redis, started for this), the
answer in API Gateway's words and a metric. What it found out less than 5 s ago it remembers, so both are
shown: a credential it knows, and one it looks up (`new`). Wall time is shown too: it has the round trips.
Output of the handler goes to /dev/null.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
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
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functions"))

import jwt
from datapunk.identity import Caller
from datapunk.keyring.file import FileKeyRing
from datapunk.nexus import authentication, keys
from datapunk.nexus.sessions import start_session
from datapunk.nexus.tokens import AUDIENCE, issue_access_token
from datapunk.settings import settings

from benchmarks import _support
from tests.support.invoking import run
from tests.support.oauth import add_user
from tests.support.samples import load_sample
from tests.support.services import Instance

ANN = Caller("user:7a0e5b3e-8a52-4b1c-9f6e-000000000001", "public", ("editor",))


@contextlib.contextmanager
def services() -> Iterator[None]:
    """Run PostgreSQL, Redis and RabbitMQ for the body, and let the handler find them."""
    with tempfile.TemporaryDirectory(prefix="datapunk-authorize-") as name:
        folder = Path(name)
        FileKeyRing(folder / "keyring").add(int(time.time()))
        instance = Instance(folder / "services")
        try:
            instance.up()
            instance.prepare()
            os.environ["KEY_RING"] = f"file:{folder / 'keyring'}"
            os.environ["REDIS_URL"] = instance.url("redis")
            os.environ["DATABASE_URL"] = instance.new_database()
            yield
        finally:
            instance.down()


def request(**headers: str) -> dict[str, Any]:
    """Return an authorizer's event with these headers alone."""
    event = copy.deepcopy(load_sample("nexus.authorize"))
    event["headers"] = headers
    event["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return event


def ways() -> dict[str, Callable[[], object]]:
    """Return what is compared, each ready to be done again and again."""
    token = issue_access_token(ANN, client_id="app", scopes=["read", "write"]).access_token
    public = jwt.PyJWK(keys.public_jwks()["keys"][0]).key
    issuer = settings().issuer
    cookie, _ = start_session(add_user())
    bearer = request(Authorization=f"Bearer {token}")
    forged = request(Authorization=f"Bearer {token[:-8]}AAAAAAAA")
    session = request(Cookie=f"datapunk={cookie}")

    def refused() -> None:
        with contextlib.suppress(Exception):
            run("nexus.authorize", forged)

    def new(event: dict[str, Any]) -> None:
        authentication.forget()
        run("nexus.authorize", event)

    return {
        "PyJWT alone": lambda: jwt.decode(
            token, public, algorithms=["RS256"], audience=AUDIENCE, issuer=issuer
        ),
        "authorizer, bearer token": lambda: run("nexus.authorize", bearer),
        "authorizer, bearer token, new": lambda: new(bearer),
        "authorizer, forged token": refused,
        "authorizer, session": lambda: run("nexus.authorize", session),
        "authorizer, session, new": lambda: new(session),
    }


def microseconds(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Return CPU and wall time of one go, in microseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        work()
    return (
        (time.process_time() - cpu) / count * 1e6,
        (time.perf_counter() - wall) / count * 1e6,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(_support.machine())
    times: dict[str, list[tuple[float, float]]] = {}
    with (
        services(),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        found = ways()
        for _ in range(given.rounds):
            for name, work in found.items():
                work()
                times.setdefault(name, []).append(microseconds(work, given.requests))
    bare = statistics.median(cpu for cpu, _ in times["PyJWT alone"])
    lines = []
    for name, taken in times.items():
        processor, clock = (statistics.median(column) for column in zip(*taken, strict=True))
        lines.append(
            {"way": name, "CPU us": processor, "wall us": clock, "CPU ratio": processor / bare}
        )
    print(_support.table(lines))
    print("written:", _support.save("authorize", {"lines": lines}).name)


if __name__ == "__main__":
    main()
