-- What an organization's own directory (Okta, Entra) says of its people and groups,
-- by SCIM. Without a token the directory is switched off; what it said stays.
CREATE TABLE directories (
  org_id     TEXT PRIMARY KEY REFERENCES orgs (id) ON DELETE CASCADE,
  created_at BIGINT NOT NULL
);

CREATE TABLE directory_tokens (
  id         TEXT PRIMARY KEY,
  org_id     TEXT NOT NULL REFERENCES directories (org_id) ON DELETE CASCADE,
  hash       BYTEA NOT NULL UNIQUE,
  start      TEXT NOT NULL,
  agent      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at    BIGINT
);
CREATE INDEX directory_tokens_org ON directory_tokens (org_id, created_at);

-- A person of a directory. One who is not active has no membership; role is what it
-- was, to come back to. disabled says that the account was disabled with them, by the
-- directory and by nobody else. gone is one that the directory deleted: it is not there
-- for it any more, but what was done to the account is remembered.
CREATE TABLE directory_users (
  org_id      TEXT NOT NULL REFERENCES directories (org_id) ON DELETE CASCADE,
  user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  name_key    TEXT NOT NULL,
  external_id TEXT NOT NULL,
  active      BOOLEAN NOT NULL,
  disabled    BOOLEAN NOT NULL,
  gone        BOOLEAN NOT NULL,
  role        TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  attributes  TEXT NOT NULL,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  PRIMARY KEY (org_id, user_id)
);
CREATE UNIQUE INDEX directory_users_name ON directory_users (org_id, name_key) WHERE NOT gone;
CREATE INDEX directory_users_external ON directory_users (org_id, external_id) WHERE external_id <> '';
CREATE INDEX directory_users_order ON directory_users (org_id, created_at, user_id) WHERE NOT gone;
CREATE INDEX directory_users_user ON directory_users (user_id);

CREATE TABLE directory_groups (
  org_id      TEXT NOT NULL REFERENCES directories (org_id) ON DELETE CASCADE,
  id          TEXT NOT NULL,
  name        TEXT NOT NULL,
  name_key    TEXT NOT NULL,
  external_id TEXT NOT NULL,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL,
  PRIMARY KEY (org_id, id),
  UNIQUE (org_id, name_key)
);
CREATE INDEX directory_groups_external ON directory_groups (org_id, external_id) WHERE external_id <> '';
CREATE INDEX directory_groups_order ON directory_groups (org_id, created_at, id);

-- A group has people of its own directory and of no other.
CREATE TABLE directory_members (
  org_id   TEXT NOT NULL,
  group_id TEXT NOT NULL,
  user_id  TEXT NOT NULL,
  PRIMARY KEY (org_id, group_id, user_id),
  FOREIGN KEY (org_id, group_id) REFERENCES directory_groups (org_id, id) ON DELETE CASCADE,
  FOREIGN KEY (org_id, user_id) REFERENCES directory_users (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX directory_members_user ON directory_members (org_id, user_id);
