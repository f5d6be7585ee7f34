-- API keys: long-lived credentials by which programs act for their owner, never for more than he may do himself.
--
-- A key's secret is random (256 bits) and kept as a SHA-256 digest only; its id is public.

CREATE TABLE nexus.api_keys (
    id           text        PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{8}$'),
    tenant       text        NOT NULL DEFAULT platform.current_tenant()
                             REFERENCES nexus.tenants (id),
    owner        text        NOT NULL DEFAULT platform.current_principal(),
    name         text        NOT NULL,
    secret_hash  bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    scopes       text[]      NOT NULL CHECK (cardinality(scopes) > 0),
    lifetime     interval    NOT NULL CHECK (lifetime > interval '0'),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    replaced_by  text        REFERENCES nexus.api_keys (id),
    revoked_at   timestamptz
);

CREATE INDEX api_keys_owner ON nexus.api_keys (tenant, owner, id COLLATE "C");
CREATE INDEX api_keys_tenant ON nexus.api_keys (tenant, id COLLATE "C");

COMMENT ON COLUMN nexus.api_keys.lifetime IS
    'What the key was issued for, and its successor will be; rotation moves expires_at.';
COMMENT ON COLUMN nexus.api_keys.last_used_at IS 'Written once a minute at most.';

ALTER TABLE nexus.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.api_keys FORCE ROW LEVEL SECURITY;

-- Administrators see and revoke the keys of their tenant. Nobody makes a key in another's name, and nobody
-- removes one: the audit trail names it.
CREATE POLICY owner_isolation ON nexus.api_keys FOR SELECT
    USING (
        platform.sees(tenant)
        AND (owner = platform.current_principal() OR (SELECT nexus.administers()))
    );

CREATE POLICY issued_by_owners ON nexus.api_keys FOR INSERT
    WITH CHECK (
        platform.sees(tenant)
        AND (owner = platform.current_principal() OR platform.current_tenant() = '*')
    );

CREATE POLICY changed_by_owners ON nexus.api_keys FOR UPDATE
    USING (
        platform.sees(tenant)
        AND (owner = platform.current_principal() OR (SELECT nexus.administers()))
    )
    WITH CHECK (
        platform.sees(tenant)
        AND (owner = platform.current_principal() OR (SELECT nexus.administers()))
    );
