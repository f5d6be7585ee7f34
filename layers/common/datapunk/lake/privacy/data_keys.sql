-- name: of_tenant
SELECT id, kind, wrapped, created_at > clock_timestamp() - make_interval(secs => %(age)s) AS fresh
FROM lake.data_keys
WHERE tenant = %(tenant)s AND kind <> 'person'
ORDER BY id

-- name: insert
INSERT INTO lake.data_keys (tenant, kind, wrapped)
VALUES (%(tenant)s, %(kind)s, %(wrapped)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: of_persons
SELECT id, subject, wrapped, wrapped_by
FROM lake.data_keys
WHERE tenant = %(tenant)s AND kind = 'person' AND subject = ANY(%(subjects)s) AND wrapped IS NOT NULL
  AND created_at > clock_timestamp() - make_interval(secs => %(age)s)
ORDER BY id
FOR SHARE

-- name: insert_persons
INSERT INTO lake.data_keys (tenant, kind, subject, wrapped, wrapped_by)
SELECT %(tenant)s, 'person', given.subject, given.wrapped, %(wrapped_by)s
FROM unnest(%(subjects)s::bytea[], %(wrapped)s::bytea[]) AS given(subject, wrapped)
RETURNING id, subject

-- name: by_id
SELECT id, kind, subject, wrapped, wrapped_by
FROM lake.data_keys
WHERE tenant = %(tenant)s AND id = ANY(%(ids)s)

-- name: erase
UPDATE lake.data_keys
SET wrapped = NULL, wrapped_by = NULL, erased_at = clock_timestamp()
WHERE tenant = %(tenant)s AND kind = 'person' AND subject = %(subject)s AND wrapped IS NOT NULL
RETURNING id

-- name: tenants
SELECT DISTINCT tenant FROM lake.data_keys ORDER BY tenant

-- name: stale_persons
SELECT id, subject, wrapped, wrapped_by
FROM lake.data_keys
WHERE tenant = %(tenant)s AND kind = 'person' AND wrapped IS NOT NULL AND wrapped_by <> %(newest)s
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: stale_wrapped
SELECT id, kind, wrapped
FROM lake.data_keys
WHERE tenant = %(tenant)s AND kind <> 'person'
  AND wrapped_at < clock_timestamp() - make_interval(secs => %(age)s)
ORDER BY id
FOR UPDATE SKIP LOCKED

-- name: rewrap
UPDATE lake.data_keys
SET wrapped = given.wrapped, wrapped_by = %(wrapped_by)s, wrapped_at = clock_timestamp()
FROM unnest(%(ids)s::bigint[], %(wrapped)s::bytea[]) AS given(id, wrapped)
WHERE data_keys.id = given.id
