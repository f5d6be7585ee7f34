-- name: epoch
SELECT coalesce((SELECT epoch FROM nexus.route_epoch), 0)

-- name: advance
-- A time and no count: a database restored from a backup must not come by a number that somebody remembers.
INSERT INTO nexus.route_epoch (epoch)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
ON CONFLICT (single) DO UPDATE SET epoch = greatest(route_epoch.epoch + 1, excluded.epoch)
RETURNING epoch

-- name: find
SELECT name, version, rule, changed_at, changed_by
FROM nexus.routes
WHERE name = %(name)s

-- name: list
SELECT name, version, rule, changed_at, changed_by
FROM nexus.routes
WHERE rule IS NOT NULL
  AND name COLLATE "C" > %(after)s
  AND (%(service)s::text IS NULL OR service = %(service)s)
ORDER BY name COLLATE "C"
LIMIT %(limit)s

-- name: all
SELECT name, version, rule, changed_at, changed_by
FROM nexus.routes
WHERE rule IS NOT NULL

-- name: save
INSERT INTO nexus.routes (name, version, rule)
VALUES (%(name)s, 1, %(rule)s)
ON CONFLICT (name) DO UPDATE
SET version = routes.version + 1,
    rule = excluded.rule,
    changed_at = excluded.changed_at,
    changed_by = excluded.changed_by
RETURNING name, version, rule, changed_at, changed_by

-- name: keep
INSERT INTO nexus.route_versions (name, version, rule, changed_at, changed_by)
SELECT name, version, rule, changed_at, changed_by
FROM nexus.routes
WHERE name = %(name)s

-- name: version
SELECT version, rule, changed_at, changed_by
FROM nexus.route_versions
WHERE name = %(name)s AND version = %(version)s

-- name: versions
SELECT version, rule, changed_at, changed_by
FROM nexus.route_versions
WHERE name = %(name)s AND version < %(before)s
ORDER BY version DESC
LIMIT %(limit)s
