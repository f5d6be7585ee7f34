-- Files on their way into a dataset: uploaded by the caller, loaded in chunks, each with its place in one transaction.

CREATE TABLE lake.jobs (
    id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant         text        NOT NULL DEFAULT platform.current_tenant(),
    dataset_id     uuid        NOT NULL REFERENCES lake.datasets ON DELETE CASCADE,
    dataset        text        NOT NULL,
    caller         jsonb       NOT NULL,
    media_type     text        NOT NULL,
    compressed     boolean     NOT NULL,
    on_conflict    text        NOT NULL,
    announced      text,
    state          text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    same_as        uuid        REFERENCES lake.jobs ON DELETE CASCADE,
    holder         uuid,
    held_until     timestamptz,
    attempts       integer     NOT NULL DEFAULT 0,
    object_version text,
    bytes_total    bigint,
    digest         text,
    layout         jsonb,
    position       bigint      NOT NULL DEFAULT 0,
    bytes_done     bigint      NOT NULL DEFAULT 0,
    rows_read      bigint      NOT NULL DEFAULT 0,
    inserted       bigint      NOT NULL DEFAULT 0,
    updated        bigint      NOT NULL DEFAULT 0,
    skipped        bigint      NOT NULL DEFAULT 0,
    quarantined    bigint      NOT NULL DEFAULT 0,
    reasons        jsonb       NOT NULL DEFAULT '{}',
    problem        jsonb,
    created_by     text        NOT NULL DEFAULT platform.current_principal(),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at     timestamptz NOT NULL,
    finished_at    timestamptz
);

COMMENT ON COLUMN lake.jobs.caller IS 'In whose name the rows are stored: who asked for the upload.';
COMMENT ON COLUMN lake.jobs.announced IS 'SHA-256 that the caller said the file has, in hexadecimal digits.';
COMMENT ON COLUMN lake.jobs.same_as IS 'The job that loaded the same file before: this one has no effect of its own.';
COMMENT ON COLUMN lake.jobs.holder IS 'Who works at it until `held_until`; only he may store rows of it.';
COMMENT ON COLUMN lake.jobs.attempts IS 'How often it was begun since its last chunk was stored.';
COMMENT ON COLUMN lake.jobs.layout IS 'Of CSV: delimiter, quote and the names in the header.';
COMMENT ON COLUMN lake.jobs.position IS 'Bytes of the file, unpacked, that are stored: where the next chunk begins.';
COMMENT ON COLUMN lake.jobs.bytes_done IS 'Bytes of the file as it was uploaded that have been read.';
COMMENT ON COLUMN lake.jobs.expires_at IS 'Until when an upload may begin.';

-- Two uploads of one file make one effect. A job that failed does not stand in the way of another.
CREATE UNIQUE INDEX jobs_one_effect ON lake.jobs (dataset_id, digest, media_type, compressed, on_conflict)
    WHERE same_as IS NULL AND digest IS NOT NULL AND state <> 'failed';
CREATE INDEX jobs_unfinished ON lake.jobs (created_at) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_same ON lake.jobs (same_as) WHERE same_as IS NOT NULL;

ALTER TABLE lake.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE lake.jobs FORCE ROW LEVEL SECURITY;

-- The platform sees all: it starts jobs of every tenant.
CREATE POLICY tenant_isolation ON lake.jobs
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
