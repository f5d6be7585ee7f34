-- name: revoke
INSERT INTO nexus.revocations (subject, issued_through, expires_at)
VALUES (
    %(subject)s,
    %(issued_through)s::timestamptz,
    clock_timestamp() + make_interval(secs => %(seconds)s)
)
ON CONFLICT (subject) DO UPDATE
SET issued_through = greatest(revocations.issued_through, excluded.issued_through),
    expires_at = greatest(revocations.expires_at, excluded.expires_at)

-- name: is_revoked
SELECT EXISTS (
    SELECT FROM nexus.revocations
    WHERE subject = ANY (%(subjects)s) AND issued_through >= to_timestamp(%(issued_at)s)
)

-- name: purge
DELETE FROM nexus.revocations WHERE expires_at < clock_timestamp()
