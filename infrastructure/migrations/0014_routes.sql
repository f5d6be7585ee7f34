-- The router: its rules with all their versions, and requests that are completed in the background.
--
-- Rules belong to the platform: one set for all tenants, written by its operators. A request in the background
-- belongs to whoever sent it.

CREATE TABLE nexus.routes (
    name       text        PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    version    integer     NOT NULL CHECK (version > 0),
    rule       jsonb,
    service    text        GENERATED ALWAYS AS (rule ->> 'service') STORED,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text        NOT NULL DEFAULT platform.current_principal()
);

COMMENT ON COLUMN nexus.routes.rule IS
    'Null where the rule was deleted: its versions stay, and the next one goes on counting.';

CREATE TABLE nexus.route_versions (
    name       text        NOT NULL REFERENCES nexus.routes (name),
    version    integer     NOT NULL CHECK (version > 0),
    rule       jsonb,
    changed_at timestamptz NOT NULL,
    changed_by text        NOT NULL,
    PRIMARY KEY (name, version)
);

-- One row, changed by every change of a rule: who has read the rules at an epoch has them as they are until
-- the next. Its lock puts changes in order.
CREATE TABLE nexus.route_epoch (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch  bigint  NOT NULL DEFAULT 0
);

CREATE TABLE nexus.requests (
    id               uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant           text        NOT NULL DEFAULT platform.current_tenant()
                                 REFERENCES nexus.tenants (id),
    principal        text        NOT NULL DEFAULT platform.current_principal(),
    status           text        NOT NULL DEFAULT 'waiting'
                                 CHECK (status IN ('waiting', 'running', 'done', 'failed')),
    repeatable       boolean     NOT NULL,
    needs            text        NOT NULL,
    seconds          real        NOT NULL CHECK (seconds > 0),
    work             bytea,
    problem          jsonb,
    response_status  integer,
    response_headers jsonb,
    response_body    bytea,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at       timestamptz,
    finished_at      timestamptz,
    expires_at       timestamptz NOT NULL DEFAULT clock_timestamp() + interval '1 day'
);

CREATE INDEX requests_open ON nexus.requests (created_at) WHERE status IN ('waiting', 'running');
CREATE INDEX requests_expiry ON nexus.requests (expires_at);

COMMENT ON TABLE nexus.requests IS
    'Requests to services that outlast the gateway, and their answers, for a day.';
COMMENT ON COLUMN nexus.requests.repeatable IS
    'Whether it may be sent again when whoever ran it died: it reads, or carries an idempotency key.';
COMMENT ON COLUMN nexus.requests.needs IS
    'The action of the policy that the request needed; whoever reads its answer needs it too.';
COMMENT ON COLUMN nexus.requests.work IS 'The request itself; gone when it is finished.';

ALTER TABLE nexus.routes ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.routes FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.route_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.route_versions FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.route_epoch ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.route_epoch FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.requests FORCE ROW LEVEL SECURITY;

-- nexus.operates() is true for the platform's own look-ups, which the router's are.
CREATE POLICY operators ON nexus.routes
    USING ((SELECT nexus.operates()))
    WITH CHECK ((SELECT nexus.operates()));

CREATE POLICY operators ON nexus.route_versions
    USING ((SELECT nexus.operates()))
    WITH CHECK ((SELECT nexus.operates()));

CREATE POLICY operators ON nexus.route_epoch
    USING ((SELECT nexus.operates()))
    WITH CHECK ((SELECT nexus.operates()));

CREATE POLICY sender_isolation ON nexus.requests
    USING (
        platform.sees(tenant)
        AND (principal = platform.current_principal() OR platform.current_tenant() = '*')
    )
    WITH CHECK (
        platform.sees(tenant)
        AND (principal = platform.current_principal() OR platform.current_tenant() = '*')
    );
