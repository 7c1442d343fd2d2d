package oauth_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
	"sallyport/internal/org"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

// A code is good for the client, the redirect URI, the verifier and the key that
// it was asked for with (RFC 6749 §4.1.3, RFC 9700 §4.5, §4.8).
func TestCodeIsBoundToItsRequest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		with := func(name, value string) func(oauth.Params) { return func(p oauth.Params) { p[name] = []string{value} } }
		without := func(name string) func(oauth.Params) { return func(p oauth.Params) { delete(p, name) } }
		noPKCE := func(g *grant.Grant) { g.Code.Challenge, g.Code.ChallengeMethod = "", "" }
		for _, c := range []struct {
			name   string
			grant  func(*grant.Grant)
			params func(oauth.Params)
		}{
			{"unknown code", nil, with("code", "nope")},
			{"wrong verifier", nil, with("code_verifier", verifier[:42]+"x")},
			{"no verifier", nil, without("code_verifier")},
			{"verifier is the challenge", nil, with("code_verifier", challenge)},
			{"short verifier", func(g *grant.Grant) { g.Code.Challenge = s256("abc") }, with("code_verifier", "abc")},
			{"another redirect URI", nil, with("redirect_uri", callback+"/")},
			{"PKCE downgrade: verifier for a code without a challenge", noPKCE, nil},
			{"no redirect URI and no PKCE", noPKCE, func(p oauth.Params) { delete(p, "redirect_uri"); delete(p, "code_verifier") }},
			{"a key that was promised", func(g *grant.Grant) { g.Code.JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }, nil},
			{"expired", func(g *grant.Grant) { g.CodeExpiresAt = w.Now() }, nil},
		} {
			in := redeeming(w.web, w.code(w.web, c.grant))
			if c.params != nil {
				c.params(in.Params)
			}
			w.refused(c.name, in, oauth.InvalidGrant)
		}
		in := redeeming(w.web, w.code(w.web, noPKCE))
		delete(in.Params, "code_verifier")
		w.token(in) // a code without a challenge needs no verifier: the client may have no PKCE
	})
}

func TestCodeOfAnotherClientIsLeftAsItIs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		code := w.code(w.web, nil)
		w.refused("by another client", redeeming(w.spa, code), oauth.InvalidGrant)
		in := redeeming(w.web, code)
		in.Auth.Method, in.Auth.Secret = "", ""
		w.refused("by the client's name alone", in, oauth.InvalidClient)
		out := w.token(redeeming(w.web, code))
		w.refused("replay by another client", redeeming(w.spa, code), oauth.InvalidGrant)
		if !w.alive(out) {
			t.Error("another client ended the grant")
		}
	})
}

func TestRefreshTokenOfAnotherClientIsLeftAsItIs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		first := w.token(redeeming(w.web, w.code(w.web, nil)))
		w.refused("by another client", refreshing(w.spa, first.Refresh), oauth.InvalidGrant)
		w.refused("made up", refreshing(w.web, "00"+first.Refresh[2:]), oauth.InvalidGrant)
		next := w.token(refreshing(w.web, first.Refresh))
		w.refused("an old one by another client", refreshing(w.spa, first.Refresh), oauth.InvalidGrant)
		if !w.alive(next) {
			t.Error("another client ended the grant")
		}
	})
}

// A refresh token of the provider is bound to its client's credentials. Where a
// client's id is all that is asked, it is unknown; and the other way round.
func TestRefreshTokensOfTwoKindsAreNotMixedUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		out := w.token(redeeming(w.web, w.code(w.web, nil)))
		if got, err := w.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: w.web.ID, Token: out.Refresh}); err == nil {
			t.Errorf("a sign-in was refreshed by the provider's token: %+v", got)
		}
		if !w.alive(out) {
			t.Error("trying ended the grant")
		}
		jane := w.User("joe@example.com", "Joe", "correct horse battery staple", w.spa)
		in, err := w.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: w.spa.ID, Email: jane.Email, Password: "correct horse battery staple"})
		if err != nil || in.SignedIn == nil {
			t.Fatal(err)
		}
		w.refused("a sign-in's refresh token at the provider", refreshing(w.spa, in.SignedIn.Refresh), oauth.InvalidGrant)
	})
}

func TestRefreshMayNarrowAndNeverWiden(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.Settings.Resources = []string{"https://a.example.com", "https://b.example.com", "https://c.example.com"}
		out := w.token(redeeming(w.web, w.code(w.web, func(g *grant.Grant) { g.Resources = w.Settings.Resources[:2] })))
		in := refreshing(w.web, out.Refresh)
		in.Params["scope"], in.Params["resource"] = []string{"openid"}, []string{"https://b.example.com"}
		out = w.token(in)
		if len(out.Scope) != 1 || out.Scope[0] != "openid" || len(out.Resources) != 1 || out.Resources[0] != "https://b.example.com" {
			t.Errorf("narrowed to %v %v", out.Scope, out.Resources)
		}
		for name, c := range map[string]struct{ param, value, code string }{
			"a scope that was not granted":    {"scope", "openid orders:write", oauth.InvalidScope},
			"a resource that was not granted": {"resource", "https://c.example.com", oauth.InvalidTarget},
			"a resource that is not known":    {"resource", "https://evil.example", oauth.InvalidTarget},
			"the issuer, not granted either":  {"resource", rig.Base, oauth.InvalidTarget},
		} {
			in := refreshing(w.web, out.Refresh)
			in.Params[c.param] = []string{c.value}
			w.refused(name, in, c.code)
		}
		if out = w.token(refreshing(w.web, out.Refresh)); len(out.Scope) != 3 || len(out.Resources) != 2 {
			t.Errorf("the whole grant is %v %v: narrowing was for one token", out.Scope, out.Resources)
		}
	})
}

// Whoever loses their place loses their tokens, at once.
func TestTokensEndWithTheStandingOfTheirPerson(t *testing.T) {
	for name, bar := range map[string]func(w town){
		"enrolment suspended": func(w town) { w.Enrol(w.jane, w.web, client.Suspended) },
		"enrolment removed": func(w town) {
			w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Remove(ctx, tx, w.jane.ID, w.web.ID) })
		},
		"user suspended": func(w town) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE users SET status = 'suspended' WHERE id = $1`, w.jane.ID)
				return err
			})
		},
		"client switched off": func(w town) {
			off := w.web
			off.Active = false
			w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, off, w.Now()) })
		},
		"organization demands its provider": func(w town) { demanding(w, org.SignInSSO) },
		"organization demands two factors":  func(w town) { demanding(w, org.SignInMFA) },
		"grant ended": func(w town) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := grant.EndByUserClient(ctx, tx, w.jane.ID, w.web.ID)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) { dbtest.Each(t, func(t *testing.T, d *db.DB) { ended(t, newTown(t, d), bar) }) })
	}
}

func ended(t *testing.T, w town, bar func(town)) {
	out, code := w.token(redeeming(w.web, w.code(w.web, nil))), w.code(w.web, nil)
	if !w.alive(out) {
		t.Fatal("dead from the start")
	}
	bar(w)
	if w.alive(out) {
		t.Error("the access token lives on")
	}
	for what, in := range map[string]oauth.TokenIn{"refresh": refreshing(w.web, out.Refresh), "redeem": redeeming(w.web, code)} {
		if _, err := w.OAuth.Token(t.Context(), in); err == nil {
			t.Errorf("%s succeeded", what)
		}
	}
}

func TestIntrospectionTellsOnlyWhomItConcerns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		api := w.Client("API", func(c *client.Client) {
			c.SecretHash, c.Policy.Audience = client.HashSecret(w.Key, webPlain), "https://api.example.com"
		})
		other := w.Client("Other", func(c *client.Client) { c.SecretHash = client.HashSecret(w.Key, webPlain) })
		out := w.token(redeeming(w.web, w.code(w.web, nil)))
		access := accessOf(out)
		access.Audience = []string{"https://api.example.com"}
		asks := func(cl client.Client, refresh bool) (oauth.Introspected, error) {
			in := oauth.IntrospectIn{Auth: ask(cl).Auth, Token: "opaque", Access: &access}
			if refresh {
				in.Token, in.Access = out.Refresh, nil
			}
			return w.OAuth.Introspect(t.Context(), in)
		}
		for _, c := range []struct {
			name            string
			by              client.Client
			access, refresh bool
		}{{"its client", w.web, true, true}, {"its resource", api, true, false}, {"another client", other, false, false}} {
			for refresh, want := range map[bool]bool{false: c.access, true: c.refresh} {
				got, err := asks(c.by, refresh)
				if err != nil || got.Active != want {
					t.Errorf("%s, refresh %v: active %v, %v; want %v", c.name, refresh, got.Active, err, want)
				}
			}
		}
		_, err := asks(w.spa, false)
		wantError(t, "a public client", err, oauth.InvalidClient)

		// Revocation: not by another client, and at once.
		revoke := func(cl client.Client, raw string, a *oauth.AccessToken) error {
			return w.OAuth.Revoke(t.Context(), oauth.RevokeIn{Auth: ask(cl).Auth, Token: raw, Access: a, Visitor: visitor})
		}
		wantError(t, "access token by another", revoke(other, "x", &access), oauth.InvalidGrant)
		wantError(t, "refresh token by another", revoke(other, out.Refresh, nil), oauth.InvalidGrant)
		if err := revoke(w.web, "made up", nil); err != nil {
			t.Errorf("made-up token: %v", err)
		}
		if err := revoke(w.web, "x", &access); err != nil || w.alive(out) {
			t.Errorf("revoked access token: %v, alive %v", err, w.alive(out))
		}
		next := w.token(refreshing(w.web, out.Refresh))
		if err := revoke(w.web, out.Refresh, nil); err != nil { // one that was rotated
			t.Error(err)
		}
		w.refused("refresh after revocation", refreshing(w.web, next.Refresh), oauth.InvalidGrant)
	})
}

// Wrong secrets are limited by client and network, so that nobody locks an
// application out from elsewhere.
func TestWrongSecretsAreLimitedByNetwork(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		auth := ask(w.web).Auth
		auth.Secret = "wrong"
		for range 20 {
			_, err := w.OAuth.Authenticate(t.Context(), auth)
			wantError(t, "wrong secret", err, oauth.InvalidClient)
		}
		auth.Secret = webPlain
		if _, err := w.OAuth.Authenticate(t.Context(), auth); err == nil {
			t.Error("the right secret after twenty wrong ones: got in, so guessing is not limited")
		}
		auth.Visitor.IP = "198.51.100.7"
		if _, err := w.OAuth.Authenticate(t.Context(), auth); err != nil {
			t.Errorf("from another network: %v", err)
		}
		auth.Visitor.IP = visitor.IP
		w.Advance(15 * time.Minute)
		if _, err := w.OAuth.Authenticate(t.Context(), auth); err != nil {
			t.Errorf("a quarter of an hour later: %v", err)
		}
	})
}
