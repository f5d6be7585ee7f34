-- What a dataset is declared with beyond its columns and its key, and every version of it.

ALTER TABLE lake.datasets
    ADD COLUMN unique_keys   jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN indexes       jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN links         jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN event_time    text,
    ADD COLUMN compatibility text  NOT NULL DEFAULT 'backward'
        CHECK (compatibility IN ('none', 'backward', 'forward', 'full'));

COMMENT ON COLUMN lake.datasets.links IS
    'References to other datasets of the tenant; each is a foreign key of the same name on the table.';
COMMENT ON COLUMN lake.datasets.event_time IS
    'The column whose months are the partitions of the table; null for a table that has none.';

CREATE TABLE lake.dataset_versions (
    tenant     text        NOT NULL DEFAULT platform.current_tenant(),
    dataset_id uuid        NOT NULL REFERENCES lake.datasets ON DELETE CASCADE,
    version    integer     NOT NULL CHECK (version > 0),
    definition jsonb       NOT NULL,
    changes    jsonb       NOT NULL DEFAULT '[]',
    changed_by text        NOT NULL DEFAULT platform.current_principal(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dataset_id, version)
);

COMMENT ON TABLE lake.dataset_versions IS
    'Every version of each dataset''s definition, and the changes that led to it.';

-- The versions there are, of every tenant: as the owner, whom the policies bind otherwise.
ALTER TABLE lake.datasets NO FORCE ROW LEVEL SECURITY;
INSERT INTO lake.dataset_versions (tenant, dataset_id, version, definition, changed_by, changed_at)
SELECT tenant, id, version,
       jsonb_build_object('description', description, 'columns', columns, 'key', key),
       owner, updated_at
FROM lake.datasets;
ALTER TABLE lake.datasets FORCE ROW LEVEL SECURITY;

ALTER TABLE lake.dataset_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.dataset_versions FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON lake.dataset_versions
    USING (tenant = platform.current_tenant())
    WITH CHECK (tenant = platform.current_tenant());
