-- Personal access tokens: what a script shows instead of a person who signs in. One
-- that is pinned to an organization ends with its owner's membership there. amr and
-- upstream say how its owner had signed in when they made it.
CREATE TABLE api_keys (
  id         TEXT PRIMARY KEY,
  hash       BYTEA NOT NULL UNIQUE,
  start      TEXT NOT NULL,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  org_id     TEXT,
  name       TEXT NOT NULL,
  scopes     TEXT NOT NULL,
  metadata   TEXT NOT NULL,
  amr        TEXT NOT NULL,
  upstream   TEXT NOT NULL,
  enabled    BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  expires_at BIGINT,
  used_at    BIGINT,
  FOREIGN KEY (org_id, user_id) REFERENCES memberships (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_user ON api_keys (user_id, created_at);
CREATE INDEX api_keys_client ON api_keys (client_id);
CREATE INDEX api_keys_org ON api_keys (org_id, user_id) WHERE org_id IS NOT NULL;
CREATE INDEX api_keys_expiry ON api_keys (expires_at) WHERE expires_at IS NOT NULL;

-- Slugs that organizations had: for a while they lead to the new ones, and nobody
-- else gets them.
CREATE TABLE former_slugs (
  slug   TEXT PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  until  BIGINT NOT NULL
);
CREATE INDEX former_slugs_org ON former_slugs (org_id);
CREATE INDEX former_slugs_until ON former_slugs (until);
