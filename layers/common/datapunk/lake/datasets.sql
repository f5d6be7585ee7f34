-- name: insert_dataset
INSERT INTO lake.datasets (
    name, description, columns, key, unique_keys, indexes, links, event_time, subject, compatibility,
    retention_months, table_name, owner
) VALUES (
    %(name)s, %(description)s, %(columns)s, %(key)s, %(unique)s, %(indexes)s, %(references)s, %(event_time)s,
    %(subject)s, %(compatibility)s, %(retention_months)s, %(table_name)s, %(owner)s
)
RETURNING id, tenant, name, description, version, columns, key, unique_keys AS "unique", indexes,
          links AS "references", event_time, subject, compatibility, retention_months, table_name, owner,
          created_at, updated_at

-- name: find_dataset
SELECT id, tenant, name, description, version, columns, key, unique_keys AS "unique", indexes,
       links AS "references", event_time, subject, compatibility, retention_months, table_name, owner,
       created_at, updated_at
FROM lake.datasets
WHERE name = %(name)s

-- name: list_datasets
SELECT id, tenant, name, description, version, columns, key, unique_keys AS "unique", indexes,
       links AS "references", event_time, subject, compatibility, retention_months, table_name, owner,
       created_at, updated_at
FROM lake.datasets
WHERE name > %(after)s
ORDER BY name
LIMIT %(limit)s

-- name: referencing
SELECT id, tenant, name, description, version, columns, key, unique_keys AS "unique", indexes,
       links AS "references", event_time, subject, compatibility, retention_months, table_name, owner,
       created_at, updated_at
FROM lake.datasets
WHERE links @> jsonb_build_array(jsonb_build_object('dataset', %(name)s::text))
ORDER BY name

-- name: hold
SELECT pg_advisory_xact_lock_shared(hashtextextended('lake.dataset ' || %(tenant)s || ' ' || %(name)s, 0))

-- name: insert_version
INSERT INTO lake.dataset_versions (dataset_id, version, definition, changes)
VALUES (%(id)s, %(version)s, %(definition)s, %(changes)s)

-- name: hold_alone
SELECT pg_advisory_xact_lock(hashtextextended('lake.dataset ' || %(tenant)s || ' ' || %(name)s, 0))

-- name: update_dataset
UPDATE lake.datasets
SET description = %(description)s, version = %(version)s, columns = %(columns)s, key = %(key)s,
    unique_keys = %(unique)s, indexes = %(indexes)s, links = %(references)s, event_time = %(event_time)s,
    subject = %(subject)s, compatibility = %(compatibility)s, retention_months = %(retention_months)s,
    updated_at = clock_timestamp()
WHERE name = %(name)s
RETURNING id, tenant, name, description, version, columns, key, unique_keys AS "unique", indexes,
          links AS "references", event_time, subject, compatibility, retention_months, table_name, owner,
          created_at, updated_at

-- name: delete_dataset
DELETE FROM lake.datasets WHERE name = %(name)s

-- name: find_version
SELECT definition, changes, version, changed_by, changed_at
FROM lake.dataset_versions
WHERE dataset_id = %(id)s AND version = %(version)s

-- name: list_versions
SELECT definition, changes, version, changed_by, changed_at
FROM lake.dataset_versions
WHERE dataset_id = %(id)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s

-- name: unvalidated
SELECT conname AS name
FROM pg_constraint
WHERE conrelid = format('lake_data.%%I', %(table)s::text)::regclass AND contype = 'c' AND NOT convalidated
ORDER BY conname

-- name: with_subject
SELECT name FROM lake.datasets WHERE subject IS NOT NULL ORDER BY name

-- name: versions_since
SELECT definition, changes, version, changed_by, changed_at
FROM lake.dataset_versions
WHERE dataset_id = %(id)s AND version >= %(version)s
ORDER BY version
