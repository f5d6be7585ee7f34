-- name: take
INSERT INTO platform.lease AS held (name, holder, token, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, token = held.token + 1, expires_at = excluded.expires_at
    WHERE held.expires_at < clock_timestamp()
RETURNING token

-- name: release
UPDATE platform.lease SET expires_at = clock_timestamp() WHERE name = %(name)s AND token = %(token)s
