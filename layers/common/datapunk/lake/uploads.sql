-- name: create
INSERT INTO lake.jobs (id, dataset_id, dataset, caller, media_type, compressed, encoding, on_error, on_conflict,
                       announced, expires_at)
VALUES (
    %(id)s, %(dataset_id)s, %(dataset)s, %(caller)s, %(media_type)s, %(encoding)s::text IS NOT NULL,
    %(encoding)s, %(on_error)s, %(on_conflict)s, %(announced)s,
    clock_timestamp() + make_interval(secs => %(seconds)s)
)
RETURNING expires_at

-- name: find
-- Of a file that was loaded before: what that job has done, under the id of this one.
SELECT own.id, own.dataset, own.media_type, own.on_error, own.on_conflict, own.same_as,
       coalesce(own.encoding, CASE WHEN own.compressed THEN 'gzip' END) AS encoding,
       own.created_by, own.created_at, own.expires_at, own.digest, own.bytes_total, done.state, done.bytes_done, done.rows_read,
       done.inserted, done.updated, done.skipped, done.quarantined, done.reasons, done.problem, done.finished_at,
       CASE WHEN done.quarantined > 0 THEN done.id END AS batch
FROM lake.jobs AS own
JOIN lake.jobs AS done ON done.id = coalesce(own.same_as, own.id)
WHERE own.id = %(id)s

-- name: claim
UPDATE lake.jobs
SET state = 'running',
    holder = %(holder)s,
    held_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    attempts = attempts + 1
WHERE id = %(id)s AND (state = 'waiting' OR state = 'running' AND held_until < clock_timestamp())
RETURNING id, dataset_id, dataset, caller, media_type,
          coalesce(encoding, CASE WHEN compressed THEN 'gzip' END) AS encoding,
          on_error, on_conflict, announced, attempts,
          object_version, bytes_total, digest, layout, position, rows_read, quarantined,
          expires_at + interval '1 hour' < clock_timestamp() AS expired

-- name: renew
UPDATE lake.jobs
SET held_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    object_version = %(object_version)s,
    bytes_total = %(bytes_total)s
WHERE id = %(id)s AND holder = %(holder)s AND state = 'running'

-- name: tell
UPDATE lake.jobs
SET held_until = clock_timestamp() + make_interval(secs => %(seconds)s), bytes_done = %(bytes_done)s
WHERE id = %(id)s AND holder = %(holder)s AND state = 'running'

-- name: hold
SELECT id FROM lake.jobs WHERE id = %(id)s AND holder = %(holder)s AND state = 'running' FOR UPDATE

-- name: digest
UPDATE lake.jobs SET digest = %(digest)s WHERE id = %(id)s

-- name: same
SELECT id
FROM lake.jobs
WHERE dataset_id = %(dataset_id)s AND digest = %(digest)s AND media_type = %(media_type)s
  AND compressed = (%(encoding)s::text IS NOT NULL) AND on_error = %(on_error)s
  AND on_conflict = %(on_conflict)s AND same_as IS NULL AND state <> 'failed'

-- name: point
UPDATE lake.jobs
SET state = 'done', same_as = %(same_as)s, digest = %(digest)s, holder = NULL, held_until = NULL,
    finished_at = clock_timestamp()
WHERE id = %(id)s

-- name: advance
UPDATE lake.jobs
SET layout = %(layout)s,
    position = %(position)s,
    bytes_done = %(bytes_done)s,
    rows_read = rows_read + %(rows_read)s,
    inserted = inserted + %(inserted)s,
    updated = updated + %(updated)s,
    skipped = skipped + %(skipped)s,
    quarantined = quarantined + %(quarantined)s,
    reasons = (
        SELECT coalesce(jsonb_object_agg(rule, total), '{}')
        FROM (
            SELECT key AS rule, sum(value::bigint) AS total
            FROM (
                SELECT key, value FROM jsonb_each_text(reasons)
                UNION ALL
                SELECT key, value FROM jsonb_each_text(%(reasons)s::jsonb)
            ) AS both_parts
            GROUP BY key
        ) AS totals
    ),
    attempts = 0,
    state = CASE WHEN %(ended)s THEN 'done' ELSE state END,
    finished_at = CASE WHEN %(ended)s THEN clock_timestamp() END,
    holder = CASE WHEN NOT %(ended)s THEN holder END,
    held_until = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(id)s

-- name: release
UPDATE lake.jobs
SET state = CASE WHEN %(waiting)s THEN 'waiting' ELSE state END,
    attempts = CASE WHEN %(waiting)s THEN 0 ELSE attempts END,
    holder = NULL,
    held_until = clock_timestamp() - interval '1 second'
WHERE id = %(id)s AND holder = %(holder)s AND state = 'running'

-- name: fail
UPDATE lake.jobs
SET state = 'failed', problem = %(problem)s, holder = NULL, held_until = NULL, finished_at = clock_timestamp()
WHERE id = %(id)s AND holder = %(holder)s AND state = 'running'

-- name: overdue
SELECT id
FROM lake.jobs
WHERE state = 'waiting' AND created_at < clock_timestamp() - interval '5 minutes'
   OR state = 'running' AND held_until < clock_timestamp()
ORDER BY created_at
LIMIT %(limit)s

-- name: forget
DELETE FROM lake.jobs WHERE finished_at < clock_timestamp() - interval '30 days'
