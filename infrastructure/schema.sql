-- The schema that infrastructure/migrations add up to. Written by `make schema`; change a migration instead.

CREATE SCHEMA lake;

CREATE SCHEMA lake_data;

CREATE SCHEMA platform;

CREATE SCHEMA stream;

CREATE FUNCTION platform.current_principal() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('datapunk.principal'::text, true), ''::text);

CREATE FUNCTION platform.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('datapunk.tenant'::text, true), ''::text);

COMMENT ON FUNCTION platform.current_tenant() IS 'Tenant of the transaction''s caller; null outside of a platform transaction, so no row is visible.';

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
    CONSTRAINT datasets_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text))
);

ALTER TABLE ONLY lake.datasets FORCE ROW LEVEL SECURITY;

CREATE TABLE platform.delivery_start (
    consumer text NOT NULL,
    message_id text NOT NULL,
    starts integer DEFAULT 1 NOT NULL,
    last_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE platform.delivery_start IS 'How often work on a redelivered message began: a message that ends its function is found by it.';

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

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_table_name_key UNIQUE (table_name);

ALTER TABLE ONLY lake.datasets
    ADD CONSTRAINT datasets_tenant_name_key UNIQUE (tenant, name);

ALTER TABLE ONLY platform.delivery_start
    ADD CONSTRAINT delivery_start_pkey PRIMARY KEY (consumer, message_id);

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

CREATE INDEX inbox_decided_at ON platform.inbox USING btree (decided_at);

CREATE INDEX events_subject ON stream.events USING btree (tenant, subject, "position") WHERE (subject IS NOT NULL);

CREATE INDEX events_type ON stream.events USING btree (tenant, type, "position");

ALTER TABLE lake.datasets ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON lake.datasets USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

ALTER TABLE stream.events ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON stream.events USING ((tenant = platform.current_tenant())) WITH CHECK ((tenant = platform.current_tenant()));

GRANT USAGE ON SCHEMA lake_data TO datapunk;

GRANT USAGE ON SCHEMA platform TO lake_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE lake_owner IN SCHEMA lake_data GRANT SELECT,DELETE,UPDATE ON TABLES TO datapunk;
