-- name: operates
SELECT nexus.operates()

-- name: insert
INSERT INTO nexus.tenants (id, name)
VALUES (%(id)s, %(name)s)
RETURNING id, name, created_at, updated_at

-- name: list
SELECT id, name, created_at, updated_at
FROM nexus.tenants
WHERE id COLLATE "C" > %(after)s
ORDER BY id COLLATE "C"
LIMIT %(limit)s
