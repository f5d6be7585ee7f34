"""Who may change what is registered: whoever registered it, and the tenant's administrators."""

from __future__ import annotations

from datapunk.identity import Caller
from datapunk.policy import decide
from datapunk.policy.decisions import Resource

_CHANGE = "registry.change"
_NOBODY = "nobody"


def may_change_others(caller: Caller, *, trusted_network: bool) -> bool:
    """Tell whether `caller` may change what others of his tenant have registered."""
    others: Resource = {"tenant": caller.tenant, "owner": _NOBODY}
    return decide(caller, _CHANGE, others, trusted_network=trusted_network).allow
