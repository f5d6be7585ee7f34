"""GET /v1/nexus/consul/v1/status/{what}: whether the registry works, as Consul's clients ask it."""

import json
from typing import Literal

from aws_lambda_powertools.event_handler import Response
from datapunk.cache import check_cache
from datapunk.errors import UnavailableError
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.consul.answering import LEADER

# Clients ask before they know a token, and send none.
app, handler = http_function("nexus.get_consul_status", guard=Guard(limited=False))


@app.get("/v1/nexus/consul/v1/status/<what>", tags=["nexus"])
def get_consul_status(what: Literal["leader", "peers"]) -> Response[str | list[str]]:
    """Return the leader, or the peers; none while the registry cannot be reached."""
    try:
        check_cache()
        leader = LEADER
    except UnavailableError:
        leader = ""
    body = leader if what == "leader" else [leader] if leader else []
    return Response(status_code=200, content_type="application/json", body=json.dumps(body))
