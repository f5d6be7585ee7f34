-- name: insert
INSERT INTO nexus.users (tenant, email, email_verified, name, password_hash)
VALUES (%(tenant)s, %(email)s, %(email_verified)s, %(name)s, %(password_hash)s)
RETURNING id, email, name, created_at, updated_at

-- name: find
SELECT id, tenant, email, email_verified, name, disabled_at IS NOT NULL AS disabled, created_at,
       updated_at,
       ARRAY(
           SELECT assigned.role
           FROM nexus.role_assignments AS assigned
           WHERE assigned.tenant = users.tenant
             AND assigned.principal = 'user:' || users.id
           ORDER BY assigned.role
       ) AS roles
FROM nexus.users AS users
WHERE id = %(id)s

-- name: find_by_email
SELECT id, tenant, email, email_verified, name, disabled_at IS NOT NULL AS disabled, created_at,
       updated_at,
       ARRAY(
           SELECT assigned.role
           FROM nexus.role_assignments AS assigned
           WHERE assigned.tenant = users.tenant
             AND assigned.principal = 'user:' || users.id
           ORDER BY assigned.role
       ) AS roles
FROM nexus.users AS users
WHERE email = %(email)s

-- name: list
SELECT id, tenant, email, email_verified, name, disabled_at IS NOT NULL AS disabled, created_at,
       updated_at,
       ARRAY(
           SELECT assigned.role
           FROM nexus.role_assignments AS assigned
           WHERE assigned.tenant = users.tenant
             AND assigned.principal = 'user:' || users.id
           ORDER BY assigned.role
       ) AS roles
FROM nexus.users AS users
WHERE email COLLATE "C" > %(after)s
ORDER BY email COLLATE "C"
LIMIT %(limit)s

-- name: password_hash
SELECT password_hash FROM nexus.users WHERE id = %(id)s

-- name: lock
SELECT FROM nexus.users WHERE id = %(id)s FOR UPDATE

-- name: update
UPDATE nexus.users
SET email = coalesce(%(email)s, email),
    email_verified = email_verified AND coalesce(%(email)s, email) = email,
    name = coalesce(%(name)s, name),
    password_hash = coalesce(%(password_hash)s, password_hash),
    disabled_at = CASE
        WHEN %(disabled)s::boolean IS NULL THEN disabled_at
        WHEN %(disabled)s::boolean THEN coalesce(disabled_at, clock_timestamp())
    END,
    updated_at = clock_timestamp()
WHERE id = %(id)s

-- name: store_password_hash
UPDATE nexus.users SET password_hash = %(hash)s WHERE id = %(id)s

-- name: mark_email_verified
UPDATE nexus.users
SET email_verified = true, updated_at = clock_timestamp()
WHERE id = %(id)s AND NOT email_verified
