-- name: use
UPDATE user_data.linked_accounts
SET used_at = clock_timestamp()
WHERE issuer = %(issuer)s
  AND subject = %(subject)s
RETURNING user_id

-- name: link
INSERT INTO user_data.linked_accounts (issuer, subject, user_id, email)
VALUES (%(issuer)s, %(subject)s, %(user)s, %(email)s)
