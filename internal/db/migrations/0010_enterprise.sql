-- A claim to a domain is to be proved before expires_at, or asked for anew. What its
-- owner's name servers proved is looked at again at check_at; NULL is never, because
-- whoever runs the installation vouches for it. failures counts the looks in a row
-- that found nothing.
ALTER TABLE org_domains ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE org_domains ADD COLUMN checked_at BIGINT;
ALTER TABLE org_domains ADD COLUMN check_at BIGINT;
ALTER TABLE org_domains ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
CREATE INDEX org_domains_check ON org_domains (check_at) WHERE check_at IS NOT NULL;

-- From when a second factor is demanded, once the organization demands one, and how
-- many days its members were given.
ALTER TABLE orgs ADD COLUMN mfa_from BIGINT;
ALTER TABLE orgs ADD COLUMN mfa_grace_days BIGINT NOT NULL DEFAULT 0;

-- Links by which somebody without an account sets up an organization's sign-in.
CREATE TABLE setup_links (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  token_hash BYTEA NOT NULL UNIQUE,
  made_by    TEXT NOT NULL,
  email      TEXT NOT NULL,
  opened_at  BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX setup_links_org ON setup_links (org_id, created_at);
CREATE INDEX setup_links_expiry ON setup_links (expires_at);

-- What came of the newest test of an organization's sign-in.
CREATE TABLE sso_tests (
  org_id   TEXT PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
  revision BIGINT NOT NULL,
  at       BIGINT NOT NULL,
  result   TEXT NOT NULL
);

-- When a connection is next looked after: its provider's metadata are read again,
-- and its certificates counted down. warned_for is the end that was last warned of,
-- warned_days how many days before it.
ALTER TABLE sso_connections ADD COLUMN look_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sso_connections ADD COLUMN look_failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sso_connections ADD COLUMN warned_for BIGINT;
ALTER TABLE sso_connections ADD COLUMN warned_days BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sso_connections_look ON sso_connections (look_at);

-- To end what a connection let in.
CREATE INDEX refresh_families_upstream ON refresh_families (upstream) WHERE upstream <> '';
