-- name: append
SELECT nexus.append_audit(%(entry)s, %(only_after_effect)s)

-- name: list
SELECT tenant, sequence, at, principal, actors, action, resource, outcome, detail, source, trace_id,
       correlation_id, previous_hash, hash
FROM nexus.audit
WHERE tenant = %(tenant)s AND sequence < %(before)s
  AND (%(principal)s::text IS NULL OR principal = %(principal)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
ORDER BY sequence DESC
LIMIT %(limit)s

-- name: chain
SELECT tenant, sequence, at, principal, actors, action, resource, outcome, detail, source, trace_id,
       correlation_id, previous_hash, hash
FROM nexus.audit
WHERE tenant = %(tenant)s AND sequence > %(after)s AND sequence <= %(to)s
ORDER BY sequence
LIMIT %(limit)s

-- name: anchor
SELECT sequence, hash FROM nexus.audit_anchors WHERE tenant = %(tenant)s

-- name: head
SELECT coalesce(head.sequence, 0) AS sequence, head.hash, coalesce(newest.sequence, 0) AS newest
FROM (SELECT max(sequence) AS sequence FROM nexus.audit WHERE tenant = %(tenant)s) AS newest
LEFT JOIN nexus.audit_heads AS head ON head.tenant = %(tenant)s

-- name: heads
SELECT tenant, sequence, hash FROM nexus.audit_heads ORDER BY tenant

-- name: hash_at
SELECT hash FROM nexus.audit WHERE tenant = %(tenant)s AND sequence = %(sequence)s

-- name: tenants
SELECT tenant FROM nexus.audit_heads UNION SELECT tenant FROM nexus.audit ORDER BY tenant

-- name: expire
SELECT nexus.expire_audit()
