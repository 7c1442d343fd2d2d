-- Sign-in by upstreams: what is kept of the account at the other end, by which
-- names other systems know our users, and where a role came from.

-- What the upstream said at the last sign-in, to show.
ALTER TABLE links ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
CREATE INDEX links_email ON links (email);

-- The upstream that a session was proved by, and its own session there.
ALTER TABLE sessions ADD COLUMN upstream TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN upstream_session TEXT NOT NULL DEFAULT '';

-- The id of the one refresh token that is good, where a surface's are JWTs that
-- rotate; '' is any that names the session, '-' none.
ALTER TABLE sessions ADD COLUMN renewal TEXT NOT NULL DEFAULT '';

-- The id by which a client knows a user, where it is not ours.
CREATE TABLE aliases (
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  alias     TEXT NOT NULL,
  user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (client_id, alias),
  UNIQUE (client_id, user_id)
);
CREATE INDEX aliases_user ON aliases (user_id);

-- The last number that was given out as an alias in a client.
CREATE TABLE alias_numbers (
  client_id TEXT PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
  last      BIGINT NOT NULL
);

-- A role of an enrolment that a rule gave ("given"), or one that somebody took
-- away ("barred"), which no rule gives again.
CREATE TABLE rule_roles (
  user_id   TEXT NOT NULL,
  client_id TEXT NOT NULL,
  role      TEXT NOT NULL,
  state     TEXT NOT NULL CHECK (state IN ('given', 'barred')),
  PRIMARY KEY (user_id, client_id, role),
  FOREIGN KEY (user_id, client_id) REFERENCES enrolments (user_id, client_id) ON DELETE CASCADE
);

-- The tokens of an upstream that a client asked to have kept, sealed: those of
-- the account that its user came by last. Without a refresh token they are of no
-- use after ends_at. Whoever renews them has until busy_until.
CREATE TABLE kept_tokens (
  client_id  TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  upstream   TEXT NOT NULL REFERENCES upstreams (key) ON DELETE CASCADE,
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  sealed     BYTEA NOT NULL,
  ends_at    BIGINT,
  busy_until BIGINT NOT NULL,
  kept_at    BIGINT NOT NULL,
  PRIMARY KEY (client_id, user_id, upstream),
  FOREIGN KEY (issuer, subject) REFERENCES links (issuer, subject) ON DELETE CASCADE
);
CREATE INDEX kept_tokens_user ON kept_tokens (user_id);
CREATE INDEX kept_tokens_link ON kept_tokens (issuer, subject);
CREATE INDEX kept_tokens_upstream ON kept_tokens (upstream);
CREATE INDEX kept_tokens_ends ON kept_tokens (ends_at) WHERE ends_at IS NOT NULL;
