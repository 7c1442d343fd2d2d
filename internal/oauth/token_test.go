package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
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
)

// callers is how many try at once what may succeed once.
const callers = 100

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	callback = "https://app.example.com/callback"
	webPlain = "web-secret"
)

var challenge = s256(verifier)

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var visitor = oauth.Visitor{IP: "192.0.2.1", UserAgent: "test", Base: rig.Base}

// town is a Sallyport with a confidential and a public application, and Jane.
type town struct {
	*rig.Rig
	t    *testing.T
	web  client.Client
	spa  client.Client
	jane identity.User
}

func newTown(t *testing.T, d *db.DB) town {
	r := rig.New(t, d)
	w := town{Rig: r, t: t}
	w.web = r.Client("Web", func(c *client.Client) {
		c.SecretHash = client.HashSecret(r.Key, webPlain)
		c.Policy.Grants = []string{client.GrantCode, client.GrantRefresh, client.GrantClientCredentials}
		c.Policy.OAuth.Scopes = []string{"orders:read", "orders:write"}
	})
	w.spa = r.Client("Spa", nil)
	w.jane = r.User("jane@example.com", "Jane Doe", "", w.web, w.spa)
	return w
}

// code is a code of Jane's for a client, with everything that ours have.
func (w town) code(cl client.Client, change func(*grant.Grant)) string {
	w.t.Helper()
	raw, now := secret.Hex(32), w.Now()
	g := grant.Grant{
		ID: grant.NewID(), ClientID: cl.ID, UserID: w.jane.ID, Issuer: rig.Base, Subject: string(w.jane.ID),
		Scope: []string{"openid", "email", "offline_access"}, AMR: []string{"pwd"}, AuthenticatedAt: now,
		Code:          grant.Code{RedirectURI: callback, RedirectURIGiven: true, Challenge: challenge, ChallengeMethod: "S256", Nonce: "n-1"},
		CodeExpiresAt: now.Add(time.Minute), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&g)
	}
	w.Write(func(ctx context.Context, tx *db.Tx) error { return grant.Create(ctx, tx, g, secret.Hash(raw)) })
	return raw
}

// ask is a token request of a client, by its secret if it has one.
func ask(cl client.Client, pairs ...string) oauth.TokenIn {
	p := oauth.Params{}
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i]] = append(p[pairs[i]], pairs[i+1])
	}
	in := oauth.TokenIn{Params: p, Visitor: visitor, Auth: oauth.ClientAuth{ID: string(cl.ID), Endpoint: rig.Base + "/oauth2/token", Visitor: visitor}}
	if cl.Confidential() {
		in.Auth.Method, in.Auth.Secret = oauth.BySecretBasic, webPlain
	}
	return in
}

func redeeming(cl client.Client, code string) oauth.TokenIn {
	return ask(cl, "grant_type", client.GrantCode, "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

func refreshing(cl client.Client, raw string) oauth.TokenIn {
	return ask(cl, "grant_type", client.GrantRefresh, "refresh_token", raw)
}

// token asks and must get.
func (w town) token(in oauth.TokenIn) oauth.Issued {
	w.t.Helper()
	out, err := w.OAuth.Token(w.t.Context(), in)
	if err != nil {
		w.t.Fatalf("%s: %v", in.Params.Get("grant_type"), err)
	}
	return out
}

// refused asks and must be refused with the code.
func (w town) refused(what string, in oauth.TokenIn, code string) {
	w.t.Helper()
	_, err := w.OAuth.Token(w.t.Context(), in)
	wantError(w.t, what, err, code)
}

func wantError(t *testing.T, what string, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// alive reports whether an access token of what was granted is good at this moment.
func (w town) alive(i oauth.Issued) bool {
	w.t.Helper()
	_, err := w.OAuth.Use(w.t.Context(), oauth.UseIn{Token: accessOf(i), Scheme: "Bearer", Need: "openid"})
	if _, refused := errors.AsType[*oauth.Error](err); err != nil && !refused {
		w.t.Fatal(err)
	}
	return err == nil
}

func accessOf(i oauth.Issued) oauth.AccessToken {
	return oauth.AccessToken{
		ID: "jti of " + string(i.Grant.ID), Issuer: rig.Base, Subject: i.Grant.Subject, ClientID: i.Client.ID, GrantID: i.Grant.ID, Audience: []string{rig.Base},
		Scope: i.Scope, Binding: i.Binding, ExpiresAt: i.Grant.ExpiresAt,
	}
}

// race lets all callers go at once and returns the results of those who
// succeeded; every other must have been refused with the code.
func race(t *testing.T, code string, call func(i int) (oauth.Issued, error)) []oauth.Issued {
	t.Helper()
	var mu sync.Mutex
	var won []oauth.Issued
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			out, err := call(i)
			if err != nil {
				wantError(t, "a loser", err, code)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, out)
		})
	}
	close(start)
	wg.Wait()
	return won
}

func TestOfManyRedemptionsOneWinsAndTheNextEndsAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		code := w.code(w.web, nil)
		won := race(t, oauth.InvalidGrant, func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), redeeming(w.web, code)) })
		if len(won) != 1 {
			t.Fatalf("%d of %d redeemed the code, want 1", len(won), callers)
		}
		// The losers came second, so nothing that the winner got is good (RFC 9700 §4.5).
		if w.alive(won[0]) {
			t.Error("the access token lives on after the code was replayed")
		}
		w.refused("refresh after a replay", refreshing(w.web, won[0].Refresh), oauth.InvalidGrant)
	})
}

func TestSecondRedemptionEndsTheTokensOfTheFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		code := w.code(w.spa, nil)
		out := w.token(redeeming(w.spa, code))
		if out.Refresh == "" || out.Nonce != "n-1" || !out.OpenID() || !w.alive(out) {
			t.Fatalf("first redemption: refresh %q, nonce %q, alive %v", out.Refresh, out.Nonce, w.alive(out))
		}
		next := w.token(refreshing(w.spa, out.Refresh))
		w.refused("second redemption", redeeming(w.spa, code), oauth.InvalidGrant)
		if w.alive(out) || w.alive(next) {
			t.Error("access tokens live on")
		}
		w.refused("refresh", refreshing(w.spa, next.Refresh), oauth.InvalidGrant)
	})
}

func TestOfManyRefreshesOneWinsAndTheGrantEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		first := w.token(redeeming(w.web, w.code(w.web, nil)))
		won := race(t, oauth.InvalidGrant, func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), refreshing(w.web, first.Refresh)) })
		if len(won) != 1 {
			t.Fatalf("%d of %d refreshed, want 1", len(won), callers)
		}
		if w.alive(first) || w.alive(won[0]) {
			t.Error("access tokens live on after a refresh token was used twice")
		}
		w.refused("refresh by the winner", refreshing(w.web, won[0].Refresh), oauth.InvalidGrant)
	})
}

func TestRefreshInsideTheGraceIsAnsweredAlike(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		tabs := w.Client("Tabs", func(c *client.Client) { c.Policy.RefreshToken.ReuseGrace = client.Duration(10 * time.Second) })
		w.Enrol(w.jane, tabs, client.Active)
		first := w.token(redeeming(tabs, w.code(tabs, nil)))
		won := race(t, "", func(int) (oauth.Issued, error) { return w.OAuth.Token(t.Context(), refreshing(tabs, first.Refresh)) })
		if len(won) != callers {
			t.Fatalf("%d of %d refreshed inside the grace", len(won), callers)
		}
		for _, o := range won {
			if o.Refresh != won[0].Refresh {
				t.Fatalf("two successors: %s and %s", o.Refresh, won[0].Refresh)
			}
		}
		w.Advance(11 * time.Second)
		w.refused("past the grace", refreshing(tabs, first.Refresh), oauth.InvalidGrant)
		if w.alive(won[0]) {
			t.Error("the grant lives on")
		}
	})
}

func TestGrantLivesAsLongAsItIsRefreshed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		out := w.token(redeeming(w.web, w.code(w.web, nil)))
		for range 10 {
			w.Advance(29 * 24 * time.Hour)
			w.Write(func(ctx context.Context, tx *db.Tx) error { _, err := grant.Sweep(ctx, tx, w.Now(), 100); return err })
			out = w.token(refreshing(w.web, out.Refresh))
		}
		if !w.alive(out) {
			t.Error("the grant was swept under a living refresh token")
		}
	})
}

// An upstream account may come without an address, and its user is a person like
// any other.
func TestGrantOfAUserWithoutAnAddress(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.jane = w.User("", "Nobody's Mailbox", "", w.web)
		first := w.token(redeeming(w.web, w.code(w.web, nil)))
		again := w.token(refreshing(w.web, first.Refresh))
		if again.User.ID != w.jane.ID || again.User.Email != "" || !w.alive(again) {
			t.Errorf("got %+v", again.User)
		}
	})
}

func TestClientCredentials(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.Settings.Resources = []string{"https://api.example.com"}
		asked := func(pairs ...string) oauth.TokenIn {
			return ask(w.web, append([]string{"grant_type", client.GrantClientCredentials}, pairs...)...)
		}
		out := w.token(asked("scope", "orders:read", "resource", "https://api.example.com"))
		if !slices.Equal(out.Scope, []string{"orders:read"}) || !slices.Equal(out.Resources, []string{"https://api.example.com"}) || out.Refresh != "" || out.OpenID() {
			t.Errorf("got %+v", out)
		}
		if out := w.token(asked()); strings.Join(out.Scope, " ") != "orders:read orders:write" {
			t.Errorf("without a scope: %q", out.Scope)
		}
		w.refused("a scope of people", asked("scope", "openid"), oauth.InvalidScope)
		w.refused("another's scope", asked("scope", "orders:read admin"), oauth.InvalidScope)
		w.refused("another resource", asked("resource", "https://evil.example"), oauth.InvalidTarget)
		machine := w.spa
		machine.Policy.Grants = []string{client.GrantClientCredentials}
		w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, machine, w.Now()) })
		w.refused("a public client", ask(machine, "grant_type", client.GrantClientCredentials), oauth.UnauthorizedClient)
	})
}

func TestTokenRequestsNameAGrantThatIsAllowed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.refused("none", ask(w.web), oauth.InvalidRequest)
		w.refused("unknown", ask(w.web, "grant_type", "password"), oauth.UnsupportedGrantType)
		w.refused("not the client's", ask(w.spa, "grant_type", client.GrantClientCredentials), oauth.UnauthorizedClient)
		w.refused("no code", ask(w.web, "grant_type", client.GrantCode), oauth.InvalidRequest)
		w.refused("no refresh token", ask(w.web, "grant_type", client.GrantRefresh), oauth.InvalidRequest)
	})
}
