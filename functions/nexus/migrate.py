"""At deployment: bring the database's schema to the one this code needs."""

from typing import Any

from datapunk.database.migrations import create_postgis, migrate
from datapunk.deployment import deployment_function
from datapunk.settings import settings


@deployment_function("nexus.migrate")
def handler() -> dict[str, Any]:
    """Apply the migrations that are missing and name them."""
    applied = migrate()
    if settings().postgis:
        create_postgis()
    return {"applied": applied}
