-- name: claim
INSERT INTO platform.idempotency (operation, key, digest)
VALUES (%(operation)s, %(key)s, %(digest)s)
ON CONFLICT DO NOTHING

-- name: find
SELECT digest, answer FROM platform.idempotency
WHERE tenant = platform.current_tenant() AND principal = platform.current_principal()
  AND operation = %(operation)s AND key = %(key)s

-- name: answer
UPDATE platform.idempotency SET answer = %(answer)s
WHERE tenant = platform.current_tenant() AND principal = platform.current_principal()
  AND operation = %(operation)s AND key = %(key)s

-- name: purge
DELETE FROM platform.idempotency WHERE created_at < clock_timestamp() - interval '1 day'
