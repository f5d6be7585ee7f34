-- Workloads: services that prove who they are, and the client certificates issued to them.

CREATE TABLE nexus.workloads (
    tenant      text        NOT NULL REFERENCES nexus.tenants (id),
    service     text        NOT NULL CHECK (service ~ '^[a-z][a-z0-9-]{0,62}$'),
    scopes      text[]      NOT NULL,
    role_arn    text,
    secret_hash bytea,
    created_by  text        NOT NULL DEFAULT platform.current_principal(),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, service),
    -- One way to prove itself, never two: the weaker one would count.
    CHECK ((role_arn IS NULL) <> (secret_hash IS NULL))
);

COMMENT ON COLUMN nexus.workloads.role_arn IS
    'The IAM role the service proves to have; null where it has a registration secret.';

CREATE TABLE nexus.certificates (
    serial     text        PRIMARY KEY CHECK (serial ~ '^[0-9a-f]{1,40}$'),
    tenant     text        NOT NULL,
    service    text        NOT NULL,
    not_before timestamptz NOT NULL,
    not_after  timestamptz NOT NULL,
    revoked_at timestamptz,
    FOREIGN KEY (tenant, service) REFERENCES nexus.workloads (tenant, service) ON DELETE CASCADE
);

CREATE INDEX certificates_workload ON nexus.certificates (tenant, service);
CREATE INDEX certificates_not_after ON nexus.certificates (not_after);

COMMENT ON TABLE nexus.certificates IS
    'Certificates issued, by serial number: one that is not here, or is revoked, opens nothing.';

ALTER TABLE nexus.workloads ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.workloads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.workloads
    USING (platform.sees(tenant) AND (SELECT nexus.administers()))
    WITH CHECK (platform.sees(tenant) AND (SELECT nexus.administers()));

ALTER TABLE nexus.certificates ENABLE ROW LEVEL SECURITY;
ALTER TABLE nexus.certificates FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON nexus.certificates
    USING (platform.sees(tenant) AND (SELECT nexus.administers()))
    WITH CHECK (platform.sees(tenant) AND (SELECT nexus.administers()));
