package logout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/jwks"
	"sallyport/internal/logout"
	"sallyport/internal/outbound"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/token"
)

// listener is a client's back-channel endpoint.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []string // the tokens
}

func newListener(t *testing.T) *listener {
	l := &listener{status: http.StatusOK}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(r.PostFormValue("logout_token")) == 0 {
			t.Errorf("got %s with %q", r.Method, r.Header.Get("Content-Type"))
		}
		l.got = append(l.got, r.PostFormValue("logout_token"))
		if l.status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(l.status)
	}))
	t.Cleanup(l.Close)
	return l
}

// answers sets the status of the answers, and forgets what came.
func (l *listener) answers(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status, l.got = status, nil
}

func (l *listener) tokens() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

// stage is a Sallyport with a courier, a listening client and a person.
type stage struct {
	*rig.Rig
	t    *testing.T
	at   *listener
	app  client.Client
	jane identity.User
	jobs *job.Runner

	courier *logout.Courier
}

func newStage(t *testing.T, d *db.DB) *stage {
	r := rig.New(t, d)
	s := &stage{Rig: r, t: t, at: newListener(t)}
	s.app = s.client("App", nil)
	s.jane = r.User("jane@example.com", "Jane Doe", "", s.app)
	out := outbound.Client(outbound.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: logout.Timeout})
	t.Cleanup(out.CloseIdleConnections)
	courier := &logout.Courier{DB: d, Keys: r.Keys, Client: out, Now: r.Now}
	s.jobs = &job.Runner{DB: d, Now: r.Now, Log: slog.New(slog.DiscardHandler), Handlers: courier.Handlers()}
	s.courier = courier
	return s
}

func (s *stage) client(name string, change func(*client.Client)) client.Client {
	return s.Client(name, func(c *client.Client) {
		c.Policy.BackchannelLogoutURI = s.at.URL + "/logout"
		if change != nil {
			change(c)
		}
	})
}

// grant makes a grant of Jane's whose code was redeemed.
func (s *stage) grant(cl client.Client, in session.ID, scope ...string) grant.Grant {
	g := grant.Grant{
		ID: grant.NewID(), ClientID: cl.ID, UserID: s.jane.ID, SessionID: in, Issuer: "https://id.example.com/api", Subject: "sub-of-jane", Scope: scope,
		AuthenticatedAt: s.Now(), CodeExpiresAt: s.Now().Add(time.Minute), CreatedAt: s.Now(), ExpiresAt: s.Now().Add(time.Hour),
	}
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		if err := grant.Create(ctx, tx, g, []byte(g.ID)); err != nil {
			return err
		}
		return grant.Redeem(ctx, tx, g.ID, g.ExpiresAt, s.Now())
	})
	return g
}

// lives reports which of the grants are left.
func (s *stage) lives(gs ...grant.Grant) (alive []bool) {
	s.Write(func(ctx context.Context, tx *db.Tx) error {
		all, err := grant.ByUser(ctx, tx, s.jane.ID, "")
		for _, g := range gs {
			alive = append(alive, slices.ContainsFunc(all, func(o grant.Grant) bool { return o.ID == g.ID }))
		}
		return err
	})
	return alive
}

// work does what is due and returns how many attempts that were.
func (s *stage) work() int {
	s.t.Helper()
	n, err := s.jobs.RunOnce(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// read verifies a logout token and returns its claims.
func (s *stage) read(raw, alg string) map[string]any {
	s.t.Helper()
	tok, err := token.Verify(s.Keys, "", []string{alg}, raw)
	if err != nil || tok.Type != "logout+jwt" {
		s.t.Fatalf("%q: type %q, %v", raw, tok.Type, err)
	}
	var c map[string]any
	if err := json.Unmarshal(tok.Payload, &c); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// sessions are the sids that were told, in order.
func (s *stage) sessions() (all []string) {
	for _, raw := range s.at.tokens() {
		sid, _ := s.read(raw, jwks.RS256)["sid"].(string)
		all = append(all, sid)
	}
	slices.Sort(all)
	return all
}

// Back-Channel Logout §2.4, §2.5.
func TestLogoutTokenSaysWhoAndWhere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.grant(s.app, "s1", "openid")
		s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })
		if n := s.work(); n != 1 {
			t.Fatalf("%d attempts, want 1", n)
		}
		got := s.read(s.at.tokens()[0], jwks.RS256)
		if id, _ := got["jti"].(string); len(id) < 20 {
			t.Errorf("jti %q", id)
		}
		delete(got, "jti")
		at := float64(s.Now().Unix())
		want := map[string]any{
			"iss": "https://id.example.com/api", "sub": "sub-of-jane", "aud": string(s.app.ID), "sid": "s1", "iat": at, "exp": at + 120,
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if n := s.work(); n != 0 {
			t.Errorf("told again, %d times", n)
		}
	})
}

func TestLogoutTokenIsSignedAsIDTokensAre(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		for name, change := range map[string]func(*client.Client){
			"modern": func(c *client.Client) { c.Policy.OAuth.IDTokenAlg = jwks.ES256 },
			"fapi":   func(c *client.Client) { c.Policy.Profile = client.ProfileFAPI2 },
			"wrong":  func(c *client.Client) { c.Policy.Profile, c.Policy.OAuth.IDTokenAlg = client.ProfileFAPI2, jwks.RS256 },
		} {
			s.grant(s.client(name, change), "s1", "openid")
		}
		s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })
		s.work()
		for _, raw := range s.at.tokens() {
			s.read(raw, jwks.ES256)
		}
	})
}

// Back-Channel Logout §2.7.
func TestOfflineAccessOutlivesTheSession(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		here, lasting := s.grant(s.app, "s1", "openid"), s.grant(s.app, "s1", "openid", "offline_access")
		plain, elsewhere := s.grant(s.app, "s1", "files"), s.grant(s.app, "s2", "openid")
		s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })
		if got := s.lives(here, lasting, plain, elsewhere); !slices.Equal(got, []bool{false, true, false, true}) {
			t.Errorf("lives: got %v", got)
		}
		s.work()
		if got := s.sessions(); !slices.Equal(got, []string{"s1"}) {
			t.Errorf("told of %v, want of s1 once", got)
		}
	})
}

func TestWhoEndsWhat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   func(ctx context.Context, tx *db.Tx, s *stage) error
		lives []bool // of: first, offline in first, second, device, another client's in first
		told  []string
	}{
		"the other sessions": {
			func(ctx context.Context, tx *db.Tx, s *stage) error {
				return logout.Sessions(ctx, tx, s.jane.ID, "second", s.Now())
			},
			[]bool{false, true, true, true, false}, []string{"first", "first"},
		},
		"everything but a session": {
			func(ctx context.Context, tx *db.Tx, s *stage) error {
				return logout.Everything(ctx, tx, s.jane.ID, "second", s.Now())
			},
			[]bool{false, false, true, false, false}, []string{"", "first", "first"},
		},
		"everything": {
			func(ctx context.Context, tx *db.Tx, s *stage) error {
				return logout.Everything(ctx, tx, s.jane.ID, "", s.Now())
			},
			[]bool{false, false, false, false, false}, []string{"", "first", "first", "second"},
		},
		"a place": {
			func(ctx context.Context, tx *db.Tx, s *stage) error {
				return logout.Place(ctx, tx, s.jane.ID, s.app.ID, s.Now())
			},
			[]bool{false, false, false, false, true}, []string{"", "first", "second"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newStage(t, d)
				other := s.client("Other", nil)
				gs := []grant.Grant{
					s.grant(s.app, "first", "openid"), s.grant(s.app, "first", "openid", "offline_access"), s.grant(s.app, "second", "openid"),
					s.grant(s.app, "", "openid", "offline_access"), s.grant(other, "first", "openid"),
				}
				s.Write(func(ctx context.Context, tx *db.Tx) error { return c.end(ctx, tx, s) })
				if got := s.lives(gs...); !slices.Equal(got, c.lives) {
					t.Errorf("lives: got %v, want %v", got, c.lives)
				}
				s.work()
				if got := s.sessions(); !slices.Equal(got, c.told) {
					t.Errorf("told of %q, want %q", got, c.told)
				}
			})
		})
	}
}

func TestOnlyThoseAreToldWhoKnowAndWant(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.grant(s.Client("Deaf", nil), "s1", "openid")
		s.grant(s.client("Off", func(c *client.Client) { c.Active = false }), "s1", "openid")
		s.grant(s.client("By session", func(c *client.Client) { c.Policy.OAuth.BackchannelNeedsSID = true }), "", "openid")
		s.grant(s.client("No ID token", nil), "s1", "files")
		never := s.grant(s.client("Never came for its code", nil), "s1", "openid")
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := grant.End(ctx, tx, never.ID); err != nil {
				return err
			}
			if err := grant.Create(ctx, tx, never, []byte(never.ID)); err != nil { // as it was before Redeem
				return err
			}
			return logout.Everything(ctx, tx, s.jane.ID, "", s.Now())
		})
		s.work()
		if got := s.at.tokens(); len(got) != 0 {
			t.Errorf("%d were told, want none", len(got))
		}
	})
}

// A client that fails is told again, each time by a token of its own, and not
// for ever.
func TestClientThatFailsIsToldAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.grant(s.app, "s1", "openid")
		s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })
		seen := map[string]bool{}
		for i, status := range []int{http.StatusBadRequest, http.StatusFound, http.StatusInternalServerError, 400, 400, 400, 400} {
			s.at.answers(status)
			if n := s.work(); n != 1 {
				t.Fatalf("attempt %d: %d were due, want 1", i, n)
			}
			got := s.at.tokens()
			if len(got) != 1 || seen[got[0]] {
				t.Fatalf("attempt %d: got %q, want one new token", i, got)
			}
			seen[got[0]] = true
			if c := s.read(got[0], jwks.RS256); c["iat"] != float64(s.Now().Unix()) {
				t.Errorf("attempt %d: made at %v, want now", i, c["iat"])
			}
			s.Advance(10 * time.Hour)
		}
		if n := s.work(); n != 0 {
			t.Errorf("still told, %d times", n)
		}
	})
}

// The address is judged when it is called, whatever it was when it was registered.
func TestPrivateAddressIsNotCalled(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	s := newStage(t, d)
	app := s.client("Inside", func(c *client.Client) {
		u, err := url.Parse(s.at.URL)
		if err != nil {
			t.Fatal(err)
		}
		c.Policy.BackchannelLogoutURI = "http://[::1]:" + u.Port() + "/logout"
	})
	s.grant(app, "s1", "openid")
	s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })
	var log strings.Builder
	s.jobs.Log = slog.New(slog.NewTextHandler(&log, nil))
	s.work()
	if len(s.at.tokens()) != 0 || !strings.Contains(log.String(), "refused") {
		t.Errorf("called: %d; log: %s", len(s.at.tokens()), log.String())
	}
}

func TestNoticeThatCannotBeReadIsGivenUp(t *testing.T) {
	t.Parallel()
	c := &logout.Courier{}
	if err := c.Tell(t.Context(), job.Job{Payload: []byte("{")}); err == nil || !strings.Contains(err.Error(), job.ErrGiveUp.Error()) {
		t.Errorf("got %v", err)
	}
}

// Addresses of clients that registered themselves may hang, all of them: the
// operator's clients are told at once all the same.
func TestStrangersThatHangHoldUpNobodyElse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.courier.Client.Timeout = time.Minute // on a busy machine, too, they hang for longer than is waited here
		hung := make(chan struct{})
		let := sync.OnceFunc(func() { close(hung) })
		hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
		t.Cleanup(hangs.Close)
		t.Cleanup(let) // first, so that the server can close
		for i := range 20 {
			stranger := s.client(fmt.Sprintf("Stranger %d", i), func(c *client.Client) {
				c.Source, c.Policy.BackchannelLogoutURI = client.Dynamic, hangs.URL
			})
			s.grant(stranger, "s1", "openid")
		}
		s.grant(s.app, "s1", "openid")
		s.Write(func(ctx context.Context, tx *db.Tx) error { return logout.Session(ctx, tx, "s1", s.Now()) })

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.jobs.Run(ctx) }()
		deadline := time.After(20 * time.Second)
		for told := 0; told == 0; told = len(s.at.tokens()) {
			select {
			case <-deadline:
				t.Fatal("the operator's client was not told while strangers hang")
			case <-time.After(20 * time.Millisecond):
			}
		}
		stop()
		let()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
