-- name: enqueue
INSERT INTO platform.outbox (exchange, routing_key, message_id, content_type, headers, body)
VALUES (%(exchange)s, %(routing_key)s, %(message_id)s, %(content_type)s, %(headers)s, %(body)s)

-- name: forgive_loss
-- A deletion lost in a crash of the server only publishes a message twice: no need to wait for the disk.
SET LOCAL synchronous_commit TO off

-- name: take
SELECT id, exchange, routing_key, message_id, content_type, headers, body
FROM platform.outbox
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED

-- name: delete
DELETE FROM platform.outbox WHERE id = ANY (%(ids)s)

-- name: waiting
SELECT count(*) AS messages, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS seconds
FROM platform.outbox
