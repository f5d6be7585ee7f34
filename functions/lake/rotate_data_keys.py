"""Every day: make new data keys where they are due, and wrap the others by the newest."""

from typing import Any

from datapunk.lake.privacy.rotation import rotate_data_keys
from datapunk.schedule import scheduled_function


@scheduled_function("lake.rotate_data_keys")
def handler(token: int) -> dict[str, Any]:  # noqa: ARG001 -- what is wrapped twice stays the same key
    """Report how many tenants there are, and how many keys were wrapped anew."""
    return rotate_data_keys()
