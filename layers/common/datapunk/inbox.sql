-- name: decided
SELECT message_id, attempt FROM platform.inbox WHERE consumer = %(consumer)s AND message_id = ANY (%(ids)s)

-- name: decide
INSERT INTO platform.inbox (consumer, message_id, attempt, outcome)
VALUES (%(consumer)s, %(message_id)s, %(attempt)s, %(outcome)s)
ON CONFLICT DO NOTHING

-- name: start
INSERT INTO platform.delivery_start AS known (consumer, message_id)
SELECT %(consumer)s, unnest(%(ids)s::text[])
ON CONFLICT (consumer, message_id)
    DO UPDATE SET starts = known.starts + 1, last_at = clock_timestamp()
RETURNING message_id, starts

-- name: forget_starts
DELETE FROM platform.delivery_start WHERE consumer = %(consumer)s AND message_id = ANY (%(ids)s)

-- name: set_caller
SELECT set_config('datapunk.tenant', %(tenant)s, true), set_config('datapunk.principal', %(principal)s, true)

-- name: purge
WITH inbox AS (
    DELETE FROM platform.inbox WHERE decided_at < clock_timestamp() - %(keep)s::interval RETURNING 1
), starts AS (
    DELETE FROM platform.delivery_start WHERE last_at < clock_timestamp() - %(keep)s::interval RETURNING 1
)
SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM starts)
