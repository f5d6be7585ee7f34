"""GET /v1/nexus/health/{probe}: live, ready and startup of nexus."""

from datapunk.health import POSTGRESQL, RABBITMQ, REDIS
from datapunk.nexus.health import GATEWAY, TOKENS
from datapunk.probes import health_function

CHECKS = (GATEWAY, TOKENS, POSTGRESQL, REDIS, RABBITMQ)

app, handler = health_function("nexus.check_health", CHECKS)
