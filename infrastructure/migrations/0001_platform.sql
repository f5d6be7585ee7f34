-- What every module stands on: who is asking, messages on their way out and in, leases.

CREATE SCHEMA platform;

CREATE FUNCTION platform.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('datapunk.tenant', true), '');

COMMENT ON FUNCTION platform.current_tenant IS
    'Tenant of the transaction''s caller; null outside of a platform transaction, so no row is visible.';

CREATE FUNCTION platform.current_principal() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('datapunk.principal', true), '');

CREATE TABLE platform.outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange     text        NOT NULL,
    routing_key  text        NOT NULL,
    message_id   text        NOT NULL,
    content_type text        NOT NULL,
    headers      jsonb       NOT NULL DEFAULT '{}',
    body         bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE platform.outbox IS
    'Messages committed together with the change they tell of; deleted once the broker has confirmed them.';

CREATE TABLE platform.inbox (
    consumer   text        NOT NULL,
    message_id text        NOT NULL,
    attempt    integer     NOT NULL,
    outcome    text        NOT NULL CHECK (outcome IN ('done', 'retry', 'dead')),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id, attempt)
);

CREATE INDEX inbox_decided_at ON platform.inbox (decided_at);

COMMENT ON TABLE platform.inbox IS
    'What became of each delivered message, written in the transaction of its effect: a redelivery is a no-op.';

CREATE TABLE platform.delivery_start (
    consumer   text        NOT NULL,
    message_id text        NOT NULL,
    starts     integer     NOT NULL DEFAULT 1,
    last_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id)
);

COMMENT ON TABLE platform.delivery_start IS
    'How often work on a redelivered message began: a message that ends its function is found by it.';

CREATE TABLE platform.lease (
    name       text PRIMARY KEY,
    holder     text        NOT NULL,
    token      bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

COMMENT ON TABLE platform.lease IS
    'Who runs a singleton job until when; the token grows with each holder, so that a late one is told apart.';
