"""GET /v1/lake/health/{probe}: live, ready and startup of lake."""

from datapunk.health import POSTGRESQL, RABBITMQ, REDIS
from datapunk.probes import health_function

# Without Redis nothing is limited; without RabbitMQ events wait in the outbox.
CHECKS = (POSTGRESQL, REDIS.optional(), RABBITMQ.optional())

app, handler = health_function("lake.check_health", CHECKS)
