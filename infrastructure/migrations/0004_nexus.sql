-- Who exists: tenants, users, and the roles a principal has in a tenant.
--
-- Identity is looked up before a tenant is known, so the platform's own look-ups run as the tenant '*', which
-- no row can have. A tenant's rows are its own; within it, a plain user sees only himself.

CREATE SCHEMA nexus;

CREATE FUNCTION platform.sees(tenant text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN platform.current_tenant() IN (tenant, '*');

COMMENT ON FUNCTION platform.sees IS
    'Whether the transaction''s caller may see rows of a tenant; only the platform''s own lookups are ''*''.';

CREATE FUNCTION nexus.current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN platform.current_principal()
            ~ '^user:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
            THEN substr(platform.current_principal(), 6)::uuid
    END;

COMMENT ON FUNCTION nexus.current_user_id IS
    'The user in whose name the transaction runs; null for clients, services and the platform itself.';

CREATE TABLE nexus.tenants (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9_-]{0,62}$'),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO nexus.tenants (id, name) VALUES ('public', 'Public');

CREATE TABLE nexus.users (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant         text        NOT NULL DEFAULT platform.current_tenant()
                               REFERENCES nexus.tenants (id),
    email          text        NOT NULL CHECK (email = lower(email)),
    email_verified boolean     NOT NULL DEFAULT false,
    name           text        NOT NULL,
    password_hash  text,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (email)
);

CREATE INDEX users_tenant_email ON nexus.users (tenant, email COLLATE "C");

CREATE TABLE nexus.role_assignments (
    tenant     text        NOT NULL DEFAULT platform.current_tenant()
                           REFERENCES nexus.tenants (id),
    principal  text        NOT NULL,
    role       text        NOT NULL CHECK (role ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, principal, role)
);

-- Asked of the table and not of the caller's token: a role that was taken away is gone at once.
CREATE FUNCTION nexus.administers() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(
        platform.current_tenant() = '*'
        OR EXISTS (
            SELECT FROM nexus.role_assignments AS assigned
            WHERE assigned.tenant = platform.current_tenant()
              AND assigned.principal = platform.current_principal()
              AND assigned.role = 'admin'
        ),
        false
    );

COMMENT ON FUNCTION nexus.administers IS
    'Whether the transaction''s caller is an administrator of its tenant, or the platform itself.';

CREATE FUNCTION nexus.operates() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(platform.current_tenant() IN ('public', '*') AND nexus.administers(), false);

COMMENT ON FUNCTION nexus.operates IS
    'Whether the caller may make tenants: administrators of the platform''s own tenant, public, may.';

ALTER TABLE nexus.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.users FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.role_assignments ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.role_assignments FORCE ROW LEVEL SECURITY;

-- Subqueries in parentheses are run once per statement, not once per row.
CREATE POLICY tenant_isolation ON nexus.tenants
    USING (platform.sees(id) OR (SELECT nexus.operates()))
    WITH CHECK ((SELECT nexus.operates()));

-- Restrictive: whatever other policies allow, a row of another tenant stays out of reach.
CREATE POLICY tenant_isolation ON nexus.users AS RESTRICTIVE
    USING (platform.sees(tenant))
    WITH CHECK (platform.sees(tenant));

CREATE POLICY user_isolation ON nexus.users
    USING (id = (SELECT nexus.current_user_id()) OR (SELECT nexus.administers()))
    WITH CHECK (id = (SELECT nexus.current_user_id()) OR (SELECT nexus.administers()));

-- nexus.administers() reads this table, so reading it must not ask nexus.administers().
CREATE POLICY tenant_isolation ON nexus.role_assignments FOR SELECT
    USING (platform.sees(tenant));

CREATE POLICY assigned_by_administrators ON nexus.role_assignments FOR INSERT
    WITH CHECK (platform.sees(tenant) AND (SELECT nexus.administers()));

CREATE POLICY revoked_by_administrators ON nexus.role_assignments FOR DELETE
    USING (platform.sees(tenant) AND (SELECT nexus.administers()));
