-- Keys of encrypted columns, and whose rows a dataset holds.

ALTER TABLE lake.datasets ADD COLUMN subject text;

COMMENT ON COLUMN lake.datasets.subject IS
    'The column that names the person a row is about; null where rows are about nobody.';

CREATE TABLE lake.data_keys (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text        NOT NULL DEFAULT platform.current_tenant(),
    kind        text        NOT NULL CHECK (kind IN ('tenant', 'index', 'person')),
    subject     bytea,
    wrapped     bytea,
    wrapped_by  bigint      REFERENCES lake.data_keys,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    wrapped_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at   timestamptz,
    CHECK ((kind = 'person') = (subject IS NOT NULL)),
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL)),
    CHECK ((wrapped_by IS NOT NULL) = (kind = 'person' AND wrapped IS NOT NULL))
);

CREATE INDEX data_keys_subject ON lake.data_keys (tenant, subject) WHERE kind = 'person';
CREATE INDEX data_keys_wrapped_by ON lake.data_keys (wrapped_by);
CREATE INDEX data_keys_tenant ON lake.data_keys (tenant, kind) WHERE kind <> 'person';
CREATE UNIQUE INDEX data_keys_one_index ON lake.data_keys (tenant) WHERE kind = 'index';

COMMENT ON TABLE lake.data_keys IS
    'Data keys, each wrapped: those of persons by a key of their tenant, others by the key ring.';
COMMENT ON COLUMN lake.data_keys.subject IS
    'The person, as a digest under the tenant''s index key.';
COMMENT ON COLUMN lake.data_keys.erased_at IS
    'When the key was destroyed; what it encrypted is nowhere readable since.';

ALTER TABLE lake.data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.data_keys FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON lake.data_keys
    USING (platform.sees(tenant))
    WITH CHECK (platform.sees(tenant));
