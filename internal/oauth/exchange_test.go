package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/oauth"
)

const (
	ordersAPI = "https://orders.example.com"
	stockAPI  = "https://stock.example.com"
	payAPI    = "https://pay.example.com"
)

// mall is a town with services behind one another: Web calls orders, which calls
// stock. made are the tokens that were given out.
type mall struct {
	town
	orders, stock client.Client
	made          map[string]oauth.AccessToken
}

func newMall(t *testing.T, d *db.DB) mall {
	w := mall{town: newTown(t, d), made: map[string]oauth.AccessToken{}}
	w.Settings.Resources = []string{ordersAPI, stockAPI, payAPI}
	service := func(audience string) func(*client.Client) {
		return func(c *client.Client) {
			c.SecretHash = client.HashSecret(w.Key, webPlain)
			c.Policy.Audience = audience
			c.Policy.Grants = []string{client.GrantTokenExchange, client.GrantClientCredentials}
			c.Policy.OAuth.Scopes = []string{"orders:read", "stock:read"}
		}
	}
	w.orders, w.stock = w.Client("Orders", service(ordersAPI)), w.Client("Stock", service(stockAPI))
	return w
}

// have gives out a token of what Jane granted Web, for a target.
func (w mall) have(raw string, change func(*oauth.AccessToken)) string {
	w.t.Helper()
	g := grant.Grant{
		ID: grant.NewID(), ClientID: w.web.ID, UserID: w.jane.ID, Issuer: visitor.Base, Subject: string(w.jane.ID),
		Scope:     []string{"openid", "email", "roles", "offline_access", "orders:read", "orders:write", "stock:read"},
		Resources: []string{ordersAPI, stockAPI}, AMR: []string{"pwd"}, AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour),
	}
	w.Write(func(ctx context.Context, tx *db.Tx) error { return grant.Create(ctx, tx, g, nil) })
	t := oauth.AccessToken{
		ID: identity.NewID(), Issuer: g.Issuer, Subject: g.Subject, ClientID: w.web.ID, GrantID: g.ID, Audience: []string{ordersAPI}, Scope: g.Scope,
		IssuedAt: w.Now(), ExpiresAt: w.Now().Add(10 * time.Minute),
	}
	if change != nil {
		change(&t)
	}
	w.made[raw] = t
	return raw
}

// keep makes a token of what an exchange gave.
func (w mall) keep(raw string, i oauth.Issued) string {
	w.made[raw] = oauth.AccessToken{
		ID: identity.NewID(), Issuer: i.Grant.Issuer, Subject: i.Grant.Subject, ClientID: i.Client.ID, GrantID: i.Grant.ID, Audience: i.Resources,
		Scope: i.Scope, Binding: i.Binding, Actor: i.Grant.Actor, IssuedAt: w.Now(), ExpiresAt: i.NotAfter,
	}
	return raw
}

func (w mall) exchanging(cl client.Client, raw string, pairs ...string) oauth.TokenIn {
	in := ask(cl, append([]string{
		"grant_type", client.GrantTokenExchange, "subject_token", raw, "subject_token_type", oauth.TypeAccessToken,
	}, pairs...)...)
	in.Open = func(raw string) (oauth.AccessToken, error) {
		t, ok := w.made[raw]
		if !ok || !t.ExpiresAt.After(w.Now()) {
			return t, errors.New("no token of ours")
		}
		return t, nil
	}
	return in
}

// active reports whether a service that a token is for is told that it is good.
func (w mall) active(at client.Client, raw string) bool {
	w.t.Helper()
	t := w.made[raw]
	out, err := w.OAuth.Introspect(w.t.Context(), oauth.IntrospectIn{Auth: ask(at).Auth, Token: raw, Access: &t})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Active
}

func TestTokenExchange(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		raw := w.have("web", nil)
		out := w.token(w.exchanging(w.orders, raw, "resource", stockAPI))
		switch {
		case out.Client.ID != w.orders.ID, out.Grant.ID != w.made[raw].GrantID, out.Grant.Subject != string(w.jane.ID):
			t.Errorf("got client %s, grant %s, subject %s", out.Client.ID, out.Grant.ID, out.Grant.Subject)
		case strings.Join(out.Scope, " ") != "email orders:read stock:read":
			t.Errorf("got scope %q, want what both have, and nothing of the sign-in", out.Scope)
		case !slices.Equal(out.Resources, []string{stockAPI}), out.TokenType != oauth.TypeAccessToken:
			t.Errorf("got %q for %q", out.TokenType, out.Resources)
		case out.Refresh != "", out.OpenID():
			t.Error("got more than an access token")
		case !out.NotAfter.Equal(w.made[raw].ExpiresAt):
			t.Errorf("ends at %s, the other at %s", out.NotAfter, w.made[raw].ExpiresAt)
		case string(out.Grant.Actor) != `{"sub":"`+string(w.orders.ID)+`"}`:
			t.Errorf("act is %s", out.Grant.Actor)
		}
		if got := w.token(w.exchanging(w.orders, raw, "scope", "stock:read", "audience", stockAPI)); strings.Join(got.Scope, " ") != "stock:read" {
			t.Errorf("narrower: got %q", got.Scope)
		}
		if got := w.token(w.exchanging(w.orders, raw)); !slices.Equal(got.Resources, []string{ordersAPI}) {
			t.Errorf("for nothing in particular: got %q, want what the first was for", got.Resources)
		}

		// Stock goes on, and the chain is told (RFC 8693 §4.1).
		next := w.token(w.exchanging(w.stock, w.keep("orders", out)))
		want := `{"sub":"` + string(w.stock.ID) + `","act":{"sub":"` + string(w.orders.ID) + `"}}`
		if string(next.Grant.Actor) != want {
			t.Errorf("act is %s, want %s", next.Grant.Actor, want)
		}
	})
}

func TestActorTokenNamesWhoActs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		subject := w.have("web", nil)
		// A service's own token, and that of a person who works with it.
		w.made["service"] = oauth.AccessToken{ID: "s", ClientID: w.orders.ID, Subject: string(w.orders.ID), ExpiresAt: w.Now().Add(time.Minute)}
		clerk := w.have("clerk", func(a *oauth.AccessToken) {
			clerk := w.User("clerk@example.com", "Clerk", "", w.orders)
			g := grant.Grant{ID: grant.NewID(), ClientID: w.orders.ID, UserID: clerk.ID, Subject: "clerk", CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour)}
			w.Write(func(ctx context.Context, tx *db.Tx) error { return grant.Create(ctx, tx, g, nil) })
			a.ClientID, a.GrantID, a.Subject = w.orders.ID, g.ID, g.Subject
		})
		by := func(raw string, pairs ...string) oauth.TokenIn {
			return w.exchanging(w.orders, subject, append([]string{"actor_token", raw, "actor_token_type", oauth.TypeAccessToken}, pairs...)...)
		}
		if got := string(w.token(by("service")).Grant.Actor); got != `{"sub":"`+string(w.orders.ID)+`"}` {
			t.Errorf("a service: act is %s", got)
		}
		if got := string(w.token(by(clerk)).Grant.Actor); got != `{"sub":"clerk","client_id":"`+string(w.orders.ID)+`"}` {
			t.Errorf("a person: act is %s", got)
		}
		w.refused("another client's token", by(subject), oauth.InvalidRequest)
		w.refused("made up", by("nothing"), oauth.InvalidRequest)
		w.refused("without a type", w.exchanging(w.orders, subject, "actor_token", "service"), oauth.InvalidRequest)
		w.refused("a type alone", w.exchanging(w.orders, subject, "actor_token_type", oauth.TypeAccessToken), oauth.InvalidRequest)
		acted := w.have("acted", func(a *oauth.AccessToken) { a.ClientID, a.Actor = w.orders.ID, json.RawMessage(`{"sub":"x"}`) })
		w.refused("one for whom another acts", by(acted), oauth.InvalidRequest)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return grant.RevokeToken(ctx, tx, "s", w.Now().Add(time.Hour))
		})
		w.refused("revoked", by("service"), oauth.InvalidRequest)
	})
}

// A client with a token that is not meant for it is no deputy of whoever it is of.
func TestExchangeIsNoConfusedDeputy(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		raw := w.have("web", nil)
		w.refused("a service that found it", w.exchanging(w.stock, raw), oauth.InvalidRequest)
		w.refused("a client without the grant", w.exchanging(w.web, raw), oauth.UnauthorizedClient)
		open := w.Client("Open", func(c *client.Client) {
			c.Policy.Audience, c.Policy.Grants = ordersAPI, []string{client.GrantTokenExchange}
		})
		w.refused("a client that anybody can say to be", w.exchanging(open, raw), oauth.UnauthorizedClient)
		thief := w.exchanging(w.orders, raw)
		thief.Auth.Secret = "a guess"
		w.refused("a wrong secret", thief, oauth.InvalidClient)

		for what, in := range map[string]oauth.TokenIn{
			"an ID token":        w.exchanging(w.orders, raw, "requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
			"a refresh token":    w.exchanging(w.orders, raw, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
			"made up":            w.exchanging(w.orders, "nothing"),
			"no token":           w.exchanging(w.orders, ""),
			"a service's token":  w.exchanging(w.orders, w.have("own", func(a *oauth.AccessToken) { a.GrantID, a.ClientID = "", w.orders.ID })),
			"of another subject": w.exchanging(w.orders, w.have("other", func(a *oauth.AccessToken) { a.Subject = "somebody else" })),
			"of another client":  w.exchanging(w.orders, w.have("mixed", func(a *oauth.AccessToken) { a.ClientID = w.spa.ID })),
		} {
			w.refused(what, in, oauth.InvalidRequest)
		}
		typed := w.exchanging(w.orders, raw)
		typed.Params["subject_token_type"] = []string{"urn:ietf:params:oauth:token-type:id_token"}
		w.refused("an ID token to exchange", typed, oauth.InvalidRequest)
	})
}

func TestExchangeNeverWidens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		narrow := w.have("narrow", func(a *oauth.AccessToken) { a.Scope = []string{"openid", "stock:read"} })
		raw := w.have("web", nil)
		w.refused("a scope that the person granted, but not to this token", w.exchanging(w.orders, narrow, "scope", "stock:read orders:read"), oauth.InvalidScope)
		w.refused("a scope that is not the client's own", w.exchanging(w.orders, raw, "scope", "orders:write"), oauth.InvalidScope)
		w.refused("the sign-in", w.exchanging(w.orders, raw, "scope", "openid"), oauth.InvalidScope)
		w.refused("for ever", w.exchanging(w.orders, raw, "scope", "offline_access"), oauth.InvalidScope)
		w.refused("roles in another client", w.exchanging(w.orders, raw, "scope", "roles"), oauth.InvalidScope)
		w.refused("what the person did not grant", w.exchanging(w.orders, raw, "resource", payAPI), oauth.InvalidTarget)
		w.refused("beside what they did", w.exchanging(w.orders, raw, "resource", stockAPI, "audience", payAPI), oauth.InvalidTarget)
		w.refused("what nobody knows", w.exchanging(w.orders, raw, "resource", "https://evil.example"), oauth.InvalidTarget)
		w.refused("ourselves", w.exchanging(w.orders, raw, "resource", visitor.Base), oauth.InvalidTarget)

		bound := w.have("bound", func(a *oauth.AccessToken) { a.Binding = grant.Binding{JKT: "key of Web"} })
		w.refused("without the key", w.exchanging(w.orders, bound), oauth.InvalidRequest)

		chain := json.RawMessage(nil)
		for range 5 {
			chain, _ = json.Marshal(map[string]any{"sub": "x", "act": chain})
		}
		long := w.have("long", func(a *oauth.AccessToken) { a.Actor = chain })
		w.refused("one actor too many", w.exchanging(w.orders, long), oauth.InvalidRequest)
	})
}

// A client may narrow a token of its own; it acts for nobody else then.
func TestClientNarrowsItsOwnToken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		web := w.web
		web.Policy.Grants = append(web.Policy.Grants, client.GrantTokenExchange)
		w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, web, w.Now()) })
		raw := w.have("web", nil)
		out := w.token(w.exchanging(web, raw, "scope", "orders:read roles", "resource", ordersAPI))
		if out.Grant.Actor != nil || strings.Join(out.Scope, " ") != "orders:read roles" {
			t.Errorf("got %q, act %s", out.Scope, out.Grant.Actor)
		}
		if !w.active(w.orders, w.keep("narrowed", out)) {
			t.Error("it is not good")
		}
	})
}

// What came of an exchange ends with the grant, with the person's place, and with
// either client.
func TestExchangedTokenEndsWithTheGrant(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		raw := w.have("web", nil)
		got := w.keep("orders", w.token(w.exchanging(w.orders, raw, "resource", stockAPI)))
		if !w.active(w.stock, got) || !w.active(w.orders, got) {
			t.Fatal("it is not good at first")
		}
		if w.active(w.web, got) {
			t.Error("who it was exchanged from is told of it")
		}
		set := func(cl client.Client, active bool) {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				cl, err := client.ByID(ctx, tx, cl.ID)
				if err != nil {
					return err
				}
				cl.Active = active
				return client.Update(ctx, tx, cl, w.Now())
			})
		}
		for _, cl := range []client.Client{w.orders, w.web} {
			set(cl, false)
			if w.active(w.stock, got) {
				t.Errorf("good though %s is switched off", cl.Name)
			}
			set(cl, true)
		}
		w.Enrol(w.jane, w.web, client.Suspended)
		if w.active(w.stock, got) {
			t.Error("good though Jane is suspended")
		}
		void := w.have("void", nil)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			return grant.RevokeToken(ctx, tx, w.made[void].ID, w.Now().Add(time.Hour))
		})
		w.refused("a revoked token", w.exchanging(w.orders, void), oauth.InvalidRequest)
		w.refused("and for an exchange", w.exchanging(w.orders, raw), oauth.InvalidRequest)
		w.Enrol(w.jane, w.web, client.Active)
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := grant.End(ctx, tx, w.made[raw].GrantID)
			return err
		})
		if w.active(w.stock, got) {
			t.Error("good though the grant has ended")
		}
		w.refused("after the end", w.exchanging(w.orders, raw), oauth.InvalidRequest)
	})
}

// What was bound stays bound, to the key of who exchanges it; a client that
// exchanges its own token shows the very key.
func TestExchangedTokenStaysBound(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newMall(t, d)
		webKey, ordersKey := newKey(t), newKey(t)
		bound := w.have("bound", func(a *oauth.AccessToken) { a.Binding = grant.Binding{JKT: thumbprint(t, webKey)} })
		in := w.exchanging(w.orders, bound)
		in.Proof = w.proof(ordersKey, nil)
		out := w.token(in)
		if out.Binding.JKT != thumbprint(t, ordersKey) {
			t.Errorf("bound to %q, want the key of orders", out.Binding.JKT)
		}
		own := w.keep("own", out)
		in = w.exchanging(w.orders, own)
		w.refused("its own without a key", in, oauth.InvalidRequest)
		in.Proof = w.proof(webKey, nil)
		w.refused("its own by another key", in, oauth.InvalidRequest)
		in.Proof = w.proof(ordersKey, nil)
		w.token(in)
		w.refused("a proof that was used", in, oauth.InvalidDPoPProof)
	})
}
