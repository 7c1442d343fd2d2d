-- The records of the provider: what people granted to applications, the codes
-- that carry it there, and what must not come twice.

-- A grant is what one person gave one application at one time. Its code is its
-- first phase; refresh-token families and access tokens hang on it and end with it.
CREATE TABLE grants (
  id               TEXT PRIMARY KEY,
  client_id        TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  session_id       TEXT NOT NULL,
  issuer           TEXT NOT NULL,
  subject          TEXT NOT NULL,
  scope            TEXT NOT NULL,
  resources        TEXT NOT NULL,
  claims           TEXT NOT NULL,
  amr              TEXT NOT NULL,
  acr              TEXT NOT NULL,
  binding          TEXT NOT NULL,
  actor            TEXT NOT NULL,
  authenticated_at BIGINT NOT NULL,
  code_hash        BYTEA UNIQUE,
  code             TEXT NOT NULL,
  code_expires_at  BIGINT,
  redeemed_at      BIGINT,
  created_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL
);
CREATE INDEX grants_user ON grants (user_id, client_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_session ON grants (session_id) WHERE session_id <> '';
CREATE INDEX grants_expiry ON grants (expires_at);

ALTER TABLE refresh_families ADD COLUMN grant_id TEXT REFERENCES grants (id) ON DELETE CASCADE;
CREATE INDEX refresh_families_grant ON refresh_families (grant_id) WHERE grant_id IS NOT NULL;

CREATE TABLE consents (
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scope      TEXT NOT NULL,
  resources  TEXT NOT NULL,
  claims     TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

CREATE TABLE device_codes (
  hash       BYTEA PRIMARY KEY,
  user_code  TEXT NOT NULL UNIQUE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  request    TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied')),
  grant_id   TEXT REFERENCES grants (id) ON DELETE CASCADE,
  poll_every BIGINT NOT NULL,
  polled_at  BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX device_codes_client ON device_codes (client_id);
CREATE INDEX device_codes_grant ON device_codes (grant_id);
CREATE INDEX device_codes_expiry ON device_codes (expires_at);

-- Access tokens that were revoked before their time, by jti.
CREATE TABLE revoked_tokens (
  id         TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);

-- Proofs of others that may come once: DPoP proofs, client assertions, request objects.
CREATE TABLE seen (
  hash       BYTEA PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX seen_expiry ON seen (expires_at);

-- A client that registered itself: 'dynamic' by RFC 7591, 'document' by a
-- client id metadata document, whose URL is its id. Others are the operator's.
ALTER TABLE clients ADD COLUMN source TEXT NOT NULL DEFAULT '' CHECK (source IN ('', 'dynamic', 'document'));
ALTER TABLE clients ADD COLUMN registration_hash BYTEA;
ALTER TABLE clients ADD COLUMN refreshed_at BIGINT;
CREATE INDEX clients_refreshed ON clients (refreshed_at) WHERE source = 'document';
