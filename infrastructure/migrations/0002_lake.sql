-- The lake's catalogue, and the schema its datasets' tables live in.
--
-- Dataset tables belong to lake_owner. The login role reads and changes them under row-level security;
-- only definition changes and bulk loads (PostgreSQL allows no COPY under row-level security) act as
-- lake_owner, on a table found under row-level security in the catalogue.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lake_owner') THEN
        CREATE ROLE lake_owner NOLOGIN;
        EXECUTE format('GRANT lake_owner TO %I WITH INHERIT FALSE, SET TRUE', session_user);
    END IF;
END
$$;

CREATE SCHEMA lake;

CREATE TABLE lake.datasets (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant      text        NOT NULL DEFAULT platform.current_tenant(),
    name        text        NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    description text        NOT NULL DEFAULT '',
    version     integer     NOT NULL DEFAULT 1,
    columns     jsonb       NOT NULL,
    key         text[]      NOT NULL DEFAULT '{}',
    table_name  text        NOT NULL UNIQUE,
    owner       text        NOT NULL DEFAULT platform.current_principal(),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, name)
);

ALTER TABLE lake.datasets ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.datasets FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON lake.datasets
    USING (tenant = platform.current_tenant())
    WITH CHECK (tenant = platform.current_tenant());

CREATE SCHEMA lake_data AUTHORIZATION lake_owner;
GRANT USAGE ON SCHEMA platform TO lake_owner;

SET LOCAL ROLE lake_owner;
GRANT USAGE ON SCHEMA lake_data TO SESSION_USER;
ALTER DEFAULT PRIVILEGES IN SCHEMA lake_data
    GRANT SELECT, UPDATE, DELETE ON TABLES TO SESSION_USER;
RESET ROLE;
