-- Uploads that are stored whole or not at all, besides those whose rows that do not fit go into quarantine.

ALTER TABLE lake.jobs ADD COLUMN on_error text NOT NULL DEFAULT 'quarantine' CHECK (on_error IN ('quarantine', 'reject'));

DROP INDEX lake.jobs_one_effect;
CREATE UNIQUE INDEX jobs_one_effect ON lake.jobs (dataset_id, digest, media_type, compressed, on_error, on_conflict)
    WHERE same_as IS NULL AND digest IS NOT NULL AND state <> 'failed';
