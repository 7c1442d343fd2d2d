-- The records of style: people, applications, sessions, tokens, one-time secrets,
-- and the tables that carry work (limits, audit, jobs, webhooks).
-- Instants are UTC microseconds; lists and maps are JSON text; ids are text minted by the owning package.

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  display_name  TEXT NOT NULL,
  given_name    TEXT NOT NULL,
  family_name   TEXT NOT NULL,
  status        TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'disabled')),
  password_hash TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL
);

CREATE TABLE emails (
  address     TEXT PRIMARY KEY,
  user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  is_primary  BOOLEAN NOT NULL,
  verified_at BIGINT,
  created_at  BIGINT NOT NULL
);
CREATE INDEX emails_user ON emails (user_id);

CREATE TABLE links (
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  upstream   TEXT NOT NULL,
  email      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX links_user ON links (user_id);

CREATE TABLE tenants (
  id              TEXT PRIMARY KEY,
  slug            TEXT NOT NULL UNIQUE,
  name            TEXT NOT NULL,
  password_policy TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL
);

CREATE TABLE clients (
  id           TEXT PRIMARY KEY,
  key          TEXT UNIQUE,
  tenant_id    TEXT REFERENCES tenants (id),
  is_console   BOOLEAN NOT NULL,
  name         TEXT NOT NULL,
  bundle_id    TEXT NOT NULL,
  secret_hash  BYTEA,
  active       BOOLEAN NOT NULL,
  policy       TEXT NOT NULL,
  has_webhooks BOOLEAN NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL
);
CREATE INDEX clients_tenant ON clients (tenant_id);

CREATE TABLE client_logos (
  client_id    TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
  content_type TEXT NOT NULL,
  data         BYTEA NOT NULL,
  updated_at   BIGINT NOT NULL
);

CREATE TABLE client_origins (
  origin    TEXT NOT NULL,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  PRIMARY KEY (origin, client_id)
);
CREATE INDEX client_origins_client ON client_origins (client_id);

CREATE TABLE enrolments (
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  status     TEXT NOT NULL CHECK (status IN ('active', 'pending', 'suspended')),
  roles      TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX enrolments_client ON enrolments (client_id, status);

CREATE TABLE totp (
  user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  sealed       BYTEA NOT NULL,
  confirmed_at BIGINT,
  last_step    BIGINT NOT NULL,
  created_at   BIGINT NOT NULL
);

CREATE TABLE backup_codes (
  user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  hash    BYTEA NOT NULL,
  PRIMARY KEY (user_id, hash)
);

CREATE TABLE sessions (
  id               TEXT PRIMARY KEY,
  token_hash       BYTEA NOT NULL UNIQUE,
  user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  amr              TEXT NOT NULL,
  partial          BOOLEAN NOT NULL,
  ip               TEXT NOT NULL,
  user_agent       TEXT NOT NULL,
  authenticated_at BIGINT NOT NULL,
  created_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- One row is one refresh-token family; rotation replaces the hash in place.
CREATE TABLE refresh_families (
  id         BIGINT PRIMARY KEY,
  hash       BYTEA NOT NULL,
  recent     TEXT NOT NULL,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  session_id TEXT NOT NULL,
  device_id  TEXT NOT NULL,
  amr        TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  sweep_at   BIGINT NOT NULL
);
CREATE INDEX refresh_families_user ON refresh_families (user_id, client_id);
CREATE INDEX refresh_families_client ON refresh_families (client_id);
CREATE INDEX refresh_families_session ON refresh_families (session_id);
CREATE INDEX refresh_families_sweep ON refresh_families (sweep_at);

CREATE TABLE signing_keys (
  id         TEXT PRIMARY KEY,
  alg        TEXT NOT NULL,
  client_id  TEXT REFERENCES clients (id) ON DELETE CASCADE,
  sealed     BYTEA NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('next', 'active', 'retired')),
  created_at BIGINT NOT NULL,
  active_at  BIGINT,
  retired_at BIGINT,
  expires_at BIGINT
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (alg) WHERE state = 'active' AND client_id IS NULL;
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (alg) WHERE state = 'next' AND client_id IS NULL;
CREATE UNIQUE INDEX signing_keys_client_active ON signing_keys (client_id, alg) WHERE state = 'active' AND client_id IS NOT NULL;

CREATE TABLE onetime_secrets (
  hash       BYTEA PRIMARY KEY,
  purpose    TEXT NOT NULL,
  user_id    TEXT REFERENCES users (id) ON DELETE CASCADE,
  client_id  TEXT REFERENCES clients (id) ON DELETE CASCADE,
  email      TEXT NOT NULL,
  data       TEXT NOT NULL,
  tries      BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX onetime_user ON onetime_secrets (user_id, purpose, created_at);
CREATE INDEX onetime_client ON onetime_secrets (client_id);
CREATE INDEX onetime_expiry ON onetime_secrets (expires_at);

CREATE TABLE invites (
  id          TEXT PRIMARY KEY,
  code_hash   BYTEA NOT NULL UNIQUE,
  client_id   TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  email       TEXT NOT NULL,
  roles       TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pending', 'accepted', 'revoked')),
  invited_by  TEXT NOT NULL,
  accepted_by TEXT NOT NULL,
  created_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL,
  accepted_at BIGINT
);
CREATE INDEX invites_client ON invites (client_id, created_at);
CREATE UNIQUE INDEX invites_one_pending ON invites (client_id, email) WHERE status = 'pending' AND email <> '';

CREATE TABLE limits (
  key TEXT PRIMARY KEY,
  tat BIGINT NOT NULL
);
CREATE INDEX limits_tat ON limits (tat);

CREATE TABLE audit (
  id         TEXT PRIMARY KEY,
  at         BIGINT NOT NULL,
  actor      TEXT NOT NULL,
  action     TEXT NOT NULL,
  client_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  ip         TEXT NOT NULL,
  request_id TEXT NOT NULL,
  detail     TEXT NOT NULL,
  announce   BOOLEAN NOT NULL
);
CREATE INDEX audit_client ON audit (client_id, id);
CREATE INDEX audit_user ON audit (user_id, id);
CREATE INDEX audit_announce ON audit (id) WHERE announce;

CREATE TABLE jobs (
  id         TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,
  payload    BYTEA NOT NULL,
  run_at     BIGINT NOT NULL,
  attempts   BIGINT NOT NULL,
  dead       BOOLEAN NOT NULL,
  last_error TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE NOT dead;

CREATE TABLE webhooks (
  id         TEXT PRIMARY KEY,
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  url        TEXT NOT NULL,
  events     TEXT NOT NULL,
  sealed     BYTEA NOT NULL,
  active     BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX webhooks_client ON webhooks (client_id);

CREATE TABLE deliveries (
  id              TEXT PRIMARY KEY,
  webhook_id      TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  event           TEXT NOT NULL,
  body            TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
  attempts        BIGINT NOT NULL,
  response_status BIGINT,
  response_body   TEXT NOT NULL,
  error           TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  delivered_at    BIGINT,
  next_retry_at   BIGINT
);
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, created_at);
CREATE INDEX deliveries_created ON deliveries (created_at);

-- Settings of the installation: a surface's line of the resource file, sealed process keys, markers.
CREATE TABLE settings (
  name       TEXT PRIMARY KEY,
  value      TEXT NOT NULL,
  updated_at BIGINT NOT NULL
);
