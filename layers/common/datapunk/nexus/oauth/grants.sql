-- name: insert_grant
INSERT INTO nexus.oauth_grants
    (tenant, client_id, principal, session_id, scopes, auth_time, expires_at)
VALUES
    (%(tenant)s, %(client_id)s, %(principal)s, %(session_id)s, %(scopes)s, %(auth_time)s,
     clock_timestamp() + make_interval(secs => %(seconds)s))
RETURNING id::text

-- name: insert_code
INSERT INTO nexus.oauth_codes (hash, grant_id, redirect_uri, challenge, nonce, expires_at)
VALUES (%(hash)s, %(grant_id)s, %(redirect_uri)s, %(challenge)s, %(nonce)s,
        clock_timestamp() + make_interval(secs => %(seconds)s))

-- name: lock_code
SELECT g.id::text AS grant_id, g.tenant, g.client_id, g.principal, g.session_id, g.scopes, g.auth_time,
       c.redirect_uri, c.challenge, c.nonce, c.used_at IS NOT NULL AS used,
       c.expires_at > clock_timestamp() AND g.revoked_at IS NULL AS good
FROM nexus.oauth_codes AS c
JOIN nexus.oauth_grants AS g ON g.id = c.grant_id
WHERE c.hash = %(hash)s
FOR UPDATE

-- name: use_code
UPDATE nexus.oauth_codes SET used_at = clock_timestamp() WHERE hash = %(hash)s

-- name: insert_refresh_token
INSERT INTO nexus.oauth_refresh_tokens (hash, grant_id, expires_at)
SELECT %(hash)s, id, least(expires_at, clock_timestamp() + make_interval(secs => %(seconds)s))
FROM nexus.oauth_grants
WHERE id = %(grant_id)s

-- name: lock_refresh_token
SELECT g.id::text AS grant_id, g.tenant, g.client_id, g.principal, g.session_id, g.scopes, g.auth_time,
       t.used_at IS NOT NULL AS used, extract(epoch FROM t.expires_at)::bigint AS expires_at,
       t.expires_at > clock_timestamp() AND g.revoked_at IS NULL AS good
FROM nexus.oauth_refresh_tokens AS t
JOIN nexus.oauth_grants AS g ON g.id = t.grant_id
WHERE t.hash = %(hash)s
FOR UPDATE

-- name: use_refresh_token
UPDATE nexus.oauth_refresh_tokens SET used_at = clock_timestamp() WHERE hash = %(hash)s

-- name: revoke_grant
UPDATE nexus.oauth_grants SET revoked_at = clock_timestamp()
WHERE id = %(grant_id)s AND revoked_at IS NULL

-- name: grants_of_session
SELECT id::text FROM nexus.oauth_grants WHERE session_id = %(session_id)s AND revoked_at IS NULL

-- name: purge
DELETE FROM nexus.oauth_grants WHERE expires_at < clock_timestamp()
