-- OAuth: clients, what users and services granted them, codes and refresh tokens, what was revoked.
--
-- Secrets, codes and refresh tokens are random (256 bits) and kept as SHA-256 digests only.

CREATE TABLE nexus.oauth_clients (
    id                        text        PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),
    tenant                    text        NOT NULL REFERENCES nexus.tenants (id),
    name                      text        NOT NULL,
    secret_hash               bytea,
    redirect_uris             text[]      NOT NULL DEFAULT '{}',
    post_logout_redirect_uris text[]      NOT NULL DEFAULT '{}',
    grant_types               text[]      NOT NULL,
    scopes                    text[]      NOT NULL,
    created_by                text        NOT NULL DEFAULT platform.current_principal(),
    created_at                timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX oauth_clients_tenant ON nexus.oauth_clients (tenant, id);

COMMENT ON COLUMN nexus.oauth_clients.secret_hash IS
    'Digest of the secret; null for a public client, which proves itself by PKCE only.';

CREATE TABLE nexus.oauth_grants (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant     text        NOT NULL REFERENCES nexus.tenants (id),
    client_id  text        NOT NULL REFERENCES nexus.oauth_clients (id) ON DELETE CASCADE,
    principal  text        NOT NULL,
    session_id text,
    scopes     text[]      NOT NULL,
    auth_time  timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE INDEX oauth_grants_principal ON nexus.oauth_grants (principal);
CREATE INDEX oauth_grants_session ON nexus.oauth_grants (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX oauth_grants_expires_at ON nexus.oauth_grants (expires_at);

COMMENT ON TABLE nexus.oauth_grants IS
    'One authorization of a client by a user: the family that its code and all its refresh tokens belong to.';

CREATE TABLE nexus.oauth_codes (
    hash         bytea       PRIMARY KEY,
    grant_id     uuid        NOT NULL REFERENCES nexus.oauth_grants (id) ON DELETE CASCADE,
    redirect_uri text        NOT NULL,
    challenge    text        NOT NULL,
    nonce        text,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);

CREATE INDEX oauth_codes_grant ON nexus.oauth_codes (grant_id);

CREATE TABLE nexus.oauth_refresh_tokens (
    hash       bytea       PRIMARY KEY,
    grant_id   uuid        NOT NULL REFERENCES nexus.oauth_grants (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX oauth_refresh_tokens_grant ON nexus.oauth_refresh_tokens (grant_id);

CREATE TABLE nexus.revocations (
    subject        text        PRIMARY KEY,
    issued_through timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL
);

CREATE INDEX revocations_expires_at ON nexus.revocations (expires_at);

COMMENT ON TABLE nexus.revocations IS
    'Access tokens refused before their end: by id, grant or principal, if issued until then.';

ALTER TABLE nexus.oauth_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.oauth_clients FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.oauth_clients
    USING (platform.sees(tenant) AND (SELECT nexus.administers()))
    WITH CHECK (platform.sees(tenant) AND (SELECT nexus.administers()));

ALTER TABLE nexus.oauth_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.oauth_grants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.oauth_grants
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

-- Codes, tokens and revocations name no tenant: only the platform itself reads and writes them.
ALTER TABLE nexus.oauth_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.oauth_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY platform_only ON nexus.oauth_codes
    USING (platform.sees('*')) WITH CHECK (platform.sees('*'));

ALTER TABLE nexus.oauth_refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.oauth_refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY platform_only ON nexus.oauth_refresh_tokens
    USING (platform.sees('*')) WITH CHECK (platform.sees('*'));

ALTER TABLE nexus.revocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.revocations FORCE ROW LEVEL SECURITY;
CREATE POLICY platform_only ON nexus.revocations
    USING (platform.sees('*')) WITH CHECK (platform.sees('*'));
