package tofu_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/jwks"
	"sallyport/internal/rig"
	"sallyport/internal/surface/tofu"
	"sallyport/internal/totp"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire/transcript"
)

const (
	password = "correct horse battery staple" // everybody's
	// secretKey is Django's SECRET_KEY, which signs all tokens of the original.
	secretKey  = "the-key-of-the-old-backend-9f8e7d6c5b4a39281706f5e4"
	returnURI  = "https://app.example.com/callback"
	totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// site is a Sallyport with the surface, its client, three fake providers and the
// people of the tests.
type site struct {
	*rig.Rig
	api    *tofu.API
	client client.Client
	fakes  map[string]*upstreamtest.Fake
	people map[string]identity.User

	mu       sync.Mutex
	settings tofu.Settings
}

// set changes the surface's settings while it serves.
func (s *site) set(change func(*tofu.Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
}

func newSite(t testing.TB, d *db.DB, change func(*client.Client)) *site {
	r := rig.New(t, d)
	s := &site{Rig: r, fakes: map[string]*upstreamtest.Fake{}, people: map[string]identity.User{}}
	s.client = r.Client("Tofu", func(c *client.Client) {
		c.Policy.Methods = []string{client.MethodPassword, "google", "okta", "workos"}
		c.Policy.AccessToken = client.AccessToken{Lifetime: client.Duration(5 * minute), Alg: jwks.HS256}
		c.Policy.RefreshToken.Lifetime = client.Duration(24 * 60 * minute)
		c.Policy.AllowedOrigins = []string{"https://chrome.example.com"}
		if change != nil {
			change(c)
		}
	})
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := jwks.SetClientSecret(ctx, tx, r.Key, s.client.ID, []byte(secretKey), r.Now())
		return err
	})
	r.Advance(0) // the key is loaded
	for key, kind := range map[string]upstream.Kind{"google": upstream.Google, "okta": upstream.Okta, "workos": upstream.WorkOS} {
		s.fakes[key] = r.Upstream(key, kind, nil, crowd...)
	}
	s.settings = tofu.Settings{
		Client: s.client.ID, Google: "google", Okta: "okta", WorkOS: "workos",
		LogoutRevokesRefresh: true, PasswordRequiresNoMFA: true, RequireVerifiedEmail: true,
	}
	s.api = &tofu.API{SignIn: r.SignIn, Keys: r.Keys, Tokens: r.Tokens, Now: r.Now, Log: slog.New(slog.DiscardHandler), Settings: func() tofu.Settings {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.settings
	}}
	r.Mount(s.api.Routes(), s.api.MethodNotAllowed)
	r.NotFound(s.api.NotFound)

	s.people["jane"] = r.User("jane@example.com", "Jane Doe", password, s.client)
	s.people["sue"] = r.User("sue@example.com", "Sue Suspended", password, s.client)
	s.people["nora"] = r.User("nora@example.com", "Nora Nopass", "", s.client)
	s.people["tom"] = r.User("tom@example.com", "Tom Totp", password, s.client)
	for _, name := range []string{"jane", "sue", "nora", "tom"} { // 1, 2, 3, 4
		if _, err := r.SignIn.Number(context.Background(), s.client.ID, s.people[name].ID); err != nil {
			t.Fatal(err)
		}
	}
	// John is the contract's example; his number came with him.
	s.people["john"] = r.User("john@acme.com", "John Doe", "", s.client)
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return identity.SetAlias(ctx, tx, string(s.client.ID), "17", s.people["john"].ID)
	})
	r.Enrol(s.people["sue"], s.client, client.Suspended, "user")
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		return totp.Import(ctx, tx, r.Key, s.people["tom"].ID, totpSecret, r.Now())
	})
	return s
}

// crowd is who has an account at the providers.
var crowd = []upstreamtest.Person{
	{ID: "1", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", HostedDomain: "example.com"},
	{ID: "2", Email: "jane@example.com", EmailVerified: false, GivenName: "Mallory", FamilyName: "Unverified"},
	{ID: "3", Email: "jane@example.com", EmailVerified: true, GivenName: "Second", FamilyName: "Subject", HostedDomain: "example.com"},
	{ID: "4", Email: "new@example.com", EmailVerified: true, GivenName: "Nina", FamilyName: "New", HostedDomain: "example.com"},
	{ID: "5", Email: "fresh@example.com", EmailVerified: false, GivenName: "Fred", FamilyName: "Fresh"},
	{ID: "6", Email: "sue@example.com", EmailVerified: true, GivenName: "Sue", FamilyName: "Suspended", HostedDomain: "example.com"},
	{ID: "7", Email: "tom@example.com", EmailVerified: true, GivenName: "Tom", FamilyName: "Totp", HostedDomain: "example.com"},
	{ID: "8", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Elsewhere"}, // no hd: Google is not asked about such a mailbox
	{ID: "9", Email: "nora@example.com", EmailVerified: true, GivenName: "Ivan", FamilyName: "Impersonated", Impersonator: "support@workos.example"},
	{ID: "10", Email: "single@example.com", EmailVerified: true, GivenName: "", FamilyName: ""},
	{ID: "11", GivenName: "Nobody", FamilyName: "Noaddress"},
	{ID: "17", Email: "john@acme.com", EmailVerified: true, GivenName: "John", FamilyName: "Doe", HostedDomain: "acme.com"},
}

// code has a person of the crowd sign in at a provider, and returns the code that
// a web page would get.
func (s *site) code(t testing.TB, key, id, redirect, challenge, nonce string) string {
	t.Helper()
	q := url.Values{"client_id": {upstreamtest.ClientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid email profile"}}
	if challenge != "" {
		q.Set("code_challenge", challenge)
		q.Set("code_challenge_method", "S256")
	}
	if nonce != "" {
		q.Set("nonce", nonce)
	}
	back, _, err := s.fakes[key].Choose("https://provider.example/?"+q.Encode(), id, false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("code")
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return newSite(t, dbtest.SQLite(t), nil).stage(t) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return newSite(t, dbtest.Postgres(t), nil).stage(t) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	transcript.Coverage(t, new(tofu.API).Routes(), "testdata")
}

func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		if !tofu.Answers(c) {
			t.Errorf("fault %q has no status and words on this surface", c)
		}
	}
}

// TestWhatNobodyExpected: a failure that is nobody's business, and one that passes
// (contract §2.5).
func TestWhatNobodyExpected(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	new(tofu.API).Crash(w, nil)
	if got := w.Body.String(); w.Code != 500 || got != `{"error":"Server Error (500)"}` || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("crash: %d %s", w.Code, got)
	}
	s := newSite(t, dbtest.SQLite(t), nil)
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
	res := send(t, srv.Listener.Addr().String(), post("/api/token/refresh/", `{"refresh":"x"}`))
	if res.status != 503 || res.header.Get("Retry-After") == "" || res.body != `{"detail":"Service temporarily unavailable, try again later."}` {
		t.Errorf("without a database: %d %v %s", res.status, res.header, res.body)
	}
}
