"""PostgreSQL, Redis and RabbitMQ for one machine: private, or those whose URLs are given."""
