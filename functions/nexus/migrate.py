"""At deployment: bring the database's schema to the one this code needs."""

from typing import Any

from datapunk.database.migrations import migrate
from datapunk.deployment import deployment_function


@deployment_function("nexus.migrate")
def handler() -> dict[str, Any]:
    """Apply the migrations that are missing and name them."""
    return {"applied": migrate()}
