-- The outside identity providers that people may sign in with. The secret, by
-- which we prove ourselves to the provider, is needed back and so is sealed.
CREATE TABLE upstreams (
  key        TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,
  settings   TEXT NOT NULL,
  sealed     BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
