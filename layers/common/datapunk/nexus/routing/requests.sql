-- name: accept
INSERT INTO nexus.requests (repeatable, needs, seconds, work)
VALUES (%(repeatable)s, %(needs)s, %(seconds)s, %(work)s)
RETURNING id, expires_at

-- name: claim
-- One that runs is given up after its time and half a minute; who ran it has died.
UPDATE nexus.requests
SET status = CASE WHEN status = 'running' AND NOT repeatable THEN 'failed' ELSE 'running' END,
    started_at = clock_timestamp(),
    finished_at = CASE WHEN status = 'running' AND NOT repeatable THEN clock_timestamp() END,
    problem = CASE WHEN status = 'running' AND NOT repeatable THEN %(interrupted)s::jsonb END,
    work = CASE WHEN status = 'running' AND NOT repeatable THEN NULL ELSE work END
WHERE id = %(id)s
  AND (
      status = 'waiting'
      OR status = 'running' AND started_at < clock_timestamp() - make_interval(secs => seconds + 30)
  )
RETURNING status, work

-- name: finish
UPDATE nexus.requests
SET status = 'done',
    response_status = %(status)s,
    response_headers = %(headers)s,
    response_body = %(body)s,
    work = NULL,
    finished_at = clock_timestamp()
WHERE id = %(id)s AND status = 'running'

-- name: fail
UPDATE nexus.requests
SET status = 'failed', problem = %(problem)s, work = NULL, finished_at = clock_timestamp()
WHERE id = %(id)s AND status = 'running'

-- name: find
SELECT id, status, needs, problem, response_status, response_headers, response_body, created_at, expires_at
FROM nexus.requests
WHERE id = %(id)s AND expires_at > clock_timestamp()

-- name: overdue
SELECT id
FROM nexus.requests
WHERE status = 'waiting' AND created_at < clock_timestamp() - interval '45 seconds'
   OR status = 'running' AND started_at < clock_timestamp() - make_interval(secs => seconds + 30)
ORDER BY created_at
LIMIT %(limit)s

-- name: expire
DELETE FROM nexus.requests WHERE expires_at <= clock_timestamp() AND status IN ('done', 'failed')
