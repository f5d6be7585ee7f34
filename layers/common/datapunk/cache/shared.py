"""L2: values in Redis, a script call each, on a single server or a cluster.

What makes an answer good for the contract is checked where it is read, by the server's clock, in the same
call: its epoch (`scripts/partition.lua`), and that all writes committed until `SWEPT_SECONDS` ago are known
to be in Redis (`repair`). A process that was stopped in between cannot be wrong about either.

All functions raise UnavailableError when Redis does not answer. It is then left alone for `PAUSE` seconds.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import orjson

from datapunk.cache import connection
from datapunk.cache.clock import physical_ms
from datapunk.cache.namespaces import NAMESPACES, PARTITIONS, Namespace, Place
from datapunk.errors import ConfigurationError, UnavailableError

PAUSE = 1.0
"""Seconds that Redis is left alone after a failure."""
LEASE_MS = 3_000
"""Milliseconds that the one who loads a value has for it."""
SWEEP_DUE_SECONDS = 1.5
"""Seconds after which one reader is asked to sweep, while the others go on."""
SWEPT_SECONDS = 2.5
"""Seconds after which nobody reads from Redis before the writes that failed there have been looked for."""
LATE_MS = 10_000
"""Milliseconds that a write may come late to Redis; a later one is left to the repair."""
UPDATE_CHANNELS = "cache.update cache_update"
INVALIDATE_CHANNELS = "cache.invalidate cache_invalidate"

Kind = Literal["value", "absent", "gone"]
Word = Literal["hit", "renew", "load", "wait", "unswept"]
Put = Literal["stored", "same", "older", "late"]

_SCRIPTS = Path(__file__).with_name("scripts")
_paused: list[float] = []
"""Empty or one entry: until when Redis is left alone, in seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Redis says about a place: `word` is what to do, `value` is None where none is known or exists."""

    word: Word
    epoch: str
    now_ms: int
    sweep: bool
    token: str
    version: int = 0
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A committed write: `value` is None where the value was deleted, or is too large to be kept.

    `since_ms` is when it was known to be the last one of its key, by the wall clock.
    """

    place: Place
    version: int
    value: str | None
    cause: str
    since_ms: int


def read(place: Place, *, counted: bool = True, loads: bool = True) -> Answer:
    """Read a value, or (`loads`) be the one to load it. `counted`: the reading makes the key hotter."""
    namespace, token = place.namespace, secrets.token_hex(8) if loads else ""
    raw = _run(
        "read",
        place.keys(),
        place.tenant,
        place.member,
        token,
        LEASE_MS,
        namespace.keep,
        int(SWEEP_DUE_SECONDS * 1000),
        int(SWEPT_SECONDS * 1000),
        int(counted),
    )
    head, _, stored = str(raw).partition("\n")
    word, epoch, now_ms, sweep = head.split(" ")
    version, value = 0, None
    if stored:
        entry, _, text = stored.partition("\n")
        number, _, _, kind = entry.split(" ")
        version, value = int(number), text if kind == "value" else None
    return Answer(word, epoch, int(now_ms), sweep == "1", token, version, value)  # type: ignore[arg-type]


def fill(place: Place, answer: Answer, version: int, value: str | None) -> bool:
    """Keep what was loaded with the lease of `answer`; tell whether it was kept.

    It is not when somebody wrote, invalidated or emptied meanwhile, or the lease is over.
    """
    kind: Kind = "absent" if value is None else "value"
    arguments = _arguments(place, version, kind, value, token=answer.token, epoch=answer.epoch)
    return _run("fill", place.keys(), *arguments) == "stored"


def put(write: Write) -> Put:
    """Keep a committed write unless a later one is there, and publish it."""
    kind: Kind = "absent" if write.value is None else "value"
    if write.value is not None and not fits(write.place.namespace, write.value):
        kind = "gone"
    channels = UPDATE_CHANNELS if kind == "value" else INVALIDATE_CHANNELS
    answer: Put = _run(  # type: ignore[assignment]
        "put",
        write.place.keys(),
        *_arguments(write.place, write.version, kind, write.value if kind == "value" else ""),
        write.since_ms,
        LATE_MS,
        channels,
        _notice(write.place, write.version, write.cause),
    )
    return answer


def fits(namespace: Namespace, value: str) -> bool:
    """Tell whether a value is small enough to be kept."""
    return len(value.encode("utf-8")) <= namespace.max_value


def drop(place: Place, cause: str, *, version: int | None = None) -> bool:
    """Void a value, or only the `version` of it, and publish that; tell whether it was voided."""
    arguments = _arguments(place, "" if version is None else version, "gone", "")
    notice = _notice(place, version or 0, cause)
    answer = _run("drop", place.keys(), *arguments, 0, 0, INVALIDATE_CHANNELS, notice)
    return answer == "gone"


def void(namespace: Namespace, tenant: str | None, cause: str) -> None:
    """Void all values of a namespace, or a tenant's, and publish that."""
    for partition in range(PARTITIONS):
        _run("void", (_epoch_key(namespace, partition),), tenant or "", namespace.keep)
    notice = {
        "namespace": namespace.name,
        "tenant": tenant,
        "key": None,
        "version": 0,
        "cause": cause,
    }
    with _guarded():
        for channel in INVALIDATE_CHANNELS.split():
            connection.client().publish(channel, orjson.dumps(notice).decode())


def mark_swept(until_ms: int) -> None:
    """Note in every partition that the writes committed before `until_ms` (of Redis' clock) are there."""
    text, _ = _script("mark")
    with _guarded():
        pipeline = connection.client().pipeline(transaction=False)
        send: Callable[..., object] = pipeline.execute_command
        for namespace in NAMESPACES.values():
            for partition in range(PARTITIONS):
                key = _epoch_key(namespace, partition)
                # The method of a cluster's pipeline refuses scripts; the command itself is sent by its key.
                send("EVAL", text, 1, key, until_ms, namespace.keep)
        pipeline.execute()


def server_ms() -> int:
    """Return the time by Redis' clock: milliseconds since 1970."""
    namespace = next(iter(NAMESPACES.values()))
    return int(str(_run("mark", (_epoch_key(namespace, 0),), 0, namespace.keep)))


def take_heat(namespace: Namespace, most: int) -> dict[str, float]:
    """Return how often the values of a namespace were read since the last time, by member, and begin anew."""
    found: dict[str, float] = {}
    for partition in range(PARTITIONS):
        raw = _run("heat", (f"{namespace.prefix(partition)}heat",), most)
        pairs = [str(item) for item in raw] if isinstance(raw, list) else []
        found.update(zip(pairs[::2], map(float, pairs[1::2]), strict=True))
    return found


def keep_hottest(namespace: Namespace, hottest: list[tuple[str, str]]) -> None:
    """Keep which values (tenant, key) are read most, for environments that begin."""
    text = orjson.dumps(hottest).decode()
    with _guarded():
        connection.client().set(f"cache:{{{namespace.name}:top}}", text, px=namespace.keep)


def hottest(namespace: Namespace) -> list[tuple[str, str]]:
    """Return which values (tenant, key) are read most, as the last run of the warming found them."""
    with _guarded():
        text = connection.client().get(f"cache:{{{namespace.name}:top}}")
    return [(tenant, key) for tenant, key in orjson.loads(str(text or "[]"))]


def paused() -> bool:
    """Tell whether Redis has just failed and is left alone."""
    return bool(_paused) and time.monotonic() < _paused[0]


def forget() -> None:
    """Become an environment that knows of no failure."""
    _paused.clear()


def _arguments(
    place: Place,
    version: int | str,
    kind: Kind,
    value: str | None,
    token: str = "",
    epoch: str = "",
) -> tuple[str | int, ...]:
    """Return the arguments that the writing scripts have in common."""
    namespace = place.namespace
    life = namespace.lifetime(absent=kind == "absent")
    return (
        place.tenant,
        place.member,
        token,
        epoch,
        version,
        kind,
        value or "",
        life,
        int(life * namespace.early),
        namespace.prefix(place.partition),
        namespace.partition_bytes,
        namespace.keep,
        namespace.lifetime(absent=False),
    )


def _notice(place: Place, version: int, cause: str) -> str:
    """Return the message of a channel."""
    key = place.namespace.key_text(place.key)
    return orjson.dumps(
        {
            "namespace": place.namespace.name,
            "tenant": place.tenant,
            "key": key,
            "version": version,
            "time": physical_ms(version),
            "cause": cause,
        }
    ).decode("utf-8")


def _epoch_key(namespace: Namespace, partition: int) -> str:
    return f"{namespace.prefix(partition)}epoch"


@cache
def _script(name: str) -> tuple[str, str]:
    """Return a script and the digest the server knows it by."""
    parts = (_SCRIPTS / f"{part}.lua" for part in ("partition", name))
    text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _run(name: str, keys: tuple[str, ...], *arguments: str | int) -> object:
    from redis.exceptions import NoScriptError

    text, digest = _script(name)
    given = (*keys, *map(str, arguments))
    with _guarded():
        client = connection.client()
        try:
            return client.evalsha(digest, len(keys), *given)
        except NoScriptError:
            # Also teaches it to this server; each node of a cluster learns it on its own.
            return client.eval(text, len(keys), *given)


@contextmanager
def _guarded() -> Iterator[None]:
    if paused():
        raise UnavailableError(connection.DEPENDENCY)
    try:
        with connection.translated():
            yield
    except (UnavailableError, ConfigurationError) as error:
        _paused[:] = [time.monotonic() + PAUSE]
        raise UnavailableError(connection.DEPENDENCY, error.detail) from error
    _paused.clear()
