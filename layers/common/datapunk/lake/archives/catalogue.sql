-- name: due
SELECT tenant, name FROM lake.datasets WHERE retention_months IS NOT NULL ORDER BY tenant, name

-- name: months
-- Those that have a partition; the default one's are looked for by the rows.
SELECT to_date(right(child.relname, 6), 'YYYYMM') AS month
FROM pg_inherits AS inheritance JOIN pg_class AS child ON child.oid = inheritance.inhrelid
WHERE inheritance.inhparent = format('lake_data.%%I', %(table)s::text)::regclass
  AND child.relname ~ '_[0-9]{6}$' AND right(child.relname, 6) < to_char(%(before)s::date, 'YYYYMM')
ORDER BY 1

-- name: resting
SELECT DISTINCT month FROM lake.archives
WHERE dataset_id = %(dataset_id)s AND restored_at > clock_timestamp() - make_interval(days => %(days)s)

-- name: begin
INSERT INTO lake.archives (id, tenant, dataset_id, dataset, month, version, columns)
VALUES (%(id)s, %(tenant)s, %(dataset_id)s, %(dataset)s, %(month)s, %(version)s, %(columns)s)

-- name: superseded
-- What was restored whole is in the table, and so in the archive that is being made of it.
UPDATE lake.archives SET state = 'removed'
WHERE dataset_id = %(dataset_id)s AND month = %(month)s AND state = 'restored' AND left_alone = 0

-- name: finish
UPDATE lake.archives
SET state = 'archived', rows = %(rows)s, bytes = %(bytes)s, sha256 = %(sha256)s, first_event = %(first_event)s,
    last_event = %(last_event)s, archived_at = clock_timestamp()
WHERE id = %(id)s AND state = 'writing'

-- name: give_up
UPDATE lake.archives SET state = 'removed' WHERE id = ANY(%(ids)s) AND state = 'writing'

-- name: give_up_dead
UPDATE lake.archives SET state = 'removed'
WHERE state = 'writing' AND begun_at < clock_timestamp() - make_interval(secs => %(seconds)s)

-- name: outlived
SELECT id, tenant, dataset, month FROM lake.archives
WHERE state = 'removed' OR (dataset_id IS NULL AND state <> 'writing')
ORDER BY begun_at LIMIT %(limit)s

-- name: forget
DELETE FROM lake.archives WHERE id = %(id)s

-- name: list
SELECT id, tenant, dataset, month, state, version, rows, bytes, sha256, first_event, last_event, archived_at, restored_at,
       restored_rows, left_alone
FROM lake.archives
WHERE dataset_id = %(dataset_id)s AND state IN ('archived', 'restored') AND (month, id) < (%(month)s, %(id)s)
ORDER BY month DESC, id DESC
LIMIT %(limit)s

-- name: hold
SELECT id, tenant, dataset, month, state, version, rows, bytes, sha256, first_event, last_event, archived_at, restored_at,
       restored_rows, left_alone, columns
FROM lake.archives
WHERE id = %(id)s AND dataset_id = %(dataset_id)s AND state IN ('archived', 'restored')
FOR UPDATE

-- name: restored
UPDATE lake.archives
SET state = 'restored', restored_at = clock_timestamp(), restored_rows = %(restored)s, left_alone = %(left_alone)s
WHERE id = %(id)s

-- name: count
SELECT count(*) FROM lake.archives WHERE dataset_id = %(dataset_id)s AND state IN ('archived', 'restored')

-- name: erase_alone
SELECT pg_advisory_xact_lock(hashtextextended('lake.erasures ' || platform.current_tenant(), 0))

-- name: nobody_erases
SELECT pg_advisory_xact_lock_shared(hashtextextended('lake.erasures ' || platform.current_tenant(), 0))

-- name: erased
INSERT INTO lake.erasures (subject) SELECT unnest(%(subjects)s::bytea[])
ON CONFLICT (tenant, subject) DO UPDATE SET erased_at = clock_timestamp()

-- name: erased_since
SELECT subject FROM lake.erasures WHERE erased_at >= %(since)s
