-- How long a dataset keeps rows in its table, the months that went to storage, and who was erased meanwhile.

ALTER TABLE lake.datasets ADD COLUMN retention_months integer CHECK (retention_months BETWEEN 1 AND 1200);

COMMENT ON COLUMN lake.datasets.retention_months IS
    'Months after which a month of rows goes to storage; null: rows are kept in the table for ever.';

-- The schedule looks for datasets of every tenant that something may be done for, and sees no others.
CREATE POLICY retained ON lake.datasets FOR SELECT
    USING (retention_months IS NOT NULL AND platform.sees('*'));

-- A row outlives its dataset until the objects are removed.
CREATE TABLE lake.archives (
    id             uuid        PRIMARY KEY,
    tenant         text        NOT NULL DEFAULT platform.current_tenant(),
    dataset_id     uuid        REFERENCES lake.datasets ON DELETE SET NULL,
    dataset        text        NOT NULL,
    month          date        NOT NULL,
    state          text        NOT NULL DEFAULT 'writing'
        CHECK (state IN ('writing', 'archived', 'restored', 'removed')),
    version        integer     NOT NULL,
    rows           bigint,
    bytes          bigint,
    sha256         text,
    first_event    timestamptz,
    last_event     timestamptz,
    columns        jsonb       NOT NULL,
    begun_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    archived_at    timestamptz,
    restored_at    timestamptz,
    restored_rows  bigint,
    left_alone     bigint,
    CHECK (state IN ('writing', 'removed') OR (rows IS NOT NULL AND sha256 IS NOT NULL AND archived_at IS NOT NULL)),
    CHECK ((state = 'restored') <= (restored_at IS NOT NULL))
);

COMMENT ON TABLE lake.archives IS 'Months of rows that are, or were, in storage in place of the table.';
COMMENT ON COLUMN lake.archives.state IS
    'writing: the table has the rows still. removed: the object is going to be, nobody needs it.';
COMMENT ON COLUMN lake.archives.columns IS 'The columns of the file, as its manifest has them.';
COMMENT ON COLUMN lake.archives.left_alone IS 'Rows that a restoration left out since the table had their key.';

CREATE INDEX archives_of_dataset ON lake.archives (dataset_id, month, id);
CREATE INDEX archives_unfinished ON lake.archives (begun_at) WHERE state IN ('writing', 'removed') OR dataset_id IS NULL;

CREATE TABLE lake.erasures (
    tenant     text        NOT NULL DEFAULT platform.current_tenant(),
    subject    bytea       NOT NULL,
    erased_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, subject)
);

COMMENT ON TABLE lake.erasures IS
    'Who was erased, as a digest under the tenant''s index key: what archives say of them does not come back.';

ALTER TABLE lake.archives ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.archives FORCE ROW LEVEL SECURITY;
ALTER TABLE lake.erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.erasures FORCE ROW LEVEL SECURITY;

-- The platform sees all: its schedule archives months of every tenant.
CREATE POLICY tenant_isolation ON lake.archives
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
CREATE POLICY tenant_isolation ON lake.erasures
    USING (tenant = platform.current_tenant()) WITH CHECK (tenant = platform.current_tenant());
