-- The event store: every event of service.events, once, in the order of arrival.

CREATE SCHEMA stream;

CREATE TABLE stream.events (
    position        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          text        NOT NULL DEFAULT platform.current_tenant(),
    id              text        NOT NULL,
    source          text        NOT NULL,
    type            text        NOT NULL,
    subject         text,
    time            timestamptz NOT NULL,
    datacontenttype text,
    dataschema      text,
    -- json, not jsonb: an event is kept as it was sent, to the letter
    data            json,
    data_base64     text,
    extensions      jsonb       NOT NULL DEFAULT '{}',
    stored_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, source, id)
);

CREATE INDEX events_type ON stream.events (tenant, type, position);
CREATE INDEX events_subject ON stream.events (tenant, subject, position) WHERE subject IS NOT NULL;

ALTER TABLE stream.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE stream.events FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON stream.events
    USING (tenant = platform.current_tenant())
    WITH CHECK (tenant = platform.current_tenant());
