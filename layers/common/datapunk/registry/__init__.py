"""The registry: which services there are, where, and how they are; in Redis, for every module.

`discover` is how a service finds another; `register`, `deregister` and `beat` are how one is found. The
Consul dialect, the prober and the mirror in Cloud Map are made of these (`datapunk.nexus.registry`).
"""

from datapunk.registry.discovery import discover, forget
from datapunk.registry.model import PLATFORM, Check, Instance, Kind, Registration, Status, Weights
from datapunk.registry.store import beat, deregister, instances, judge, register, wait

__all__ = [
    "PLATFORM",
    "Check",
    "Instance",
    "Kind",
    "Registration",
    "Status",
    "Weights",
    "beat",
    "deregister",
    "discover",
    "forget",
    "instances",
    "judge",
    "register",
    "wait",
]
