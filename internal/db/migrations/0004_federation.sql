-- Sign-in by upstreams: what is kept of the account at the other end, by which
-- names other systems know our users, and where a role came from.

-- What the upstream said at the last sign-in, to show.
ALTER TABLE links ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
CREATE INDEX links_email ON links (email);

-- The upstream that a session was proved by, and its own session there.
ALTER TABLE sessions ADD COLUMN upstream TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN upstream_session TEXT NOT NULL DEFAULT '';

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

-- A role of an enrolment that a rule gave ("given"), or one that a rule gave and
-- somebody took away ("barred"), which no rule gives again.
CREATE TABLE rule_roles (
  user_id   TEXT NOT NULL,
  client_id TEXT NOT NULL,
  role      TEXT NOT NULL,
  state     TEXT NOT NULL CHECK (state IN ('given', 'barred')),
  PRIMARY KEY (user_id, client_id, role),
  FOREIGN KEY (user_id, client_id) REFERENCES enrolments (user_id, client_id) ON DELETE CASCADE
);
