-- Who takes codes by mail for a second factor: chosen says that they asked for it,
-- barred that only their mailbox has vouched for them since an authenticator did.
CREATE TABLE mailed_factors (
  user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  chosen     BOOLEAN NOT NULL,
  barred     BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL
);

-- Browsers that a person trusts not to ask for the second factor again. previous is
-- the cookie before the one that the browser has now.
CREATE TABLE trusted_devices (
  id         TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  hash       BYTEA NOT NULL UNIQUE,
  previous   BYTEA,
  created_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX trusted_devices_user ON trusted_devices (user_id);
CREATE INDEX trusted_devices_previous ON trusted_devices (previous);
CREATE INDEX trusted_devices_expires ON trusted_devices (expires_at);
