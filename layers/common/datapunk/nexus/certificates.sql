-- name: insert_certificate
INSERT INTO nexus.certificates (serial, tenant, service, not_before, not_after)
VALUES (%(serial)s, %(tenant)s, %(service)s, %(not_before)s, %(not_after)s)

-- name: is_good
SELECT revoked_at IS NULL AS good
FROM nexus.certificates
WHERE serial = %(serial)s AND tenant = %(tenant)s AND service = %(service)s

-- name: revoke_certificate
UPDATE nexus.certificates
SET revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE serial = %(serial)s AND tenant = %(tenant)s

-- name: purge_certificates
DELETE FROM nexus.certificates
WHERE not_after < clock_timestamp() - interval '1 day'
