-- What a keyed call was answered: whoever repeats it gets the answer again and not the effect.

CREATE TABLE platform.idempotency (
    tenant     text        NOT NULL DEFAULT platform.current_tenant(),
    principal  text        NOT NULL DEFAULT platform.current_principal(),
    operation  text        NOT NULL,
    key        text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    digest     bytea       NOT NULL,
    answer     bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, principal, operation, key)
);

CREATE INDEX idempotency_created_at ON platform.idempotency (created_at);

COMMENT ON TABLE platform.idempotency IS
    'Answers of keyed calls, each written in the transaction of its effect; kept for a day.';

ALTER TABLE platform.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.idempotency FORCE ROW LEVEL SECURITY;

CREATE POLICY own_calls ON platform.idempotency
    USING (tenant = platform.current_tenant() AND principal = platform.current_principal());

-- Whoever tidies up belongs to no tenant; he sees what is too old and nothing else.
CREATE POLICY outlived ON platform.idempotency FOR DELETE
    USING (platform.current_tenant() = '*' AND created_at < clock_timestamp() - interval '1 day');

CREATE POLICY outlived_seen ON platform.idempotency FOR SELECT
    USING (platform.current_tenant() = '*' AND created_at < clock_timestamp() - interval '1 day');
