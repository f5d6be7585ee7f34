"""Who gets which events: one queue per consumer function, called like its operation.

The template's mapping of each function names the same queue; `tests/conventions` compares the two.
"""

from datapunk.broker.topology import Subscription

SUBSCRIPTIONS = (
    Subscription(queue="stream.store_event", patterns=("#",)),
    Subscription(
        queue="nexus.mirror_service",
        patterns=("service.registered", "service.deregistered", "service.health.changed"),
    ),
    Subscription(
        queue="lake.measure_changed",
        patterns=(
            "lake.records.inserted",
            "lake.records.upserted",
            "lake.records.updated",
            "lake.records.deleted",
        ),
    ),
)
