-- What the cache knows for certain: the version of each key that was written, whether Redis has it, and what is hot.

CREATE TABLE platform.cache_writes (
    namespace  text        NOT NULL,
    tenant     text        NOT NULL,
    key        text        NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0 AND version < 9007199254740992),
    value      text,
    cause      text        NOT NULL,
    pending    boolean     NOT NULL DEFAULT true,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (namespace, tenant, key)
);

CREATE INDEX cache_writes_pending ON platform.cache_writes (written_at) WHERE pending;
CREATE INDEX cache_writes_settled ON platform.cache_writes (written_at) WHERE NOT pending;

COMMENT ON TABLE platform.cache_writes IS
    'The last write of each cached key, from the transaction of its effect: pending, with its value, until Redis '
    'has it. Kept for a day, much longer than any value in Redis, so that versions only grow.';

ALTER TABLE platform.cache_writes ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.cache_writes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON platform.cache_writes
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE TABLE platform.cache_heat (
    namespace text             NOT NULL,
    tenant    text             NOT NULL,
    key       text             NOT NULL,
    heat      double precision NOT NULL,
    PRIMARY KEY (namespace, tenant, key)
);

COMMENT ON TABLE platform.cache_heat IS
    'How often cached keys were read lately; halved at each run of the warming, which loads the first of them.';

ALTER TABLE platform.cache_heat ENABLE ROW LEVEL SECURITY;
ALTER TABLE platform.cache_heat FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON platform.cache_heat
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
