-- name: lock_owner
SELECT pg_advisory_xact_lock(hashtextextended('nexus.api_keys ' || %(owner)s, 0))

-- name: count_live
SELECT count(*)
FROM nexus.api_keys
WHERE owner = %(owner)s
  AND revoked_at IS NULL
  AND replaced_by IS NULL
  AND expires_at > clock_timestamp()

-- name: insert
INSERT INTO nexus.api_keys (id, name, secret_hash, scopes, lifetime, expires_at)
VALUES (%(id)s, %(name)s, %(secret_hash)s, %(scopes)s, %(lifetime)s, clock_timestamp() + %(lifetime)s)
RETURNING id, tenant, owner, name, scopes, created_at, expires_at, last_used_at, replaced_by, revoked_at

-- name: find
SELECT id, tenant, owner, name, scopes, created_at, expires_at, last_used_at, replaced_by, revoked_at
FROM nexus.api_keys
WHERE id = %(id)s

-- name: find_to_rotate
SELECT id, scopes, name, lifetime, replaced_by,
       revoked_at IS NULL AND expires_at > clock_timestamp() AS live
FROM nexus.api_keys
WHERE id = %(id)s AND owner = %(owner)s
FOR UPDATE

-- name: find_presented
SELECT tenant, owner, secret_hash, scopes, expires_at,
       revoked_at IS NULL AND expires_at > clock_timestamp() AS live,
       last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS stale
FROM nexus.api_keys
WHERE id = %(id)s

-- name: touch
UPDATE nexus.api_keys
SET last_used_at = clock_timestamp()
WHERE id = (
    SELECT id
    FROM nexus.api_keys
    WHERE id = %(id)s
      AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
    FOR UPDATE SKIP LOCKED
)

-- name: list
SELECT id, tenant, owner, name, scopes, created_at, expires_at, last_used_at, replaced_by, revoked_at
FROM nexus.api_keys
WHERE id COLLATE "C" > %(after)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)
ORDER BY id COLLATE "C"
LIMIT %(limit)s

-- name: replace
UPDATE nexus.api_keys
SET replaced_by = %(successor)s,
    expires_at = least(expires_at, clock_timestamp() + %(overlap)s)
WHERE id = %(id)s

-- name: revoke
UPDATE nexus.api_keys
SET revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE id = %(id)s
