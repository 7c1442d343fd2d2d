package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/surface/oidc"
	"sallyport/internal/totp"
	"sallyport/internal/wire"
	"sallyport/internal/wire/transcript"
)

const (
	// password is everybody's, and secret every confidential client's.
	password   = "correct horse battery staple"
	secret     = "web-secret"
	totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	// cookie is the name of the session cookie.
	cookie = "sp_session"
	// verifier and challenge are those of RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// newAPI is the surface over a rig. Its messages are plain text.
func newAPI(r *rig.Rig) *oidc.API {
	return &oidc.API{
		OAuth: r.OAuth, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: slog.New(slog.DiscardHandler), Issuers: []string{rig.Base}, Cookie: cookie,
		ClientCert: "X-Client-Cert",
		Message: func(w http.ResponseWriter, _ *http.Request, status int, title, text string) {
			wire.Write(w, status, "text/plain", []byte(title+"\n"+text))
		},
	}
}

// world is a Sallyport with the applications and people of the tests.
type world struct {
	*rig.Rig
	t       testing.TB
	api     *oidc.API
	clients map[string]client.Client
	users   map[string]identity.User
	// key is that of the clients which sign: "signs", "fapi".
	key *ecdsa.PrivateKey
}

func newWorld(t testing.TB, d *db.DB) *world {
	t.Helper()
	r := rig.New(t, d)
	r.Settings = oauth.Settings{Registration: "open", Resources: []string{"https://api.example.com", "https://mcp.example.com/mcp"}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Rig: r, t: t, api: newAPI(r), clients: map[string]client.Client{}, users: map[string]identity.User{}, key: key}
	r.Mount(w.api.Routes(), nil)
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	hash := client.HashSecret(r.Key, secret)
	for name, change := range map[string]func(*client.Client){
		// web is the operator's own, with a secret; spa has none.
		"web": func(c *client.Client) { c.SecretHash, c.Policy.OAuth.Scopes = hash, []string{"api:read", "api:write"} },
		"spa": func(*client.Client) {},
		"asks": func(c *client.Client) {
			c.SecretHash, c.Policy.OAuth.Consent = hash, client.ConsentRequired
			c.Policy.OAuth.Scopes = []string{"api:read"}
		},
		"native": func(c *client.Client) {
			c.Source = client.Dynamic
			c.Policy.OAuth.TokenEndpointAuth = client.AuthNone
			c.Policy.RedirectURIs = []string{"http://127.0.0.1/callback", "com.example.app:/callback"}
		},
		"signs": func(c *client.Client) {
			c.SecretHash, c.Policy.OAuth.JWKS = hash, jwks
			c.Policy.OAuth.RequestURIs = []string{"https://app.example.com/request.jwt"}
		},
		"fapi": func(c *client.Client) {
			c.Policy.Profile, c.Policy.OAuth.JWKS, c.Policy.OAuth.TokenEndpointAuth = client.ProfileFAPI2, jwks, client.AuthPrivateKeyJWT
		},
		"pairwise": func(c *client.Client) { c.SecretHash, c.Policy.OAuth.SubjectType = hash, client.SubjectPairwise },
		"lax":      func(c *client.Client) { c.SecretHash, c.Policy.PKCE = hash, client.PKCEOptional },
		"members":  func(c *client.Client) { c.SecretHash, c.Policy.Registration = hash, client.Invite },
		"strict":   func(c *client.Client) { c.SecretHash, c.Policy.SecondFactor = hash, client.FactorRequired },
		"off":      func(c *client.Client) { c.Active = false },
		"machine": func(c *client.Client) {
			c.SecretHash, c.Policy.Grants = hash, []string{client.GrantClientCredentials}
			c.Policy.OAuth.Scopes = []string{"api:read", "api:write"}
		},
		"calendar": func(c *client.Client) {
			c.SecretHash, c.Policy.KeepUpstreamTokens, c.Policy.OAuth.Scopes = hash, true, []string{client.ScopeUpstream}
			c.Policy.Methods = append(c.Policy.Methods, "corp")
		},
		"opaque": func(c *client.Client) { c.SecretHash, c.Policy.AccessToken.Format = hash, client.FormatOpaque },
		"tv": func(c *client.Client) {
			c.Policy.Grants = []string{client.GrantDevice, client.GrantRefresh}
			c.Policy.RedirectURIs = nil
		},
	} {
		w.clients[name] = r.Client(name, change)
	}
	for name, change := range deviceClients(hash) {
		w.clients[name] = r.Client(name, change)
	}
	everywhere := []client.Client{}
	for _, name := range []string{"web", "spa", "asks", "native", "signs", "fapi", "pairwise", "lax", "strict", "opaque", "tv", "calendar"} {
		everywhere = append(everywhere, w.clients[name])
	}
	w.users["jane"] = r.User("jane@example.com", "Jane Doe", password, everywhere...)
	w.users["tom"] = r.User("tom@example.com", "Tom Totp", password, everywhere...)
	w.users["otto"] = r.User("outside@example.com", "Otto Outside", password)
	w.users["sue"] = r.User("suspended@example.com", "Sue Suspended", password)
	r.Enrol(w.users["sue"], w.clients["web"], client.Suspended, "user")
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return totp.Import(ctx, tx, r.Key, w.users["tom"].ID, totpSecret, r.Now())
	})
	return w
}

// signIn starts a session and returns its cookie.
func (w *world) signIn(name string, amr ...string) string {
	w.t.Helper()
	raw := ""
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, raw, err = session.Start(ctx, tx, session.Session{
			UserID: w.users[name].ID, AMR: append([]string{session.Password}, amr...), AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(8 * 3600e9),
		})
		return err
	})
	return raw
}

// signOut ends all sessions of a person.
func (w *world) signOut(name string) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := session.EndAll(ctx, tx, w.users[name].ID, "")
		return err
	})
}

// vars are what transcripts know: <web>, <jane>, <secret>, <challenge> …
func (w *world) vars() map[string]string {
	vars := map[string]string{
		"secret": secret, "password": password, "totp_secret": totpSecret, "verifier": verifier, "challenge": challenge,
		"callback": "https://app.example.com/callback", "issuer": rig.Base,
	}
	for name, c := range w.clients {
		vars[name] = string(c.ID)
	}
	for name, u := range w.users {
		vars[name] = string(u.ID)
	}
	return vars
}

// hooks are what "@ run" calls: "sign in jane" sets <jane_cookie>, with a second
// factor "sign in tom with a code"; "sign out jane".
func (w *world) hooks() map[string]func(*testing.T, map[string]string) {
	hooks := map[string]func(*testing.T, map[string]string){}
	for name := range w.users {
		hooks["sign in "+name] = func(_ *testing.T, vars map[string]string) { vars[name+"_cookie"] = cookie + "=" + w.signIn(name) }
		hooks[fmt.Sprintf("sign in %s with a code", name)] = func(_ *testing.T, vars map[string]string) {
			vars[name+"_cookie"] = cookie + "=" + w.signIn(name, session.OTP)
		}
		hooks["sign out "+name] = func(*testing.T, map[string]string) { w.signOut(name) }
	}
	maps.Copy(hooks, w.authorizeHooks())
	maps.Copy(hooks, w.deviceHooks())
	maps.Copy(hooks, w.logoutHooks())
	maps.Copy(hooks, w.tokenHooks())
	maps.Copy(hooks, w.upstreamHooks())
	return hooks
}

func stage(t *testing.T, d *db.DB) transcript.Stage {
	w := newWorld(t, d)
	vars, hooks := w.vars(), w.hooks()
	maps.Copy(hooks, registrations(t, w.Rig, vars))
	return transcript.Stage{Host: w, Vars: vars, Hooks: hooks}
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.Postgres(t)) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	transcript.Coverage(t, newAPI(rig.New(t, dbtest.SQLite(t))).Routes(), "testdata")
}
