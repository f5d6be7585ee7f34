-- The schema that infrastructure/migrations add up to. Written by `make schema`; change a migration instead.

CREATE SCHEMA lake;

CREATE SCHEMA lake_data;

CREATE SCHEMA nexus;

CREATE SCHEMA platform;

CREATE SCHEMA stream;

CREATE SCHEMA user_data;

CREATE FUNCTION platform.current_principal() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('datapunk.principal'::text, true), ''::text);

CREATE FUNCTION platform.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('datapunk.tenant'::text, true), ''::text);

COMMENT ON FUNCTION platform.current_tenant() IS 'Tenant of the transaction''s caller; null outside of a platform transaction, so no row is visible.';

CREATE TABLE nexus.role_assignments (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    principal text NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT role_assignments_role_check CHECK ((role ~ '^[a-z][a-z0-9_.-]{0,62}$'::text))
);

ALTER TABLE ONLY nexus.role_assignments FORCE ROW LEVEL SECURITY;

CREATE FUNCTION nexus.administers() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE(((platform.current_tenant() = '*'::text) OR (EXISTS (SELECT FROM nexus.role_assignments assigned WHERE ((assigned.tenant = platform.current_tenant()) AND (assigned.principal = platform.current_principal()) AND (assigned.role = 'admin'::text))))), false);

COMMENT ON FUNCTION nexus.administers() IS 'Whether the transaction''s caller is an administrator of its tenant, or the platform itself.';

CREATE FUNCTION nexus.append_audit(entry text, only_after_effect boolean) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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

COMMENT ON FUNCTION nexus.append_audit(entry text, only_after_effect boolean) IS 'Append a record to its tenant''s chain and return its number; with only_after_effect nothing happens in a transaction that has changed nothing, and null is returned.';

CREATE FUNCTION nexus.current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (platform.current_principal() ~ '^user:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'::text) THEN (substr(platform.current_principal(), 6))::uuid ELSE NULL::uuid END;

COMMENT ON FUNCTION nexus.current_user_id() IS 'The user in whose name the transaction runs; null for clients, services and the platform itself.';

CREATE FUNCTION nexus.expire_audit() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
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

COMMENT ON FUNCTION nexus.expire_audit() IS 'Remove the records that are older than 365 days and return how many; their last hash stays as an anchor.';

CREATE FUNCTION nexus.operates() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE(((platform.current_tenant() = ANY (ARRAY['public'::text, '*'::text])) AND nexus.administers()), false);

COMMENT ON FUNCTION nexus.operates() IS 'Whether the caller may make tenants: administrators of the platform''s own tenant, public, may.';

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

CREATE FUNCTION platform.sees(tenant text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (platform.current_tenant() = ANY (ARRAY[tenant, '*'::text]));

COMMENT ON FUNCTION platform.sees(tenant text) IS 'Whether the transaction''s caller may see rows of a tenant; only the platform''s own lookups are ''*''.';

CREATE TABLE lake.archives (
    id uuid NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset_id uuid,
    dataset text NOT NULL,
    month date NOT NULL,
    state text DEFAULT 'writing'::text NOT NULL,
    version integer NOT NULL,
    rows bigint,
    bytes bigint,
    sha256 text,
    first_event timestamp with time zone,
    last_event timestamp with time zone,
    columns jsonb NOT NULL,
    begun_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    archived_at timestamp with time zone,
    restored_at timestamp with time zone,
    restored_rows bigint,
    left_alone bigint,
    CONSTRAINT archives_check CHECK (((state = ANY (ARRAY['writing'::text, 'removed'::text])) OR ((rows IS NOT NULL) AND (sha256 IS NOT NULL) AND (archived_at IS NOT NULL)))),
    CONSTRAINT archives_check1 CHECK (((state = 'restored'::text) <= (restored_at IS NOT NULL))),
    CONSTRAINT archives_state_check CHECK ((state = ANY (ARRAY['writing'::text, 'archived'::text, 'restored'::text, 'removed'::text])))
);

ALTER TABLE ONLY lake.archives FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE lake.archives IS 'Months of rows that are, or were, in storage in place of the table.';

COMMENT ON COLUMN lake.archives.state IS 'writing: the table has the rows still. removed: the object is going to be, nobody needs it.';

COMMENT ON COLUMN lake.archives.columns IS 'The columns of the file, as its manifest has them.';

COMMENT ON COLUMN lake.archives.left_alone IS 'Rows that a restoration left out since the table had their key.';

CREATE TABLE lake.data_keys (
    id bigint NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    kind text NOT NULL,
    subject bytea,
    wrapped bytea,
    wrapped_by bigint,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    wrapped_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    erased_at timestamp with time zone,
    CONSTRAINT data_keys_check CHECK (((kind = 'person'::text) = (subject IS NOT NULL))),
    CONSTRAINT data_keys_check1 CHECK (((wrapped IS NULL) = (erased_at IS NOT NULL))),
    CONSTRAINT data_keys_check2 CHECK (((wrapped_by IS NOT NULL) = ((kind = 'person'::text) AND (wrapped IS NOT NULL)))),
    CONSTRAINT data_keys_kind_check CHECK ((kind = ANY (ARRAY['tenant'::text, 'index'::text, 'person'::text])))
);

ALTER TABLE ONLY lake.data_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE lake.data_keys IS 'Data keys, each wrapped: those of persons by a key of their tenant, others by the key ring.';

COMMENT ON COLUMN lake.data_keys.subject IS 'The person, as a digest under the tenant''s index key.';

COMMENT ON COLUMN lake.data_keys.erased_at IS 'When the key was destroyed; what it encrypted is nowhere readable since.';

ALTER TABLE lake.data_keys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME lake.data_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE lake.dataset_versions (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset_id uuid NOT NULL,
    version integer NOT NULL,
    definition jsonb NOT NULL,
    changes jsonb DEFAULT '[]'::jsonb NOT NULL,
    changed_by text DEFAULT platform.current_principal() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataset_versions_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY lake.dataset_versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE lake.dataset_versions IS 'Every version of each dataset''s definition, and the changes that led to it.';

CREATE TABLE lake.datasets (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    columns jsonb NOT NULL,
    key text[] DEFAULT '{}'::text[] NOT NULL,
    table_name text NOT NULL,
    owner text DEFAULT platform.current_principal() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    unique_keys jsonb DEFAULT '[]'::jsonb NOT NULL,
    indexes jsonb DEFAULT '[]'::jsonb NOT NULL,
    links jsonb DEFAULT '[]'::jsonb NOT NULL,
    event_time text,
    compatibility text DEFAULT 'backward'::text NOT NULL,
    subject text,
    retention_months integer,
    CONSTRAINT datasets_compatibility_check CHECK ((compatibility = ANY (ARRAY['none'::text, 'backward'::text, 'forward'::text, 'full'::text]))),
    CONSTRAINT datasets_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT datasets_retention_months_check CHECK (((retention_months >= 1) AND (retention_months <= 1200)))
);

ALTER TABLE ONLY lake.datasets FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.datasets.links IS 'References to other datasets of the tenant; each is a foreign key of the same name on the table.';

COMMENT ON COLUMN lake.datasets.event_time IS 'The column whose months are the partitions of the table; null for a table that has none.';

COMMENT ON COLUMN lake.datasets.subject IS 'The column that names the person a row is about; null where rows are about nobody.';

COMMENT ON COLUMN lake.datasets.retention_months IS 'Months after which a month of rows goes to storage; null: rows are kept in the table for ever.';

CREATE TABLE lake.erasures (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    subject bytea NOT NULL,
    erased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY lake.erasures FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE lake.erasures IS 'Who was erased, as a digest under the tenant''s index key: what archives say of them does not come back.';

CREATE TABLE lake.functions (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    name text NOT NULL,
    dataset text NOT NULL,
    definition jsonb NOT NULL,
    created_by text DEFAULT platform.current_principal() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_by text DEFAULT platform.current_principal() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY lake.functions FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.functions.dataset IS 'By name: a function outlives its dataset, and a new one of the name takes the place of the old.';

CREATE TABLE lake.jobs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset_id uuid NOT NULL,
    dataset text NOT NULL,
    caller jsonb NOT NULL,
    media_type text NOT NULL,
    compressed boolean DEFAULT false NOT NULL,
    on_conflict text NOT NULL,
    announced text,
    state text DEFAULT 'waiting'::text NOT NULL,
    same_as uuid,
    holder uuid,
    held_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    object_version text,
    bytes_total bigint,
    digest text,
    layout jsonb,
    "position" bigint DEFAULT 0 NOT NULL,
    bytes_done bigint DEFAULT 0 NOT NULL,
    rows_read bigint DEFAULT 0 NOT NULL,
    inserted bigint DEFAULT 0 NOT NULL,
    updated bigint DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    quarantined bigint DEFAULT 0 NOT NULL,
    reasons jsonb DEFAULT '{}'::jsonb NOT NULL,
    problem jsonb,
    created_by text DEFAULT platform.current_principal() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    on_error text DEFAULT 'quarantine'::text NOT NULL,
    encoding text,
    CONSTRAINT jobs_encoding_check CHECK ((encoding = ANY (ARRAY['gzip'::text, 'zstd'::text]))),
    CONSTRAINT jobs_on_error_check CHECK ((on_error = ANY (ARRAY['quarantine'::text, 'reject'::text]))),
    CONSTRAINT jobs_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'failed'::text])))
);

ALTER TABLE ONLY lake.jobs FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.jobs.caller IS 'In whose name the rows are stored: who asked for the upload.';

COMMENT ON COLUMN lake.jobs.announced IS 'SHA-256 that the caller said the file has, in hexadecimal digits.';

COMMENT ON COLUMN lake.jobs.same_as IS 'The job that loaded the same file before: this one has no effect of its own.';

COMMENT ON COLUMN lake.jobs.holder IS 'Who works at it until `held_until`; only he may store rows of it.';

COMMENT ON COLUMN lake.jobs.attempts IS 'How often it was begun since its last chunk was stored.';

COMMENT ON COLUMN lake.jobs.layout IS 'Of CSV: delimiter, quote and the names in the header.';

COMMENT ON COLUMN lake.jobs."position" IS 'Bytes of the file, unpacked, that are stored: where the next chunk begins.';

COMMENT ON COLUMN lake.jobs.bytes_done IS 'Bytes of the file as it was uploaded that have been read.';

COMMENT ON COLUMN lake.jobs.expires_at IS 'Until when an upload may begin.';

CREATE TABLE lake.quality_results (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset_id uuid NOT NULL,
    run uuid NOT NULL,
    version integer NOT NULL,
    check_type text NOT NULL,
    score double precision NOT NULL,
    rows bigint NOT NULL,
    rules jsonb NOT NULL,
    measured_by text DEFAULT platform.current_principal() NOT NULL,
    measured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT quality_results_rows_check CHECK ((rows >= 0)),
    CONSTRAINT quality_results_score_check CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)))
);

ALTER TABLE ONLY lake.quality_results FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.quality_results.score IS 'The share of rows that pass every rule of the type; of freshness and distribution the least of a rule.';

COMMENT ON COLUMN lake.quality_results.rules IS 'What came of each rule of the type.';

CREATE TABLE lake.quality_rules (
    dataset_id uuid NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset text NOT NULL,
    rules jsonb NOT NULL,
    updated_by text DEFAULT platform.current_principal() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    measured_at timestamp with time zone,
    on_change boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY lake.quality_rules FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.quality_rules.measured_at IS 'When the schedule last took the dataset up, whatever came of it: who waits longest comes first.';

CREATE TABLE lake.quarantine (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    dataset_id uuid NOT NULL,
    dataset text NOT NULL,
    version integer NOT NULL,
    batch uuid NOT NULL,
    "position" bigint NOT NULL,
    media_type text NOT NULL,
    content text,
    sealed bytea,
    data_key bigint,
    rule text NOT NULL,
    reason text NOT NULL,
    errors jsonb NOT NULL,
    corrected_by text,
    corrected_at timestamp with time zone,
    quarantined_by text DEFAULT platform.current_principal() NOT NULL,
    quarantined_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    escalated_at timestamp with time zone,
    CONSTRAINT quarantine_check CHECK (((content IS NULL) <> (sealed IS NULL))),
    CONSTRAINT quarantine_check1 CHECK (((sealed IS NULL) = (data_key IS NULL))),
    CONSTRAINT quarantine_position_check CHECK (("position" > 0))
);

ALTER TABLE ONLY lake.quarantine FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN lake.quarantine.batch IS 'What the rows of one request have in common.';

COMMENT ON COLUMN lake.quarantine."position" IS 'Number of the row in the request''s body, from 1.';

COMMENT ON COLUMN lake.quarantine.content IS 'The row as JSON, exactly as it was sent; of CSV an object of texts, of a line that is no JSON a text.';

COMMENT ON COLUMN lake.quarantine.sealed IS 'The same, encrypted by the data key: where the dataset has encrypted columns or is about persons.';

CREATE TABLE nexus.api_keys (
    id text NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    owner text DEFAULT platform.current_principal() NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    lifetime interval NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    replaced_by text,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_id_check CHECK ((id ~ '^[0-9A-Za-z]{8}$'::text)),
    CONSTRAINT api_keys_lifetime_check CHECK ((lifetime > '00:00:00'::interval)),
    CONSTRAINT api_keys_scopes_check CHECK ((cardinality(scopes) > 0)),
    CONSTRAINT api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32))
);

ALTER TABLE ONLY nexus.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN nexus.api_keys.lifetime IS 'What the key was issued for, and its successor will be; rotation moves expires_at.';

COMMENT ON COLUMN nexus.api_keys.last_used_at IS 'Written once a minute at most.';

CREATE TABLE nexus.audit (
    tenant text NOT NULL,
    sequence bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    principal text NOT NULL,
    actors text[] NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    outcome text NOT NULL,
    detail jsonb NOT NULL,
    source text NOT NULL,
    trace_id text NOT NULL,
    correlation_id text NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT audit_outcome_check CHECK ((outcome = ANY (ARRAY['begun'::text, 'done'::text, 'denied'::text, 'failed'::text]))),
    CONSTRAINT audit_previous_hash_check CHECK ((length(previous_hash) = 32)),
    CONSTRAINT audit_sequence_check CHECK ((sequence > 0))
);

ALTER TABLE ONLY nexus.audit FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.audit IS 'One chain per tenant: each record''s hash covers the record and the hash before it. Kept for 365 days.';

CREATE TABLE nexus.audit_anchors (
    tenant text NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    expired_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY nexus.audit_anchors FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.audit_anchors IS 'The last record of each chain that expired: what remains must go on from its hash.';

CREATE TABLE nexus.audit_heads (
    tenant text NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL
);

ALTER TABLE ONLY nexus.audit_heads FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.audit_heads IS 'The last record of each chain: by it a chain whose end was cut off is known.';

CREATE TABLE nexus.certificates (
    serial text NOT NULL,
    tenant text NOT NULL,
    service text NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT certificates_serial_check CHECK ((serial ~ '^[0-9a-f]{1,40}$'::text))
);

ALTER TABLE ONLY nexus.certificates FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.certificates IS 'Certificates issued, by serial number: one that is not here, or is revoked, opens nothing.';

CREATE TABLE nexus.oauth_clients (
    id text NOT NULL,
    tenant text NOT NULL,
    name text NOT NULL,
    secret_hash bytea,
    redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    post_logout_redirect_uris text[] DEFAULT '{}'::text[] NOT NULL,
    grant_types text[] NOT NULL,
    scopes text[] NOT NULL,
    created_by text DEFAULT platform.current_principal() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT oauth_clients_id_check CHECK ((id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'::text))
);

ALTER TABLE ONLY nexus.oauth_clients FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN nexus.oauth_clients.secret_hash IS 'Digest of the secret; null for a public client, which proves itself by PKCE only.';

CREATE TABLE nexus.oauth_codes (
    hash bytea NOT NULL,
    grant_id uuid NOT NULL,
    redirect_uri text NOT NULL,
    challenge text NOT NULL,
    nonce text,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

ALTER TABLE ONLY nexus.oauth_codes FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.oauth_grants (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text NOT NULL,
    client_id text NOT NULL,
    principal text NOT NULL,
    session_id text,
    scopes text[] NOT NULL,
    auth_time timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone
);

ALTER TABLE ONLY nexus.oauth_grants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.oauth_grants IS 'One authorization of a client by a user: the family that its code and all its refresh tokens belong to.';

CREATE TABLE nexus.oauth_refresh_tokens (
    hash bytea NOT NULL,
    grant_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

ALTER TABLE ONLY nexus.oauth_refresh_tokens FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.rate_limits (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    service text DEFAULT ''::text NOT NULL,
    route text DEFAULT ''::text NOT NULL,
    quota integer NOT NULL,
    window_seconds integer NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT rate_limits_check CHECK (((service = ''::text) OR (route = ''::text))),
    CONSTRAINT rate_limits_quota_check CHECK (((quota >= 1) AND (quota <= 1000000))),
    CONSTRAINT rate_limits_window_seconds_check CHECK (((window_seconds >= 1) AND (window_seconds <= 86400)))
);

ALTER TABLE ONLY nexus.rate_limits FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.rate_limits IS 'Limits other than the default. subject: a principal or key; service: a module; route: an operation; empty for any. tenant * is for all tenants; the most specific row counts.';

CREATE TABLE nexus.requests (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    principal text DEFAULT platform.current_principal() NOT NULL,
    status text DEFAULT 'waiting'::text NOT NULL,
    repeatable boolean NOT NULL,
    needs text NOT NULL,
    seconds real NOT NULL,
    work bytea,
    problem jsonb,
    response_status integer,
    response_headers jsonb,
    response_body bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone DEFAULT (clock_timestamp() + '1 day'::interval) NOT NULL,
    CONSTRAINT requests_seconds_check CHECK ((seconds > (0)::double precision)),
    CONSTRAINT requests_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'failed'::text])))
);

ALTER TABLE ONLY nexus.requests FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.requests IS 'Requests to services that outlast the gateway, and their answers, for a day.';

COMMENT ON COLUMN nexus.requests.repeatable IS 'Whether it may be sent again when whoever ran it died: it reads, or carries an idempotency key.';

COMMENT ON COLUMN nexus.requests.needs IS 'The action of the policy that the request needed; whoever reads its answer needs it too.';

COMMENT ON COLUMN nexus.requests.work IS 'The request itself; gone when it is finished.';

CREATE TABLE nexus.revocations (
    subject text NOT NULL,
    issued_through timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY nexus.revocations FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE nexus.revocations IS 'Access tokens refused before their end: by id, grant or principal, if issued until then.';

CREATE TABLE nexus.route_epoch (
    single boolean DEFAULT true NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT route_epoch_single_check CHECK (single)
);

ALTER TABLE ONLY nexus.route_epoch FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.route_versions (
    name text NOT NULL,
    version integer NOT NULL,
    rule jsonb,
    changed_at timestamp with time zone NOT NULL,
    changed_by text NOT NULL,
    CONSTRAINT route_versions_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY nexus.route_versions FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.routes (
    name text NOT NULL,
    version integer NOT NULL,
    rule jsonb,
    service text GENERATED ALWAYS AS ((rule ->> 'service'::text)) STORED,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_by text DEFAULT platform.current_principal() NOT NULL,
    CONSTRAINT routes_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'::text)),
    CONSTRAINT routes_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY nexus.routes FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN nexus.routes.rule IS 'Null where the rule was deleted: its versions stay, and the next one goes on counting.';

CREATE TABLE nexus.tenants (
    id text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT tenants_id_check CHECK ((id ~ '^[a-z][a-z0-9_-]{0,62}$'::text))
);

ALTER TABLE ONLY nexus.tenants FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    email text NOT NULL,
    email_verified boolean DEFAULT false NOT NULL,
    name text NOT NULL,
    password_hash text,
    disabled_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT users_email_check CHECK ((email = lower(email)))
);

ALTER TABLE ONLY nexus.users FORCE ROW LEVEL SECURITY;

CREATE TABLE nexus.workloads (
    tenant text NOT NULL,
    service text NOT NULL,
    scopes text[] NOT NULL,
    role_arn text,
    secret_hash bytea,
    created_by text DEFAULT platform.current_principal() NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT workloads_check CHECK (((role_arn IS NULL) <> (secret_hash IS NULL))),
    CONSTRAINT workloads_service_check CHECK ((service ~ '^[a-z][a-z0-9-]{0,62}$'::text))
);

ALTER TABLE ONLY nexus.workloads FORCE ROW LEVEL SECURITY;

COMMENT ON COLUMN nexus.workloads.role_arn IS 'The IAM role the service proves to have; null where it has a registration secret.';

CREATE TABLE platform.cache_heat (
    namespace text NOT NULL,
    tenant text NOT NULL,
    key text NOT NULL,
    heat double precision NOT NULL
);

ALTER TABLE ONLY platform.cache_heat FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE platform.cache_heat IS 'How often cached keys were read lately; halved at each run of the warming, which loads the first of them.';

CREATE TABLE platform.cache_writes (
    namespace text NOT NULL,
    tenant text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    value text,
    cause text NOT NULL,
    pending boolean DEFAULT true NOT NULL,
    written_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cache_writes_version_check CHECK (((version > 0) AND (version < '9007199254740992'::bigint)))
);

ALTER TABLE ONLY platform.cache_writes FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE platform.cache_writes IS 'The last write of each cached key, from the transaction of its effect: pending, with its value, until Redis has it. Kept for a day, much longer than any value in Redis, so that versions only grow.';

CREATE TABLE platform.delivery_start (
    consumer text NOT NULL,
    message_id text NOT NULL,
    starts integer DEFAULT 1 NOT NULL,
    last_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE platform.delivery_start IS 'How often work on a redelivered message began: a message that ends its function is found by it.';

CREATE TABLE platform.idempotency (
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    principal text DEFAULT platform.current_principal() NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    digest bytea NOT NULL,
    answer bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT idempotency_key_check CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

ALTER TABLE ONLY platform.idempotency FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE platform.idempotency IS 'Answers of keyed calls, each written in the transaction of its effect; kept for a day.';

CREATE TABLE platform.inbox (
    consumer text NOT NULL,
    message_id text NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT inbox_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'retry'::text, 'dead'::text])))
);

COMMENT ON TABLE platform.inbox IS 'What became of each delivered message, written in the transaction of its effect: a redelivery is a no-op.';

CREATE TABLE platform.lease (
    name text NOT NULL,
    holder text NOT NULL,
    token bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE platform.lease IS 'Who runs a singleton job until when; the token grows with each holder, so that a late one is told apart.';

CREATE TABLE platform.outbox (
    id bigint NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    message_id text NOT NULL,
    content_type text NOT NULL,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE platform.outbox IS 'Messages committed together with the change they tell of; deleted once the broker has confirmed them.';

ALTER TABLE platform.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME platform.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.datapunk_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE stream.events (
    "position" bigint NOT NULL,
    tenant text DEFAULT platform.current_tenant() NOT NULL,
    id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone NOT NULL,
    datacontenttype text,
    dataschema text,
    data json,
    data_base64 text,
    extensions jsonb DEFAULT '{}'::jsonb NOT NULL,
    stored_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY stream.events FORCE ROW LEVEL SECURITY;

ALTER TABLE stream.events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stream.events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE user_data.linked_accounts (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE ONLY user_data.linked_accounts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE user_data.linked_accounts IS 'Accounts at other providers: an issuer never gives a subject to another person, an e-mail address may move.';

ALTER TABLE ONLY lake.archives
    ADD CONSTRAINT archives_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.data_keys
    ADD CONSTRAINT data_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.dataset_versions
    ADD CONSTRAINT dataset_versions_pkey PRIMARY KEY (dataset_id, version);

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_table_name_key UNIQUE (table_name);

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_tenant_name_key UNIQUE (tenant, name);

ALTER TABLE ONLY lake.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (tenant, subject);

ALTER TABLE ONLY lake.functions
    ADD CONSTRAINT functions_pkey PRIMARY KEY (tenant, name);

ALTER TABLE ONLY lake.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.quality_results
    ADD CONSTRAINT quality_results_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.quality_rules
    ADD CONSTRAINT quality_rules_pkey PRIMARY KEY (dataset_id);

ALTER TABLE ONLY lake.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.audit_anchors
    ADD CONSTRAINT audit_anchors_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY nexus.audit_heads
    ADD CONSTRAINT audit_heads_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY nexus.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (tenant, sequence);

ALTER TABLE ONLY nexus.certificates
    ADD CONSTRAINT certificates_pkey PRIMARY KEY (serial);

ALTER TABLE ONLY nexus.oauth_clients
    ADD CONSTRAINT oauth_clients_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.oauth_codes
    ADD CONSTRAINT oauth_codes_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY nexus.oauth_grants
    ADD CONSTRAINT oauth_grants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.oauth_refresh_tokens
    ADD CONSTRAINT oauth_refresh_tokens_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY nexus.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (tenant, subject, service, route);

ALTER TABLE ONLY nexus.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY nexus.role_assignments
    ADD CONSTRAINT role_assignments_pkey PRIMARY KEY (tenant, principal, role);

ALTER TABLE ONLY nexus.route_epoch
    ADD CONSTRAINT route_epoch_pkey PRIMARY KEY (single);

ALTER TABLE ONLY nexus.route_versions
    ADD CONSTRAINT route_versions_pkey PRIMARY KEY (name, version);

ALTER TABLE ONLY nexus.routes
    ADD CONSTRAINT routes_pkey PRIMARY KEY (name);

ALTER TABLE ONLY nexus.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.users
    ADD CONSTRAINT users_email_key UNIQUE (email);

ALTER TABLE ONLY nexus.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY nexus.workloads
    ADD CONSTRAINT workloads_pkey PRIMARY KEY (tenant, service);

ALTER TABLE ONLY platform.cache_heat
    ADD CONSTRAINT cache_heat_pkey PRIMARY KEY (namespace, tenant, key);

ALTER TABLE ONLY platform.cache_writes
    ADD CONSTRAINT cache_writes_pkey PRIMARY KEY (namespace, tenant, key);

ALTER TABLE ONLY platform.delivery_start
    ADD CONSTRAINT delivery_start_pkey PRIMARY KEY (consumer, message_id);

ALTER TABLE ONLY platform.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant, principal, operation, key);

ALTER TABLE ONLY platform.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, message_id, attempt);

ALTER TABLE ONLY platform.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (name);

ALTER TABLE ONLY platform.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.datapunk_migrations
    ADD CONSTRAINT datapunk_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY stream.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY stream.events
    ADD CONSTRAINT events_tenant_source_id_key UNIQUE (tenant, source, id);

ALTER TABLE ONLY user_data.linked_accounts
    ADD CONSTRAINT linked_accounts_pkey PRIMARY KEY (issuer, subject);

CREATE INDEX archives_of_dataset ON lake.archives USING btree (dataset_id, month, id);

CREATE INDEX archives_unfinished ON lake.archives USING btree (begun_at) WHERE ((state = ANY (ARRAY['writing'::text, 'removed'::text])) OR (dataset_id IS NULL));

CREATE UNIQUE INDEX data_keys_one_index ON lake.data_keys USING btree (tenant) WHERE (kind = 'index'::text);

CREATE INDEX data_keys_subject ON lake.data_keys USING btree (tenant, subject) WHERE (kind = 'person'::text);

CREATE INDEX data_keys_tenant ON lake.data_keys USING btree (tenant, kind) WHERE (kind <> 'person'::text);

CREATE INDEX data_keys_wrapped_by ON lake.data_keys USING btree (wrapped_by);

CREATE UNIQUE INDEX jobs_one_effect ON lake.jobs USING btree (dataset_id, digest, media_type, compressed, on_error, on_conflict) WHERE ((same_as IS NULL) AND (digest IS NOT NULL) AND (state <> 'failed'::text));

CREATE INDEX jobs_same ON lake.jobs USING btree (same_as) WHERE (same_as IS NOT NULL);

CREATE INDEX jobs_unfinished ON lake.jobs USING btree (created_at) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));

CREATE INDEX quality_results_age ON lake.quality_results USING btree (measured_at);

CREATE INDEX quality_results_listed ON lake.quality_results USING btree (dataset_id, measured_at, id);

CREATE INDEX quality_results_newest ON lake.quality_results USING btree (dataset_id, check_type, measured_at);

CREATE INDEX quarantine_listed ON lake.quarantine USING btree (dataset_id, quarantined_at, id);

CREATE INDEX quarantine_of_person ON lake.quarantine USING btree (data_key) WHERE (data_key IS NOT NULL);

CREATE INDEX quarantine_waiting ON lake.quarantine USING btree (quarantined_at) WHERE (escalated_at IS NULL);

CREATE INDEX api_keys_owner ON nexus.api_keys USING btree (tenant, owner, id COLLATE "C");

CREATE INDEX api_keys_tenant ON nexus.api_keys USING btree (tenant, id COLLATE "C");

CREATE INDEX audit_at ON nexus.audit USING btree (at);

CREATE INDEX certificates_not_after ON nexus.certificates USING btree (not_after);

CREATE INDEX certificates_workload ON nexus.certificates USING btree (tenant, service);

CREATE INDEX oauth_clients_tenant ON nexus.oauth_clients USING btree (tenant, id);

CREATE INDEX oauth_codes_grant ON nexus.oauth_codes USING btree (grant_id);

CREATE INDEX oauth_grants_expires_at ON nexus.oauth_grants USING btree (expires_at);

CREATE INDEX oauth_grants_principal ON nexus.oauth_grants USING btree (principal);

CREATE INDEX oauth_grants_session ON nexus.oauth_grants USING btree (session_id) WHERE (session_id IS NOT NULL);

CREATE INDEX oauth_refresh_tokens_grant ON nexus.oauth_refresh_tokens USING btree (grant_id);

CREATE INDEX requests_expiry ON nexus.requests USING btree (expires_at);

CREATE INDEX requests_open ON nexus.requests USING btree (created_at) WHERE (status = ANY (ARRAY['waiting'::text, 'running'::text]));

CREATE INDEX revocations_expires_at ON nexus.revocations USING btree (expires_at);

CREATE INDEX users_tenant_email ON nexus.users USING btree (tenant, email COLLATE "C");

CREATE INDEX cache_writes_pending ON platform.cache_writes USING btree (written_at) WHERE pending;

CREATE INDEX cache_writes_settled ON platform.cache_writes USING btree (written_at) WHERE (NOT pending);

CREATE INDEX idempotency_created_at ON platform.idempotency USING btree (created_at);

CREATE INDEX inbox_decided_at ON platform.inbox USING btree (decided_at);

CREATE INDEX events_subject ON stream.events USING btree (tenant, subject, "position") WHERE (subject IS NOT NULL);

CREATE INDEX events_type ON stream.events USING btree (tenant, type, "position");

CREATE INDEX linked_accounts_user ON user_data.linked_accounts USING btree (user_id);

CREATE TRIGGER keep_365_days BEFORE DELETE ON nexus.audit FOR EACH ROW EXECUTE FUNCTION nexus.refuse_early_audit_removal();

CREATE TRIGGER no_truncation BEFORE TRUNCATE ON nexus.audit FOR EACH STATEMENT EXECUTE FUNCTION nexus.refuse_early_audit_removal();

ALTER TABLE ONLY lake.archives
    ADD CONSTRAINT archives_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE SET NULL;

ALTER TABLE ONLY lake.data_keys
    ADD CONSTRAINT data_keys_wrapped_by_fkey FOREIGN KEY (wrapped_by) REFERENCES lake.data_keys(id);

ALTER TABLE ONLY lake.dataset_versions
    ADD CONSTRAINT dataset_versions_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY lake.jobs
    ADD CONSTRAINT jobs_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY lake.jobs
    ADD CONSTRAINT jobs_same_as_fkey FOREIGN KEY (same_as) REFERENCES lake.jobs(id) ON DELETE CASCADE;

ALTER TABLE ONLY lake.quality_results
    ADD CONSTRAINT quality_results_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY lake.quality_rules
    ADD CONSTRAINT quality_rules_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY lake.quarantine
    ADD CONSTRAINT quarantine_data_key_fkey FOREIGN KEY (data_key) REFERENCES lake.data_keys(id);

ALTER TABLE ONLY lake.quarantine
    ADD CONSTRAINT quarantine_dataset_id_fkey FOREIGN KEY (dataset_id) REFERENCES lake.datasets(id) ON DELETE CASCADE;

ALTER TABLE ONLY nexus.api_keys
    ADD CONSTRAINT api_keys_replaced_by_fkey FOREIGN KEY (replaced_by) REFERENCES nexus.api_keys(id);

ALTER TABLE ONLY nexus.api_keys
    ADD CONSTRAINT api_keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.certificates
    ADD CONSTRAINT certificates_tenant_service_fkey FOREIGN KEY (tenant, service) REFERENCES nexus.workloads(tenant, service) ON DELETE CASCADE;

ALTER TABLE ONLY nexus.oauth_clients
    ADD CONSTRAINT oauth_clients_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.oauth_codes
    ADD CONSTRAINT oauth_codes_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES nexus.oauth_grants(id) ON DELETE CASCADE;

ALTER TABLE ONLY nexus.oauth_grants
    ADD CONSTRAINT oauth_grants_client_id_fkey FOREIGN KEY (client_id) REFERENCES nexus.oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE ONLY nexus.oauth_grants
    ADD CONSTRAINT oauth_grants_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.oauth_refresh_tokens
    ADD CONSTRAINT oauth_refresh_tokens_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES nexus.oauth_grants(id) ON DELETE CASCADE;

ALTER TABLE ONLY nexus.requests
    ADD CONSTRAINT requests_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.role_assignments
    ADD CONSTRAINT role_assignments_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.route_versions
    ADD CONSTRAINT route_versions_name_fkey FOREIGN KEY (name) REFERENCES nexus.routes(name);

ALTER TABLE ONLY nexus.users
    ADD CONSTRAINT users_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY nexus.workloads
    ADD CONSTRAINT workloads_tenant_fkey FOREIGN KEY (tenant) REFERENCES nexus.tenants(id);

ALTER TABLE ONLY user_data.linked_accounts
    ADD CONSTRAINT linked_accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES nexus.users(id) ON DELETE CASCADE;

ALTER TABLE lake.archives ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.data_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.dataset_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.datasets ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.erasures ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.functions ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.jobs ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.quality_results ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.quality_rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE lake.quarantine ENABLE ROW LEVEL SECURITY;

CREATE POLICY retained ON lake.datasets FOR SELECT USING (((retention_months IS NOT NULL) AND platform.sees('*'::text)));

CREATE POLICY tenant_isolation ON lake.archives USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON lake.data_keys USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON lake.dataset_versions USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

CREATE POLICY tenant_isolation ON lake.datasets USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

CREATE POLICY tenant_isolation ON lake.erasures USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

CREATE POLICY tenant_isolation ON lake.functions USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

CREATE POLICY tenant_isolation ON lake.jobs USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON lake.quality_results USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON lake.quality_rules USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON lake.quarantine USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

ALTER TABLE nexus.api_keys ENABLE ROW LEVEL SECURITY;

CREATE POLICY assigned_by_administrators ON nexus.role_assignments FOR INSERT WITH CHECK ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers)));

ALTER TABLE nexus.audit ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.audit_anchors ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.audit_heads ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.certificates ENABLE ROW LEVEL SECURITY;

CREATE POLICY changed_by_owners ON nexus.api_keys FOR UPDATE USING ((platform.sees(tenant) AND ((owner = platform.current_principal()) OR ( SELECT nexus.administers() AS administers)))) WITH CHECK ((platform.sees(tenant) AND ((owner = platform.current_principal()) OR ( SELECT nexus.administers() AS administers))));

CREATE POLICY issued_by_owners ON nexus.api_keys FOR INSERT WITH CHECK ((platform.sees(tenant) AND ((owner = platform.current_principal()) OR (platform.current_tenant() = '*'::text))));

CREATE POLICY keeping ON nexus.audit TO audit_owner USING (true) WITH CHECK (true);

CREATE POLICY keeping ON nexus.audit_anchors TO audit_owner USING (true) WITH CHECK (true);

CREATE POLICY keeping ON nexus.audit_heads TO audit_owner USING (true) WITH CHECK (true);

ALTER TABLE nexus.oauth_clients ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.oauth_codes ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.oauth_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.oauth_refresh_tokens ENABLE ROW LEVEL SECURITY;

CREATE POLICY operators ON nexus.route_epoch USING (( SELECT nexus.operates() AS operates)) WITH CHECK (( SELECT nexus.operates() AS operates));

CREATE POLICY operators ON nexus.route_versions USING (( SELECT nexus.operates() AS operates)) WITH CHECK (( SELECT nexus.operates() AS operates));

CREATE POLICY operators ON nexus.routes USING (( SELECT nexus.operates() AS operates)) WITH CHECK (( SELECT nexus.operates() AS operates));

CREATE POLICY owner_isolation ON nexus.api_keys FOR SELECT USING ((platform.sees(tenant) AND ((owner = platform.current_principal()) OR ( SELECT nexus.administers() AS administers))));

CREATE POLICY platform_only ON nexus.oauth_codes USING (platform.sees('*'::text)) WITH CHECK (platform.sees('*'::text));

CREATE POLICY platform_only ON nexus.oauth_refresh_tokens USING (platform.sees('*'::text)) WITH CHECK (platform.sees('*'::text));

CREATE POLICY platform_only ON nexus.revocations USING (platform.sees('*'::text)) WITH CHECK (platform.sees('*'::text));

ALTER TABLE nexus.rate_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.requests ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.revocations ENABLE ROW LEVEL SECURITY;

CREATE POLICY revoked_by_administrators ON nexus.role_assignments FOR DELETE USING ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers)));

ALTER TABLE nexus.role_assignments ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.route_epoch ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.route_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.routes ENABLE ROW LEVEL SECURITY;

CREATE POLICY sender_isolation ON nexus.requests USING ((platform.sees(tenant) AND ((principal = platform.current_principal()) OR (platform.current_tenant() = '*'::text)))) WITH CHECK ((platform.sees(tenant) AND ((principal = platform.current_principal()) OR (platform.current_tenant() = '*'::text))));

CREATE POLICY tenant_isolation ON nexus.audit FOR SELECT USING (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.audit_anchors FOR SELECT USING (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.audit_heads FOR SELECT USING (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.certificates USING ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers))) WITH CHECK ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers)));

CREATE POLICY tenant_isolation ON nexus.oauth_clients USING ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers))) WITH CHECK ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers)));

CREATE POLICY tenant_isolation ON nexus.oauth_grants USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.rate_limits USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.role_assignments FOR SELECT USING (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.tenants USING ((platform.sees(id) OR ( SELECT nexus.operates() AS operates))) WITH CHECK (( SELECT nexus.operates() AS operates));

CREATE POLICY tenant_isolation ON nexus.users AS RESTRICTIVE USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON nexus.workloads USING ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers))) WITH CHECK ((platform.sees(tenant) AND ( SELECT nexus.administers() AS administers)));

ALTER TABLE nexus.tenants ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_isolation ON nexus.users USING (((id = ( SELECT nexus.current_user_id() AS current_user_id)) OR ( SELECT nexus.administers() AS administers))) WITH CHECK (((id = ( SELECT nexus.current_user_id() AS current_user_id)) OR ( SELECT nexus.administers() AS administers)));

ALTER TABLE nexus.users ENABLE ROW LEVEL SECURITY;

ALTER TABLE nexus.workloads ENABLE ROW LEVEL SECURITY;

ALTER TABLE platform.cache_heat ENABLE ROW LEVEL SECURITY;

ALTER TABLE platform.cache_writes ENABLE ROW LEVEL SECURITY;

ALTER TABLE platform.idempotency ENABLE ROW LEVEL SECURITY;

CREATE POLICY outlived ON platform.idempotency FOR DELETE USING (((platform.current_tenant() = '*'::text) AND (created_at < (clock_timestamp() - '1 day'::interval))));

CREATE POLICY outlived_seen ON platform.idempotency FOR SELECT USING (((platform.current_tenant() = '*'::text) AND (created_at < (clock_timestamp() - '1 day'::interval))));

CREATE POLICY own_calls ON platform.idempotency USING (((tenant = platform.current_tenant()) AND (principal = platform.current_principal())));

CREATE POLICY tenant_isolation ON platform.cache_heat USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

CREATE POLICY tenant_isolation ON platform.cache_writes USING (platform.sees(tenant)) WITH CHECK (platform.sees(tenant));

ALTER TABLE stream.events ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON stream.events USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

ALTER TABLE user_data.linked_accounts ENABLE ROW LEVEL SECURITY;

CREATE POLICY user_isolation ON user_data.linked_accounts USING (((user_id = ( SELECT nexus.current_user_id() AS current_user_id)) OR (platform.current_tenant() = '*'::text))) WITH CHECK (((user_id = ( SELECT nexus.current_user_id() AS current_user_id)) OR (platform.current_tenant() = '*'::text)));

GRANT USAGE ON SCHEMA lake_data TO datapunk;

GRANT USAGE ON SCHEMA nexus TO audit_owner;

GRANT USAGE ON SCHEMA platform TO lake_owner;
GRANT USAGE ON SCHEMA platform TO audit_owner;

REVOKE ALL ON FUNCTION nexus.append_audit(entry text, only_after_effect boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION nexus.append_audit(entry text, only_after_effect boolean) TO datapunk;

REVOKE ALL ON FUNCTION nexus.expire_audit() FROM PUBLIC;
GRANT ALL ON FUNCTION nexus.expire_audit() TO datapunk;

GRANT SELECT ON TABLE nexus.audit TO datapunk;

GRANT SELECT ON TABLE nexus.audit_anchors TO datapunk;

GRANT SELECT ON TABLE nexus.audit_heads TO datapunk;

ALTER DEFAULT PRIVILEGES FOR ROLE lake_owner IN SCHEMA lake_data GRANT SELECT,DELETE,UPDATE ON TABLES TO datapunk;
