-- An effect outside the database is recorded before it is begun, and again with its outcome.

SET LOCAL ROLE audit_owner;

ALTER TABLE nexus.audit DROP CONSTRAINT audit_outcome_check;
ALTER TABLE nexus.audit ADD CONSTRAINT audit_outcome_check
    CHECK (outcome IN ('begun', 'done', 'denied', 'failed'));

RESET ROLE;
