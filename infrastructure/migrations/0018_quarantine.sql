-- Rows that did not fit their dataset, kept whole until somebody corrects, releases or discards them.

CREATE TABLE lake.quarantine (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant          text        NOT NULL DEFAULT platform.current_tenant(),
    dataset_id      uuid        NOT NULL REFERENCES lake.datasets ON DELETE CASCADE,
    dataset         text        NOT NULL,
    version         integer     NOT NULL,
    batch           uuid        NOT NULL,
    position        bigint      NOT NULL CHECK (position > 0),
    media_type      text        NOT NULL,
    content         text,
    sealed          bytea,
    data_key        bigint      REFERENCES lake.data_keys,
    rule            text        NOT NULL,
    reason          text        NOT NULL,
    errors          jsonb       NOT NULL,
    corrected_by    text,
    corrected_at    timestamptz,
    quarantined_by  text        NOT NULL DEFAULT platform.current_principal(),
    quarantined_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    escalated_at    timestamptz,
    CHECK ((content IS NULL) <> (sealed IS NULL)),
    CHECK ((sealed IS NULL) = (data_key IS NULL))
);

COMMENT ON COLUMN lake.quarantine.content IS
    'The row as JSON, exactly as it was sent; of CSV an object of texts, of a line that is no JSON a text.';
COMMENT ON COLUMN lake.quarantine.sealed IS
    'The same, encrypted by the data key: where the dataset has encrypted columns or is about persons.';
COMMENT ON COLUMN lake.quarantine.position IS 'Number of the row in the request''s body, from 1.';
COMMENT ON COLUMN lake.quarantine.batch IS 'What the rows of one request have in common.';

CREATE INDEX quarantine_listed ON lake.quarantine (dataset_id, quarantined_at, id);
CREATE INDEX quarantine_of_person ON lake.quarantine (data_key) WHERE data_key IS NOT NULL;
CREATE INDEX quarantine_waiting ON lake.quarantine (quarantined_at) WHERE escalated_at IS NULL;

ALTER TABLE lake.quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.quarantine FORCE ROW LEVEL SECURITY;

-- The platform sees all: it tells every tenant of rows that have waited too long.
CREATE POLICY tenant_isolation ON lake.quarantine
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
