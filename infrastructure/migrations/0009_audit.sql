-- Who did what, in chains that show a change, and how much anyone may do.
--
-- The audit tables belong to audit_owner. The login role reads them under row-level security and appends
-- through nexus.append_audit; it can neither change nor remove what is written.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'audit_owner') THEN
        CREATE ROLE audit_owner NOLOGIN;
        EXECUTE format('GRANT audit_owner TO %I WITH INHERIT FALSE, SET TRUE', session_user);
    END IF;
END
$$;

GRANT USAGE ON SCHEMA platform TO audit_owner;
GRANT USAGE, CREATE ON SCHEMA nexus TO audit_owner;

SET LOCAL ROLE audit_owner;

CREATE TABLE nexus.audit (
    tenant         text        NOT NULL,
    sequence       bigint      NOT NULL CHECK (sequence > 0),
    at             timestamptz NOT NULL,
    principal      text        NOT NULL,
    actors         text[]      NOT NULL,
    action         text        NOT NULL,
    resource       text        NOT NULL,
    outcome        text        NOT NULL CHECK (outcome IN ('done', 'denied', 'failed')),
    detail         jsonb       NOT NULL,
    source         text        NOT NULL,
    trace_id       text        NOT NULL,
    correlation_id text        NOT NULL,
    previous_hash  bytea       NOT NULL CHECK (length(previous_hash) = 32),
    hash           bytea       NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (tenant, sequence)
);

CREATE INDEX audit_at ON nexus.audit (at);

COMMENT ON TABLE nexus.audit IS
    'One chain per tenant: each record''s hash covers the record and the hash before it. Kept for 365 days.';

CREATE TABLE nexus.audit_heads (
    tenant   text   PRIMARY KEY,
    sequence bigint NOT NULL,
    hash     bytea  NOT NULL
);

COMMENT ON TABLE nexus.audit_heads IS
    'The last record of each chain: by it a chain whose end was cut off is known.';

CREATE TABLE nexus.audit_anchors (
    tenant     text        PRIMARY KEY,
    sequence   bigint      NOT NULL,
    hash       bytea       NOT NULL,
    expired_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE nexus.audit_anchors IS
    'The last record of each chain that expired: what remains must go on from its hash.';

-- `entry` is canonical JSON (sorted names, no spaces), and so is what is hashed:
-- {"entry":<entry>,"previous":"<hex>","sequence":<number>}.
CREATE FUNCTION nexus.append_audit(entry text, only_after_effect boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts  jsonb := entry::jsonb;
    chain  text := parts ->> 'tenant';
    number bigint;
    before bytea;
    after  bytea;
BEGIN
    IF only_after_effect AND pg_current_xact_id_if_assigned() IS NULL THEN
        RETURN NULL;
    END IF;
    -- Held until the end of the transaction: the next record of the tenant must see this one.
    PERFORM pg_advisory_xact_lock(hashtextextended('nexus.audit ' || chain, 0));
    SELECT head.sequence, head.hash INTO number, before
    FROM nexus.audit_heads AS head WHERE head.tenant = chain;
    number := coalesce(number, 0) + 1;
    before := coalesce(before, decode(repeat('00', 32), 'hex'));
    after := sha256(convert_to(
        '{"entry":' || entry || ',"previous":"' || encode(before, 'hex')
        || '","sequence":' || number || '}',
        'UTF8'
    ));
    INSERT INTO nexus.audit (
        tenant, sequence, at, principal, actors, action, resource, outcome, detail, source, trace_id,
        correlation_id, previous_hash, hash
    ) VALUES (
        chain, number, (parts ->> 'at')::timestamptz, parts ->> 'principal',
        ARRAY(SELECT jsonb_array_elements_text(parts -> 'actors')),
        parts ->> 'action', parts ->> 'resource', parts ->> 'outcome', parts -> 'detail',
        parts ->> 'source', parts ->> 'trace_id', parts ->> 'correlation_id', before, after
    );
    INSERT INTO nexus.audit_heads (tenant, sequence, hash) VALUES (chain, number, after)
    ON CONFLICT (tenant) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash;
    RETURN number;
END
$$;

COMMENT ON FUNCTION nexus.append_audit IS
    'Append a record to its tenant''s chain and return its number; with only_after_effect nothing happens '
    'in a transaction that has changed nothing, and null is returned.';

CREATE FUNCTION nexus.refuse_early_audit_removal() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR OLD.at > clock_timestamp() - interval '365 days' THEN
        RAISE EXCEPTION 'audit records are kept for 365 days'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER keep_365_days BEFORE DELETE ON nexus.audit
    FOR EACH ROW EXECUTE FUNCTION nexus.refuse_early_audit_removal();
CREATE TRIGGER no_truncation BEFORE TRUNCATE ON nexus.audit
    FOR EACH STATEMENT EXECUTE FUNCTION nexus.refuse_early_audit_removal();

CREATE FUNCTION nexus.expire_audit() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cutoff  timestamptz := clock_timestamp() - interval '365 days';
    removed bigint;
BEGIN
    -- A chain loses its beginning only: everything before the first record that is young enough.
    WITH ends AS (
        SELECT head.tenant,
               coalesce(
                   (SELECT min(young.sequence) FROM nexus.audit AS young
                    WHERE young.tenant = head.tenant AND young.at >= cutoff) - 1,
                   head.sequence
               ) AS sequence
        FROM nexus.audit_heads AS head
    )
    INSERT INTO nexus.audit_anchors (tenant, sequence, hash)
    SELECT last.tenant, last.sequence, last.hash
    FROM ends JOIN nexus.audit AS last USING (tenant, sequence)
    ON CONFLICT (tenant) DO UPDATE
        SET sequence = excluded.sequence, hash = excluded.hash, expired_at = clock_timestamp();
    DELETE FROM nexus.audit AS old USING nexus.audit_anchors AS anchor
    WHERE old.tenant = anchor.tenant AND old.sequence <= anchor.sequence;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

COMMENT ON FUNCTION nexus.expire_audit IS
    'Remove the records that are older than 365 days and return how many; their last hash stays as an anchor.';

ALTER TABLE nexus.audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.audit FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.audit_heads FORCE ROW LEVEL SECURITY;
ALTER TABLE nexus.audit_anchors ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.audit_anchors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.audit FOR SELECT USING (platform.sees(tenant));
CREATE POLICY tenant_isolation ON nexus.audit_heads FOR SELECT USING (platform.sees(tenant));
CREATE POLICY tenant_isolation ON nexus.audit_anchors FOR SELECT USING (platform.sees(tenant));
CREATE POLICY keeping ON nexus.audit TO audit_owner USING (true) WITH CHECK (true);
CREATE POLICY keeping ON nexus.audit_heads TO audit_owner USING (true) WITH CHECK (true);
CREATE POLICY keeping ON nexus.audit_anchors TO audit_owner USING (true) WITH CHECK (true);

GRANT SELECT ON nexus.audit, nexus.audit_heads, nexus.audit_anchors TO SESSION_USER;
REVOKE EXECUTE ON FUNCTION nexus.append_audit, nexus.expire_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION nexus.append_audit, nexus.expire_audit TO SESSION_USER;

RESET ROLE;

REVOKE CREATE ON SCHEMA nexus FROM audit_owner;

CREATE TABLE nexus.rate_limits (
    tenant         text    NOT NULL DEFAULT platform.current_tenant(),
    subject        text    NOT NULL DEFAULT '',
    service        text    NOT NULL DEFAULT '',
    route          text    NOT NULL DEFAULT '',
    quota          integer NOT NULL CHECK (quota BETWEEN 1 AND 1000000),
    window_seconds integer NOT NULL CHECK (window_seconds BETWEEN 1 AND 86400),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, subject, service, route),
    CHECK (service = '' OR route = '')
);

COMMENT ON TABLE nexus.rate_limits IS
    'Limits other than the default. subject: a principal or key; service: a module; route: an operation; '
    'empty for any. tenant * is for all tenants; the most specific row counts.';

ALTER TABLE nexus.rate_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.rate_limits FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.rate_limits
    USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));
