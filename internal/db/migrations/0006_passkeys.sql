-- WebAuthn credentials. data is the credential record of the specification as the
-- WebAuthn library writes it; what is looked for or decided upon has its own column.
CREATE TABLE passkeys (
  id         BYTEA PRIMARY KEY,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  data       TEXT NOT NULL,
  sign_count BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at    BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id, created_at);
