package oauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// ScopeRegister lets the holder of an access token register clients where
// strangers may not: it is the initial access token of RFC 7591 §3. A service of
// the operator's gets one by its client credentials.
const ScopeRegister = "clients:register"

// Who may register clients.
const (
	RegistrationOpen  = "open"
	RegistrationToken = "token"
	RegistrationOff   = "off"
)

// RegisterIn is a client that registers itself. Metadata is the JSON it sent.
// Use is the access token that came along, zero if none did.
type RegisterIn struct {
	Metadata []byte
	Use      UseIn
	Visitor  Visitor
}

// Registered is a client as it is registered. Secret and Token are its secret
// and the token that manages its registration (RFC 7592), where this answer is
// the one to tell them: they are kept as hashes.
type Registered struct {
	Client   client.Client
	Metadata Metadata
	Secret   string
	Token    string
}

// registrations limits how many clients one network may bring in, in a minute
// and in a day, or one service that may register them.
func registrations(by client.ID, v Visitor) []limit.Rule {
	from, often := wire.Origin{IP: v.IP}.Network(), 1
	if by != "" {
		from, often = string(by), 20
	}
	return []limit.Rule{
		{Name: "oauth.register minute", Key: from, N: 5 * often, Per: time.Minute},
		{Name: "oauth.register day", Key: from, N: 100 * often, Per: 24 * time.Hour},
	}
}

// Register makes a client of what it says of itself (RFC 7591, OpenID Connect
// Registration), if the operator lets whoever asks. Fails with an *Error, or
// with fault.RateLimited.
func (c *Core) Register(ctx context.Context, in RegisterIn) (Registered, error) {
	settings := c.settings()
	by, err := c.registrar(ctx, settings, in.Use)
	if err != nil {
		return Registered{}, err
	}
	// Counted before anything is read from elsewhere for a stranger.
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return take(ctx, tx, c.Now(), registrations(by, in.Visitor)...)
	})
	if err != nil {
		return Registered{}, err
	}
	m, err := readMembers(in.Metadata)
	if err != nil {
		return Registered{}, err
	}
	md, err := c.describe(ctx, m, registrant{trusted: by != "", scopes: settings.Scopes})
	if err != nil {
		return Registered{}, err
	}
	r := Registered{Token: newRegistrationToken()}
	r.Client = client.Client{
		ID: client.NewID(), Name: md.Name, Active: true, CreatedAt: c.Now(), Source: client.Dynamic,
		RegistrationHash: secret.Hash(r.Token), Policy: md.policy(newPolicy()),
	}
	if usesSecret(md.TokenEndpointAuth) {
		r.Secret = newClientSecret()
		r.Client.SecretHash = client.HashSecret(c.Key, r.Secret)
	}
	r.Metadata = metadataOf(r.Client) // as it will be told whenever it is asked for
	return r, c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := client.Create(ctx, tx, r.Client); err != nil {
			return err
		}
		e := registration(audit.ClientCreated, r.Client, by, in.Visitor)
		e.Detail["confidential"] = r.Client.Confidential()
		return audit.Record(ctx, tx, c.Now(), e)
	})
}

// registrar judges whether whoever asks may register a client, and returns whose
// token they showed, "" for a stranger's where all may.
func (c *Core) registrar(ctx context.Context, s Settings, use UseIn) (client.ID, error) {
	switch {
	case s.Registration != RegistrationOpen && s.Registration != RegistrationToken:
		return "", refuse(AccessDenied, "clients are registered by the operator alone")
	case use.Token.ID == "" && s.Registration == RegistrationOpen:
		return "", nil
	case use.Token.ID == "":
		return "", refuse(InvalidToken, "registering a client needs an access token with the scope "+ScopeRegister)
	}
	seen, err := c.shown(use)
	if err != nil {
		return "", err
	}
	var l Live
	ok := false
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		l, ok, err = c.live(ctx, tx, use.Token)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case !ok || !slices.Contains(use.Token.Audience, use.Token.Issuer) && !slices.Contains(use.Token.Audience, l.Client.Policy.Audience):
		return "", refuse(InvalidToken, "the token has ended, or is for another resource")
	case use.Token.GrantID != "" || !slices.Contains(use.Token.Scope, ScopeRegister):
		return "", refuse(InsufficientScope, "registering a client needs a service's token with the scope "+ScopeRegister)
	}
	return l.Client.ID, c.spendAlone(ctx, seen)
}

// registration is what the audit log says of a client that registered itself.
func registration(a audit.Action, cl client.Client, by client.ID, v Visitor) audit.Event {
	e := audit.Event{Action: a, ClientID: cl.ID, IP: v.IP, RequestID: v.RequestID,
		Detail: map[string]any{"source": client.Dynamic, "name": cl.Name, "redirect_uris": cl.Policy.RedirectURIs}}
	if by != "" {
		e.Actor = audit.Service(by)
	}
	return e
}

// The secrets of a registration: 256 random bits each, marked so that scanners
// of published code know them.
func newClientSecret() string      { return "sp_cs_" + secret.Hex(32) }
func newRegistrationToken() string { return "sp_reg_" + secret.Hex(32) }

// ManageIn is a client that looks after its own registration (RFC 7592). Token
// is the registration access token; Metadata is the JSON of an update.
type ManageIn struct {
	ClientID string
	Token    string
	Metadata []byte
	Visitor  Visitor
}

// Registration returns what is registered of the client that holds the token.
// That the client is not there is told like a wrong token (RFC 7592 §2.1). Fails
// with an *Error that is InvalidToken, or AccessDenied if the operator has
// switched the client off.
func (c *Core) Registration(ctx context.Context, in ManageIn) (Registered, error) {
	wrong := refuse(InvalidToken, "the registration access token is not of this client")
	id, ok := identity.ParseID(in.ClientID)
	if !ok {
		return Registered{}, wrong
	}
	cl, found, err := c.findClient(ctx, client.ID(id))
	switch {
	case err != nil:
		return Registered{}, err
	case !found || len(cl.RegistrationHash) == 0 || !secret.Equal(secret.Hash(in.Token), cl.RegistrationHash):
		return Registered{}, wrong
	case !cl.Active:
		return Registered{}, refuse(AccessDenied, "the operator has switched this client off")
	}
	return Registered{Client: cl, Metadata: metadataOf(cl), Token: in.Token}, nil
}

// changes limits how often one client may update its registration: each may
// make us ask another server.
func changes(id client.ID) limit.Rule {
	return limit.Rule{Name: "oauth.register change", Key: string(id), N: 30, Per: time.Hour}
}

// UpdateRegistration replaces all that a client says of itself (RFC 7592 §2.2),
// and nothing that the operator decided about it.
// Its id and its tokens stay; it gets a secret if it has none and now needs one,
// and loses the one it no longer uses. Fails as Register and Registration do.
func (c *Core) UpdateRegistration(ctx context.Context, in ManageIn) (Registered, error) {
	settings := c.settings()
	if settings.Registration != RegistrationOpen && settings.Registration != RegistrationToken {
		return Registered{}, refuse(AccessDenied, "clients are changed by the operator alone")
	}
	was, err := c.Registration(ctx, in)
	if err != nil {
		return Registered{}, err
	}
	cl := was.Client
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return take(ctx, tx, c.Now(), changes(cl.ID)) })
	if err != nil {
		return Registered{}, err
	}
	m, err := readMembers(in.Metadata)
	if err != nil {
		return Registered{}, err
	}
	if err := c.ownUpdate(m, cl); err != nil {
		return Registered{}, err
	}
	md, err := c.describe(ctx, m, registrant{keeps: cl.Policy.Grants, scopes: settings.Scopes})
	if err != nil {
		return Registered{}, err
	}
	return c.putRegistration(ctx, was, md, in)
}

// ownUpdate holds an update to RFC 7592 §2.2: it names its client, and at most
// the secret that the client has, and nothing that is ours to set.
func (c *Core) ownUpdate(m *members, cl client.Client) error {
	if id, ok := identity.ParseID(m.text("client_id")); !ok || id != string(cl.ID) {
		return badMetadata("client_id is missing, or of another client")
	}
	if m.has("client_secret") && !cl.VerifySecret(c.Key, m.text("client_secret")) {
		return badMetadata("client_secret is not the client's")
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if m.has(name) {
			return badMetadata(name + " may not be in an update")
		}
	}
	return nil
}

func (c *Core) putRegistration(ctx context.Context, was Registered, md Metadata, in ManageIn) (Registered, error) {
	r := Registered{Client: was.Client, Token: in.Token}
	r.Client.Name, r.Client.Policy = md.Name, md.policy(was.Client.Policy)
	r.Metadata = metadataOf(r.Client)
	switch needs := usesSecret(md.TokenEndpointAuth); {
	case needs && !was.Client.Confidential():
		r.Secret = newClientSecret()
		r.Client.SecretHash = client.HashSecret(c.Key, r.Secret)
	case !needs:
		r.Client.SecretHash = nil
	}
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := client.Update(ctx, tx, r.Client, c.Now()); err != nil {
			return err
		}
		if r.Client.Confidential() != was.Client.Confidential() {
			if err := client.SetSecret(ctx, tx, r.Client.ID, r.Client.SecretHash, c.Now()); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, c.Now(), registration(audit.ClientUpdated, r.Client, r.Client.ID, in.Visitor))
	})
	if errors.Is(err, db.ErrConflict) {
		err = &Error{Code: TemporarilyUnavailable, Description: "the client was changed at the same time", RetryAfter: time.Second, Err: err}
	}
	return r, err
}

// EndRegistration deletes a client at its own wish, with everything that people
// gave it (RFC 7592 §2.3). Fails as Registration does.
func (c *Core) EndRegistration(ctx context.Context, in ManageIn) error {
	was, err := c.Registration(ctx, in)
	if err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := client.Delete(ctx, tx, was.Client.ID); err != nil {
			return notFoundIsZero(err) // somebody was faster
		}
		return audit.Record(ctx, tx, c.Now(), registration(audit.ClientDeleted, was.Client, was.Client.ID, in.Visitor))
	})
}
