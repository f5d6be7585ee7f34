"""GET /v1/stream/health/{probe}: live, ready and startup of stream."""

from datapunk.health import POSTGRESQL, RABBITMQ, REDIS
from datapunk.probes import health_function

# Without Redis nothing is limited.
CHECKS = (POSTGRESQL, RABBITMQ, REDIS.optional())

app, handler = health_function("stream.check_health", CHECKS)
