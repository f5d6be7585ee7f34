-- Who exists: tenants, users, and the roles a principal has in a tenant.
--
-- Identity is looked up before a tenant is known, so the platform's own lookups run as the tenant '*'.

CREATE SCHEMA nexus;

CREATE FUNCTION platform.sees(tenant text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN platform.current_tenant() IN (tenant, '*');

COMMENT ON FUNCTION platform.sees IS
    'Whether the transaction''s caller may see rows of a tenant; only the platform''s own lookups are ''*''.';

CREATE FUNCTION nexus.current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN platform.current_principal() ~ '^user:[0-9a-f-]{36}$'
            THEN substr(platform.current_principal(), 6)::uuid
    END;

CREATE TABLE nexus.tenants (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9_-]{0,62}$'),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO nexus.tenants (id, name) VALUES ('public', 'Public');

CREATE TABLE nexus.users (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant         text        NOT NULL REFERENCES nexus.tenants (id),
    email          text        NOT NULL CHECK (email = lower(email)),
    email_verified boolean     NOT NULL DEFAULT false,
    name           text        NOT NULL,
    password_hash  text,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (email)
);

CREATE TABLE nexus.role_assignments (
    tenant     text        NOT NULL REFERENCES nexus.tenants (id),
    principal  text        NOT NULL,
    role       text        NOT NULL CHECK (role ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, principal, role)
);
