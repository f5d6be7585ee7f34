-- name: put
-- A new function is as old as its last change, to the microsecond.
INSERT INTO lake.functions (name, dataset, definition, created_at, updated_at)
VALUES (%(name)s, %(dataset)s, %(definition)s, statement_timestamp(), statement_timestamp())
ON CONFLICT (tenant, name) DO UPDATE
SET dataset = excluded.dataset, definition = excluded.definition,
    updated_by = platform.current_principal(), updated_at = clock_timestamp()
RETURNING name, definition, created_by, created_at, updated_by, updated_at

-- name: find
SELECT name, definition, created_by, created_at, updated_by, updated_at
FROM lake.functions
WHERE name = %(name)s

-- name: list
SELECT name, definition, created_by, created_at, updated_by, updated_at
FROM lake.functions
WHERE name > %(after)s AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
ORDER BY name
LIMIT %(limit)s

-- name: delete
DELETE FROM lake.functions WHERE name = %(name)s
