-- Rules of quality that are measured over the rows of a dataset, and every measurement.

CREATE TABLE lake.quality_rules (
    dataset_id  uuid        PRIMARY KEY REFERENCES lake.datasets ON DELETE CASCADE,
    tenant      text        NOT NULL DEFAULT platform.current_tenant(),
    dataset     text        NOT NULL,
    rules       jsonb       NOT NULL,
    updated_by  text        NOT NULL DEFAULT platform.current_principal(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    measured_at timestamptz
);

COMMENT ON COLUMN lake.quality_rules.measured_at IS
    'When the schedule last took the dataset up, whatever came of it: who waits longest comes first.';

CREATE TABLE lake.quality_results (
    id          uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant      text             NOT NULL DEFAULT platform.current_tenant(),
    dataset_id  uuid             NOT NULL REFERENCES lake.datasets ON DELETE CASCADE,
    run         uuid             NOT NULL,
    version     integer          NOT NULL,
    check_type  text             NOT NULL,
    score       double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    rows        bigint           NOT NULL CHECK (rows >= 0),
    rules       jsonb            NOT NULL,
    measured_by text             NOT NULL DEFAULT platform.current_principal(),
    measured_at timestamptz      NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN lake.quality_results.score IS
    'The share of rows that pass every rule of the type; of freshness and distribution the least of a rule.';
COMMENT ON COLUMN lake.quality_results.rules IS 'What came of each rule of the type.';

CREATE INDEX quality_results_listed ON lake.quality_results (dataset_id, measured_at, id);
CREATE INDEX quality_results_newest ON lake.quality_results (dataset_id, check_type, measured_at);
CREATE INDEX quality_results_age ON lake.quality_results (measured_at);

ALTER TABLE lake.quality_rules ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.quality_rules FORCE ROW LEVEL SECURITY;
ALTER TABLE lake.quality_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.quality_results FORCE ROW LEVEL SECURITY;

-- The platform sees all: it measures every tenant's datasets in turn, and forgets what is old.
CREATE POLICY tenant_isolation ON lake.quality_rules
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
CREATE POLICY tenant_isolation ON lake.quality_results
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
