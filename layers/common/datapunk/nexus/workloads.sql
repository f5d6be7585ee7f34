-- name: put_workload
INSERT INTO nexus.workloads (tenant, service, scopes, role_arn, secret_hash)
VALUES (%(tenant)s, %(service)s, %(scopes)s, %(role_arn)s, %(secret_hash)s)
ON CONFLICT (tenant, service) DO UPDATE
SET scopes = excluded.scopes,
    role_arn = excluded.role_arn,
    secret_hash = excluded.secret_hash,
    updated_at = clock_timestamp()
RETURNING tenant, service, scopes, role_arn, secret_hash, created_at, updated_at

-- name: find_workload
SELECT tenant, service, scopes, role_arn, secret_hash, created_at, updated_at
FROM nexus.workloads
WHERE tenant = %(tenant)s AND service = %(service)s
