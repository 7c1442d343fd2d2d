package oauth_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

// gate is a town whose people come by browser: asks is an application that asks
// for consent, native one that registered itself.
type gate struct {
	town
	asks, native client.Client
	otto         identity.User
}

func newGate(t *testing.T, d *db.DB) gate {
	w := gate{town: newTown(t, d)}
	w.Settings.Resources = []string{"https://api.example.com", "https://mcp.example.com/mcp"}
	w.asks = w.Client("Asks", func(c *client.Client) {
		c.SecretHash = client.HashSecret(w.Key, webPlain)
		c.Policy.OAuth.Consent, c.Policy.OAuth.Scopes = client.ConsentRequired, []string{"orders:read"}
	})
	w.native = w.Client("Native", func(c *client.Client) {
		c.Source, c.Policy.RedirectURIs = client.Dynamic, []string{"http://127.0.0.1/cb", "com.example.app:/cb", "http://app.localhost/cb"}
	})
	w.Enrol(w.jane, w.asks, client.Active, "user")
	w.Enrol(w.jane, w.native, client.Active, "user")
	w.otto = w.User("otto@example.com", "Otto Outside", "", w.asks)
	return w
}

// signIn starts a session that was proved just now, and returns its cookie.
func (w gate) signIn(u identity.User, amr ...string) (cookie string) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		_, cookie, err = session.Start(ctx, tx, session.Session{
			UserID: u.ID, AMR: append([]string{session.Password}, amr...), AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(8 * time.Hour),
		})
		return err
	})
	return cookie
}

// wanting are the parameters of a plain request of a client's, with others over them.
func wanting(cl client.Client, pairs ...string) oauth.Params {
	p := oauth.Params{
		"client_id": {string(cl.ID)}, "response_type": {"code"}, "redirect_uri": {cl.Policy.RedirectURIs[0]}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i]] = []string{pairs[i+1]}
	}
	return p
}

func (w gate) authorize(p oauth.Params, cookie string) (oauth.Decision, error) {
	return w.OAuth.Authorize(w.t.Context(), oauth.AuthorizeIn{Params: p, Cookie: cookie, Visitor: visitor})
}

// decide asks and must be answered.
func (w gate) decide(p oauth.Params, cookie string) oauth.Decision {
	w.t.Helper()
	d, err := w.authorize(p, cookie)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// told is what a reply says of one parameter.
func told(d oauth.Decision, name string) string {
	if d.Reply == nil {
		return ""
	}
	for _, p := range d.Reply.Params {
		if p[0] == name {
			return p[1]
		}
	}
	return ""
}

// next says what a decision is: the error that goes back, or "code", "login",
// "consent", "continue".
func next(d oauth.Decision) string {
	switch {
	case d.Login != nil:
		return "login"
	case d.Consent != "":
		return "consent"
	case d.Continue != "":
		return "continue"
	case told(d, "code") != "":
		return "code"
	}
	return told(d, "error")
}

func (w gate) wantNext(what string, d oauth.Decision, err error, want string) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s: %v, want %s", what, err, want)
	} else if got := next(d); got != want {
		w.t.Errorf("%s: got %q, want %q (%+v)", what, got, want, d.Reply)
	}
}

// grantOf reads the grant of a code.
func (w gate) grantOf(code string) (g grant.Grant) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		g, err = grant.ByCode(ctx, tx, secret.Hash(code))
		return err
	})
	return g
}

func TestCodeStandsForTheRequest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		w.Advance(time.Minute)
		p := wanting(w.web, "scope", "openid email unheard_of offline_access orders:read", "nonce", "n", "resource", "https://api.example.com/",
			"claims", `{"userinfo":{"given_name":null}}`, "dpop_jkt", strings.Repeat("k", 43))
		out := w.decide(p, cookie)
		w.wantNext("signed in", out, nil, "code")
		if got := told(out, "iss"); got != rig.Base || told(out, "state") != "s" || out.Reply.RedirectURI != callback {
			t.Errorf("reply: %+v", out.Reply)
		}
		g := w.grantOf(told(out, "code"))
		if g.ClientID != w.web.ID || g.UserID != w.jane.ID || g.Subject != string(w.jane.ID) || g.Issuer != rig.Base || g.SessionID == "" || g.ACR != oauth.ACRSingle ||
			!g.AuthenticatedAt.Equal(w.Now().Add(-time.Minute)) || !g.CodeExpiresAt.Equal(w.Now().Add(time.Minute)) {
			t.Errorf("grant: %+v", g)
		}
		if !slices.Equal(g.Scope, []string{"openid", "email", "offline_access", "orders:read"}) || !slices.Equal(g.Resources, []string{"https://api.example.com"}) ||
			string(g.Claims) != `{"userinfo":{"given_name":null}}` {
			t.Errorf("scope %v, resources %v, claims %s", g.Scope, g.Resources, g.Claims)
		}
		want := grant.Code{RedirectURI: callback, RedirectURIGiven: true, Challenge: challenge, ChallengeMethod: "S256", Nonce: "n", JKT: strings.Repeat("k", 43)}
		if g.Code != want {
			t.Errorf("code: got %+v, want %+v", g.Code, want)
		}
	})
}

func TestCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		out := w.decide(wanting(w.web), w.signIn(w.jane))
		if i := w.token(redeeming(w.web, told(out, "code"))); i.User.ID != w.jane.ID || !slices.Equal(i.Scope, []string{"openid"}) {
			t.Errorf("got %+v", i)
		}
	})
}

func TestAuthorizingCostsOneReadAndOneWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		before := d.Stats()
		w.wantNext("signed in", w.decide(wanting(w.web), cookie), nil, "code")
		after := d.Stats()
		if reads, writes := after.Reads-before.Reads, after.Transactions-before.Transactions; reads != 1 || writes != 1 {
			t.Errorf("%d reads and %d writes, want one of each", reads, writes)
		}
		w.wantNext("refused", w.decide(wanting(w.web, "prompt", "none"), ""), nil, oauth.LoginRequired)
		if writes := d.Stats().Transactions - after.Transactions; writes != 0 {
			t.Errorf("a refusal cost %d writes, want none", writes)
		}
	})
}

// What a person is asked depends on how, and how long ago, they signed in.
func TestPersonIsAskedToSignInAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		strict := w.Client("Strict", func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired })
		w.Enrol(w.jane, strict, client.Active, "user")
		old, coded := w.signIn(w.jane), w.signIn(w.jane, session.OTP)
		w.Advance(10 * time.Minute)
		for _, c := range []struct {
			name   string
			client client.Client
			pairs  []string
			cookie string
			want   string // without prompt=none
			none   string // with it
		}{
			{"plain", w.web, nil, old, "code", "code"},
			{"nobody", w.web, nil, "", "login", oauth.LoginRequired},
			{"a stranger's cookie", w.web, nil, secret.Hex(32), "login", oauth.LoginRequired},
			{"young enough", w.web, []string{"max_age", "600"}, old, "code", "code"},
			{"too old", w.web, []string{"max_age", "599"}, old, "login", oauth.LoginRequired},
			{"max_age=0", w.web, []string{"max_age", "0"}, old, "login", oauth.LoginRequired},
			{"max_age of ages", w.web, []string{"max_age", "9223372036854775807"}, old, "code", "code"},
			{"a second factor is owed", strict, nil, old, "login", oauth.LoginRequired},
			{"a second factor is there", strict, nil, coded, "code", "code"},
			{"acr wished for", w.web, []string{"acr_values", "2"}, old, "code", "code"},
			{"acr demanded", w.web, []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["2"]}}}`}, old, oauth.UnmetAuthentication, oauth.UnmetAuthentication},
			{"acr met", w.web, []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["1","2"]}}}`}, old, "code", "code"},
			{"another person", w.web, []string{"claims", `{"id_token":{"sub":{"value":"` + string(w.otto.ID) + `"}}}`}, old, "login", oauth.LoginRequired},
			{"the very person", w.web, []string{"claims", `{"id_token":{"sub":{"value":"` + string(w.jane.ID) + `"}}}`}, old, "code", "code"},
		} {
			d, err := w.authorize(wanting(c.client, c.pairs...), c.cookie)
			w.wantNext(c.name, d, err, c.want)
			d, err = w.authorize(wanting(c.client, append(c.pairs, "prompt", "none")...), c.cookie)
			w.wantNext(c.name+", prompt=none", d, err, c.none)
		}
		for _, prompt := range []string{"login", "select_account", "create", "login consent"} {
			d := w.decide(wanting(w.web, "prompt", prompt, "login_hint", "jane@example.com"), old)
			w.wantNext("prompt="+prompt, d, nil, "login")
			if d.Login != nil && (d.Login.Hint != "jane@example.com" || d.Login.Create != (prompt == "create")) {
				t.Errorf("prompt=%s: got %+v", prompt, d.Login)
			}
		}
	})
}

// The sign-in that was asked for is one after the request came, once.
func TestSignInOnTheWayIsEnough(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		old := w.signIn(w.jane)
		w.Advance(time.Minute)
		for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"prompt", "select_account"}} {
			handle := w.decide(wanting(w.web, pairs...), old).Login.Handle
			d, err := w.OAuth.Continue(t.Context(), handle, old, visitor)
			w.wantNext("without a new sign-in", d, err, "login")
			w.Advance(time.Minute)
			fresh := w.signIn(w.jane)
			w.Advance(time.Minute)
			d, err = w.OAuth.Continue(t.Context(), handle, fresh, visitor)
			w.wantNext("after one", d, err, "code")
		}
		// One who came back as another person than was meant is not sent round in a circle.
		handle := w.decide(wanting(w.web, "claims", `{"id_token":{"sub":{"value":"somebody"}}}`), old).Login.Handle
		out, err := w.OAuth.Continue(t.Context(), handle, w.signIn(w.jane), visitor)
		w.wantNext("another person", out, err, oauth.LoginRequired)
	})
}

func TestPlaceInTheClientDecides(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		enrolling := func(name string, r client.Registration) client.Client {
			return w.Client(name, func(c *client.Client) { c.Policy.Registration = r })
		}
		open, approval, invite := enrolling("Open", client.Open), enrolling("Approval", client.Approval), enrolling("Invite", client.Invite)
		pending, suspended := enrolling("Pending", client.Approval), enrolling("Suspended", client.Open)
		w.Enrol(w.jane, pending, client.Pending)
		w.Enrol(w.jane, suspended, client.Suspended)
		cookie := w.signIn(w.jane)
		w.Advance(time.Minute)
		for _, c := range []struct {
			client            client.Client
			want, none, fresh string
		}{
			{approval, "login", oauth.InteractionRequired, oauth.AccessDenied},
			{invite, "login", oauth.InteractionRequired, oauth.AccessDenied},
			{pending, "login", oauth.InteractionRequired, oauth.AccessDenied},
			{suspended, oauth.AccessDenied, oauth.AccessDenied, oauth.AccessDenied},
			{open, "code", "code", "code"},
		} {
			w.wantNext(c.client.Name, w.decide(wanting(c.client), cookie), nil, c.want)
			w.wantNext(c.client.Name+", prompt=none", w.decide(wanting(c.client, "prompt", "none"), cookie), nil, c.none)
			w.wantNext(c.client.Name+", just signed in", w.decide(wanting(c.client), w.signIn(w.jane)), nil, c.fresh)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			e, err := client.EnrolmentOf(ctx, tx, w.jane.ID, open.ID)
			if err == nil && !e.Has("user") {
				t.Errorf("in an open client: got %+v, want the default roles", e)
			}
			return err
		})
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, w.jane.ID, identity.Suspended, w.Now())
		})
		w.wantNext("suspended everywhere", w.decide(wanting(w.web), cookie), nil, "login")
	})
}

func TestPairwiseSubjects(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		pairwise := func(sector string, uris ...string) client.Client {
			return w.Client("Pairwise", func(c *client.Client) {
				c.Policy.OAuth.SubjectType, c.Policy.OAuth.SectorIdentifierURI, c.Policy.RedirectURIs = client.SubjectPairwise, sector, uris
			})
		}
		a, b := pairwise("", "https://a.example/cb", "https://a.example/cb2"), pairwise("", "https://a.example/other")
		c, many, many2 := pairwise("", "https://c.example/cb"), pairwise("", "https://a.example/cb", "https://c.example/cb"), pairwise("", "https://a.example/cb", "https://c.example/cb")
		named := pairwise("https://a.example/uris.json", "https://d.example/cb")
		of := func(cl client.Client) string { return w.OAuth.Subject(cl, w.jane.ID) }
		if of(a) != of(b) || of(a) != of(named) {
			t.Error("two clients of one sector know the person by two names")
		}
		for name, pair := range map[string][2]string{
			"two hosts": {of(a), of(c)}, "public": {of(a), of(w.web)}, "hosts of two": {of(a), of(many)}, "clients of many hosts": {of(many), of(many2)},
			"two people": {of(a), w.OAuth.Subject(a, w.otto.ID)},
		} {
			if pair[0] == pair[1] {
				t.Errorf("%s: the subject is the same", name)
			}
		}
		g := w.grantOf(told(w.decide(wanting(a), w.signIn(w.jane)), "code"))
		if g.Subject != of(a) {
			t.Errorf("grant: got %s, want %s", g.Subject, of(a))
		}
	})
}

// many runs callers at once and counts what came of each.
func many(call func(i int) string) map[string]int {
	var mu sync.Mutex
	count := map[string]int{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			got := call(i)
			mu.Lock()
			defer mu.Unlock()
			count[got]++
		})
	}
	close(start)
	wg.Wait()
	return count
}

func TestOfManyBrowsersWithOneHandleOneGetsTheCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		handle := w.decide(wanting(w.web), "").Login.Handle
		cookie := w.signIn(w.jane)
		got := many(func(int) string {
			d, err := w.OAuth.Continue(t.Context(), handle, cookie, visitor)
			if err != nil {
				return "refused"
			}
			return next(d)
		})
		if want := map[string]int{"code": 1, "refused": callers - 1}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
