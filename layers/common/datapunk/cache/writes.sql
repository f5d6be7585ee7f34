-- name: stage
-- The version grows with every write of a key, whatever the writers' clocks say: they wait for each other here.
INSERT INTO platform.cache_writes AS known (namespace, tenant, key, version, value, cause)
VALUES (%(namespace)s, %(tenant)s, %(key)s, %(version)s, %(value)s, %(cause)s)
ON CONFLICT (namespace, tenant, key) DO UPDATE
    SET version = greatest(excluded.version, known.version + 1), value = excluded.value,
        cause = excluded.cause, pending = true, written_at = clock_timestamp()
RETURNING version

-- name: find_version
SELECT version FROM platform.cache_writes
WHERE namespace = %(namespace)s AND tenant = %(tenant)s AND key = %(key)s

-- name: forgive_loss
-- A note lost in a crash of the server only means that a value is brought to Redis once more.
SET LOCAL synchronous_commit TO off

-- name: settle
UPDATE platform.cache_writes SET pending = false, value = NULL
WHERE namespace = %(namespace)s AND tenant = %(tenant)s AND key = %(key)s AND version = %(version)s

-- name: find_pending
SELECT namespace, tenant, key, version, value, cause,
       extract(epoch FROM clock_timestamp() - written_at)::float AS seconds
FROM platform.cache_writes
WHERE pending
ORDER BY written_at
LIMIT %(limit)s

-- name: count_pending
SELECT count(*) FROM platform.cache_writes WHERE pending

-- name: purge
DELETE FROM platform.cache_writes
WHERE NOT pending AND written_at < clock_timestamp() - make_interval(secs => %(seconds)s)

-- name: add_heat
INSERT INTO platform.cache_heat AS known (namespace, tenant, key, heat)
VALUES (%(namespace)s, %(tenant)s, %(key)s, %(heat)s)
ON CONFLICT (namespace, tenant, key) DO UPDATE SET heat = known.heat + excluded.heat

-- name: cool
UPDATE platform.cache_heat SET heat = heat / 2 WHERE namespace = %(namespace)s

-- name: forget_cold
DELETE FROM platform.cache_heat WHERE namespace = %(namespace)s AND heat < 0.05

-- name: find_hot
SELECT tenant, key FROM platform.cache_heat
WHERE namespace = %(namespace)s
ORDER BY heat DESC, tenant, key
LIMIT %(limit)s
