-- name: administers
SELECT nexus.administers()

-- name: roles_of
SELECT role
FROM nexus.role_assignments
WHERE principal = %(principal)s
  AND tenant = %(tenant)s
ORDER BY role

-- name: has_user
SELECT EXISTS (SELECT FROM nexus.users WHERE id = %(user)s::uuid AND tenant = %(tenant)s)

-- name: assign
INSERT INTO nexus.role_assignments (tenant, principal, role)
VALUES (%(tenant)s, %(principal)s, %(role)s)
ON CONFLICT DO NOTHING

-- name: find
SELECT principal, role, created_at
FROM nexus.role_assignments
WHERE tenant = %(tenant)s
  AND principal = %(principal)s
  AND role = %(role)s

-- name: revoke
DELETE FROM nexus.role_assignments
WHERE tenant = %(tenant)s
  AND principal = %(principal)s
  AND role = %(role)s

-- name: lock_administrators
SELECT pg_advisory_xact_lock(hashtextextended('nexus.administrators ' || %(tenant)s, 0))

-- name: count_administrators
SELECT bool_or(assigned.principal = %(principal)s) AS himself,
       count(*) FILTER (WHERE assigned.principal <> %(principal)s) AS others
FROM nexus.role_assignments AS assigned
LEFT JOIN nexus.users AS users ON assigned.principal = 'user:' || users.id
WHERE assigned.tenant = %(tenant)s
  AND assigned.role = 'admin'
  AND users.disabled_at IS NULL
