-- name: find
SELECT tenant, service, route, subject, quota, window_seconds, created_at
FROM nexus.rate_limits
WHERE tenant = %(tenant)s
  AND service = %(service)s
  AND route = %(route)s
  AND subject = %(subject)s

-- name: lock
SELECT FROM nexus.rate_limits
WHERE tenant = %(tenant)s
  AND service = %(service)s
  AND route = %(route)s
  AND subject = %(subject)s
FOR UPDATE

-- name: put
INSERT INTO nexus.rate_limits (tenant, service, route, subject, quota, window_seconds)
VALUES (%(tenant)s, %(service)s, %(route)s, %(subject)s, %(quota)s, %(window_seconds)s)
ON CONFLICT (tenant, subject, service, route) DO UPDATE
SET quota = excluded.quota, window_seconds = excluded.window_seconds

-- name: delete
DELETE FROM nexus.rate_limits
WHERE tenant = %(tenant)s
  AND service = %(service)s
  AND route = %(route)s
  AND subject = %(subject)s

-- name: list
SELECT tenant, service, route, subject, quota, window_seconds, created_at
FROM nexus.rate_limits
WHERE (tenant COLLATE "C", service COLLATE "C", route COLLATE "C", subject COLLATE "C")
    > (%(tenant)s::text, %(service)s::text, %(route)s::text, %(subject)s::text)
ORDER BY tenant COLLATE "C", service COLLATE "C", route COLLATE "C", subject COLLATE "C"
LIMIT %(limit)s
