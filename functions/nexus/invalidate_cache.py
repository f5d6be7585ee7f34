"""POST /v1/nexus/cache/invalidations: void cached values, one, a namespace's, or everybody's."""

from datapunk.database import transaction
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.cached_values import Invalidation
from datapunk.nexus.cached_values import invalidate_cache as invalidate

app, handler = http_function("nexus.invalidate_cache", raises=(ForbiddenError, NotFoundError))


@app.post("/v1/nexus/cache/invalidations", tags=["nexus"])
def invalidate_cache(wanted: Invalidation) -> Invalidation:
    """Void cached values: reads ask the database at once, environments that remember within two seconds."""
    with transaction() as tx:
        return invalidate(tx, wanted)
