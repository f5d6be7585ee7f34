-- What belongs to one user and to nobody else, and first the accounts elsewhere that sign a user in.
--
-- Sessions themselves live in Redis, where they end by themselves.

CREATE SCHEMA user_data;

CREATE TABLE user_data.linked_accounts (
    issuer     text        NOT NULL,
    subject    text        NOT NULL,
    user_id    uuid        NOT NULL REFERENCES nexus.users (id) ON DELETE CASCADE,
    email      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX linked_accounts_user ON user_data.linked_accounts (user_id);

COMMENT ON TABLE user_data.linked_accounts IS
    'Accounts at other providers: an issuer never gives a subject to another person, an e-mail address may move.';

ALTER TABLE user_data.linked_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_data.linked_accounts FORCE ROW LEVEL SECURITY;

CREATE POLICY user_isolation ON user_data.linked_accounts
    USING (user_id = (SELECT nexus.current_user_id()) OR platform.current_tenant() = '*')
    WITH CHECK (user_id = (SELECT nexus.current_user_id()) OR platform.current_tenant() = '*');
