-- name: insert_dataset
INSERT INTO lake.datasets (name, description, columns, key, table_name, owner)
VALUES (%(name)s, %(description)s, %(columns)s, %(key)s, %(table_name)s, %(owner)s)
RETURNING name, description, version, columns, key, table_name, owner, created_at, updated_at

-- name: find_dataset
SELECT name, description, version, columns, key, table_name, owner, created_at, updated_at
FROM lake.datasets
WHERE name = %(name)s

-- name: list_datasets
SELECT name, description, version, columns, key, table_name, owner, created_at, updated_at
FROM lake.datasets
WHERE name > %(after)s
ORDER BY name
LIMIT %(limit)s
