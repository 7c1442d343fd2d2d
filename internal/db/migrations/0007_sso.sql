-- How an organization signs its members in. sign_in is what it demands of them, and
-- break_glass lets an owner with a second factor in by other ways, should its
-- provider fail.
ALTER TABLE orgs ADD COLUMN sign_in TEXT NOT NULL DEFAULT 'any' CHECK (sign_in IN ('any', 'mfa', 'sso'));
ALTER TABLE orgs ADD COLUMN break_glass BOOLEAN NOT NULL DEFAULT TRUE;

-- The provider of an organization: what it is asked by is settings, what nobody may
-- read is sealed. revision counts the changes to who may come in by it.
CREATE TABLE sso_connections (
  org_id     TEXT PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
  kind       TEXT NOT NULL CHECK (kind IN ('oidc', 'saml')),
  provider   TEXT NOT NULL,
  enabled    BOOLEAN NOT NULL,
  revision   BIGINT NOT NULL,
  issuer     TEXT NOT NULL,
  settings   TEXT NOT NULL,
  sealed     BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- The role that a membership falls back to when no rule of the organization's
-- connection raises it: '' where none does, 'barred' where somebody decided
-- otherwise by hand.
ALTER TABLE memberships ADD COLUMN base_role TEXT NOT NULL DEFAULT '';

-- Whose rule gave a role of an enrolment: '' for the client's own, else the
-- organization whose connection did.
ALTER TABLE rule_roles ADD COLUMN source TEXT NOT NULL DEFAULT '';

-- The upstream that a sign-in was proved by goes on with what came of it, because the
-- organization may demand that it be its own.
ALTER TABLE refresh_families ADD COLUMN upstream TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN upstream TEXT NOT NULL DEFAULT '';
CREATE INDEX links_upstream ON links (upstream);
CREATE INDEX sessions_upstream ON sessions (upstream) WHERE upstream <> '';

-- Answers of upstreams that are taken once and could come again: assertions by their
-- ID, hashed, until they have expired.
CREATE TABLE spent_answers (
  upstream   TEXT NOT NULL,
  answer     BYTEA NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (upstream, answer)
);
CREATE INDEX spent_answers_expires ON spent_answers (expires_at);

-- The organization that an entry is about.
ALTER TABLE audit ADD COLUMN org_id TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_org ON audit (org_id, id) WHERE org_id <> '';
