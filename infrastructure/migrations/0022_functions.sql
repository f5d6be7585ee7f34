-- Functions that users register: named queries of a dataset with parameters, never SQL.

CREATE TABLE lake.functions (
    tenant     text        NOT NULL DEFAULT platform.current_tenant(),
    name       text        NOT NULL,
    dataset    text        NOT NULL,
    definition jsonb       NOT NULL,
    created_by text        NOT NULL DEFAULT platform.current_principal(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by text        NOT NULL DEFAULT platform.current_principal(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, name)
);

COMMENT ON COLUMN lake.functions.dataset IS
    'By name: a function outlives its dataset, and a new one of the name takes the place of the old.';

ALTER TABLE lake.functions ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.functions FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON lake.functions
    USING (tenant = platform.current_tenant())
    WITH CHECK (tenant = platform.current_tenant());
