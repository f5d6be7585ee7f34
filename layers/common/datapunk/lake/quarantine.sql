-- name: keep
INSERT INTO lake.quarantine (
    id, dataset_id, dataset, version, batch, position, media_type, content, sealed, data_key, rule, reason,
    errors
) VALUES (
    %(id)s, %(dataset_id)s, %(dataset)s, %(version)s, %(batch)s, %(position)s, %(media_type)s, %(content)s,
    %(sealed)s, %(data_key)s, %(rule)s, %(reason)s, %(errors)s
)

-- name: list
SELECT id, dataset, version, batch, position, media_type, content, sealed, data_key, rule, reason, errors,
       corrected_by, corrected_at, quarantined_by, quarantined_at
FROM lake.quarantine
WHERE dataset_id = %(dataset_id)s AND (quarantined_at, id) > (%(after)s, %(after_id)s)
  AND (%(batch)s::uuid IS NULL OR batch = %(batch)s) AND (%(rule)s::text IS NULL OR rule = %(rule)s)
ORDER BY quarantined_at, id
LIMIT %(limit)s

-- name: find
SELECT id, dataset, version, batch, position, media_type, content, sealed, data_key, rule, reason, errors,
       corrected_by, corrected_at, quarantined_by, quarantined_at
FROM lake.quarantine
WHERE dataset_id = %(dataset_id)s AND id = %(id)s

-- name: hold
SELECT id, dataset, version, batch, position, media_type, content, sealed, data_key, rule, reason, errors,
       corrected_by, corrected_at, quarantined_by, quarantined_at
FROM lake.quarantine
WHERE dataset_id = %(dataset_id)s AND id = %(id)s
FOR UPDATE

-- name: correct
UPDATE lake.quarantine
SET content = %(content)s, sealed = %(sealed)s, data_key = %(data_key)s, media_type = 'application/json',
    corrected_by = platform.current_principal(), corrected_at = clock_timestamp()
WHERE dataset_id = %(dataset_id)s AND id = %(id)s
RETURNING id, dataset, version, batch, position, media_type, content, sealed, data_key, rule, reason, errors,
          corrected_by, corrected_at, quarantined_by, quarantined_at

-- name: discard
DELETE FROM lake.quarantine WHERE dataset_id = %(dataset_id)s AND id = %(id)s

-- name: erase
DELETE FROM lake.quarantine WHERE data_key = ANY(%(data_keys)s)

-- name: overdue
WITH due AS (
    UPDATE lake.quarantine SET escalated_at = clock_timestamp()
    WHERE escalated_at IS NULL AND quarantined_at < clock_timestamp() - interval '24 hours'
    RETURNING tenant, dataset, quarantined_at
)
SELECT tenant, dataset, count(*) AS count, min(quarantined_at) AS oldest
FROM due
GROUP BY tenant, dataset
ORDER BY tenant, dataset

-- name: waiting
SELECT count(*) AS rows,
       coalesce(extract(epoch FROM clock_timestamp() - min(quarantined_at)), 0)::float8 AS seconds
FROM lake.quarantine
