"""RabbitMQ: one publishing connection per environment, confirms, topology."""

from datapunk.broker.connection import Message, check_broker, publish

__all__ = ["Message", "check_broker", "publish"]
