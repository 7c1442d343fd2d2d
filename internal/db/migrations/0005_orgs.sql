-- Groups of people: a customer's organization, an account. Above it stands
-- another one or an application, which is a tenant; without either it stands at
-- the top. One with others below it is not deleted.
CREATE TABLE orgs (
  id         TEXT PRIMARY KEY,
  slug       TEXT UNIQUE,
  name       TEXT NOT NULL,
  picture    TEXT NOT NULL,
  parent_id  TEXT REFERENCES orgs (id),
  tenant_id  TEXT REFERENCES tenants (id),
  status     TEXT NOT NULL CHECK (status IN ('active', 'trial', 'past_due', 'suspended', 'closed')),
  paid_until BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  CHECK (parent_id IS NULL OR tenant_id IS NULL)
);
CREATE INDEX orgs_parent ON orgs (parent_id, created_at) WHERE parent_id IS NOT NULL;
CREATE INDEX orgs_tenant ON orgs (tenant_id, created_at) WHERE tenant_id IS NOT NULL;

CREATE TABLE memberships (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (org_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, created_at);

-- The membership that a person wants to act in when nothing else says which.
CREATE TABLE preferred_memberships (
  user_id       TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  membership_id TEXT NOT NULL REFERENCES memberships (id) ON DELETE CASCADE
);
CREATE INDEX preferred_memberships_membership ON preferred_memberships (membership_id);

-- A claim to a domain binds nobody until it is verified, and then is the only one.
CREATE TABLE org_domains (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  token       TEXT NOT NULL,
  client_id   TEXT REFERENCES clients (id) ON DELETE SET NULL,
  verified_at BIGINT,
  created_at  BIGINT NOT NULL,
  UNIQUE (org_id, name)
);
CREATE UNIQUE INDEX org_domains_verified ON org_domains (name) WHERE verified_at IS NOT NULL;
CREATE INDEX org_domains_client ON org_domains (client_id) WHERE client_id IS NOT NULL;

-- The clients that belong to an organization: that it made, or that the operator gave it.
CREATE TABLE org_clients (
  client_id TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
  org_id    TEXT NOT NULL REFERENCES orgs (id)
);
CREATE INDEX org_clients_org ON org_clients (org_id);

-- The account that a sign-in acts in, with the role as it was then: its tokens
-- say both until they end, and they end with the membership.
ALTER TABLE refresh_families ADD COLUMN membership_id TEXT REFERENCES memberships (id) ON DELETE CASCADE;
ALTER TABLE refresh_families ADD COLUMN org_role TEXT NOT NULL DEFAULT '';
CREATE INDEX refresh_families_membership ON refresh_families (membership_id) WHERE membership_id IS NOT NULL;

-- An invitation is to a client, to an organization, or to an organization by way
-- of a client, whose pages and name its mail then has.
CREATE TABLE invites_anew (
  id          TEXT PRIMARY KEY,
  code_hash   BYTEA NOT NULL UNIQUE,
  client_id   TEXT REFERENCES clients (id) ON DELETE CASCADE,
  org_id      TEXT REFERENCES orgs (id) ON DELETE CASCADE,
  email       TEXT NOT NULL,
  roles       TEXT NOT NULL,
  org_role    TEXT NOT NULL CHECK ((org_id IS NULL) = (org_role = '')),
  shown       BOOLEAN NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'revoked')),
  invited_by  TEXT NOT NULL,
  accepted_by TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  accepted_at BIGINT,
  CHECK (client_id IS NOT NULL OR org_id IS NOT NULL)
);
INSERT INTO invites_anew (id, code_hash, client_id, email, roles, org_role, shown, status, invited_by, accepted_by, created_at, expires_at, accepted_at)
  SELECT id, code_hash, client_id, email, roles, '', FALSE, status, invited_by, accepted_by, created_at, expires_at, accepted_at FROM invites;
DROP TABLE invites;
ALTER TABLE invites_anew RENAME TO invites;
CREATE INDEX invites_client ON invites (client_id, created_at);
CREATE INDEX invites_org ON invites (org_id, created_at) WHERE org_id IS NOT NULL;
CREATE UNIQUE INDEX invites_one_pending ON invites (client_id, email) WHERE status = 'pending' AND email <> '' AND org_id IS NULL;
CREATE UNIQUE INDEX invites_one_pending_org ON invites (org_id, email) WHERE status = 'pending' AND org_id IS NOT NULL;

-- Who waits for a feature, in which account.
CREATE TABLE waitlist (
  id          TEXT PRIMARY KEY,
  org_id      TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  feature     TEXT NOT NULL,
  client_id   TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  status      TEXT NOT NULL CHECK (status IN ('waiting', 'approved', 'rejected')),
  notified_at BIGINT,
  created_at  BIGINT NOT NULL,
  UNIQUE (org_id, user_id, feature)
);
CREATE INDEX waitlist_user ON waitlist (user_id);
CREATE INDEX waitlist_client ON waitlist (client_id, status, created_at);

-- When somebody who waits for a place was last told so.
ALTER TABLE enrolments ADD COLUMN notified_at BIGINT;
CREATE INDEX enrolments_pending ON enrolments (created_at) WHERE status = 'pending';
