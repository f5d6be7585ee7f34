"""May this caller do that: one policy for routes, rows and events, compiled from infrastructure/policies."""

from datapunk.policy.decisions import (
    Decision,
    Resource,
    decide,
    may_see,
    needed_scope,
    require,
)

__all__ = ["Decision", "Resource", "decide", "may_see", "needed_scope", "require"]
