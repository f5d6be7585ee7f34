"""lake.warm_cache: what is read most is in Redis before somebody asks."""

from __future__ import annotations

import redis
from datapunk.cache.reading import forget

from tests.support.invoking import Invoker
from tests.support.services import Instance


def test_after_a_flush_and_a_run_the_first_request_is_a_hit(
    database: str, invoke: Invoker, instance: Instance
) -> None:
    # Given a dataset that is read, and one that is not
    invoke("lake.create_dataset")
    invoke(
        "lake.create_dataset", body={"name": "quiet", "columns": [{"name": "a", "type": "text"}]}
    )
    for _ in range(3):
        forget()
        invoke("lake.get_dataset")
    first = invoke.sample("lake.warm_cache")
    with redis.Redis.from_url(instance.url("redis")) as server:
        for key in server.scan_iter("cache:*", count=1000):
            server.delete(key)
    # When
    second = invoke.sample("lake.warm_cache")
    forget()
    quiet = invoke("lake.get_dataset", path={"dataset": "quiet"})
    hot = invoke("lake.get_dataset")
    # Then
    assert (first, second) == ({"hot": 1, "loaded": 0}, {"hot": 1, "loaded": 1})
    assert quiet.headers["x-cache"] == "miss"
    assert hot.headers["x-cache"] == "hit-l1"
