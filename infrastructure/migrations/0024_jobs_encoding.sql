-- Files come compressed in more than one way.

ALTER TABLE lake.jobs ADD COLUMN encoding text CHECK (encoding IN ('gzip', 'zstd'));
UPDATE lake.jobs SET encoding = 'gzip' WHERE compressed;

DROP INDEX lake.jobs_one_effect;
ALTER TABLE lake.jobs DROP COLUMN compressed;
CREATE UNIQUE INDEX jobs_one_effect ON lake.jobs (dataset_id, digest, media_type, encoding, on_error, on_conflict)
    NULLS NOT DISTINCT WHERE same_as IS NULL AND digest IS NOT NULL AND state <> 'failed';
