-- name: find_limits
SELECT tenant, subject, service, route, quota, window_seconds
FROM nexus.rate_limits
WHERE service IN ('', %(service)s) AND route IN ('', %(route)s)
