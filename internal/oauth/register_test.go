package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/secret"
)

const publicClient = `{"client_name":"Tool","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`

// registering is a town where strangers may register clients.
func registering(t *testing.T, d *db.DB) town {
	w := newTown(t, d)
	w.Settings = oauth.Settings{Registration: oauth.RegistrationOpen}
	return w
}

func (w town) register(metadata string) oauth.Registered {
	w.t.Helper()
	w.Advance(time.Minute)
	r, err := w.OAuth.Register(w.t.Context(), oauth.RegisterIn{Metadata: []byte(metadata), Visitor: visitor})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w town) stored(id client.ID) (cl client.Client) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByID(ctx, tx, id)
		return err
	})
	return cl
}

// Whoever reads the database has neither the secret nor the token, and both are
// new for each client.
func TestRegisteredSecretsAreKeptAsHashes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		a, b := w.register(`{"redirect_uris":["https://a.example/"]}`), w.register(`{"redirect_uris":["https://a.example/"]}`)
		if a.Secret == b.Secret || a.Token == b.Token || a.Client.ID == b.Client.ID {
			t.Error("two clients share something")
		}
		cl := w.stored(a.Client.ID)
		text, err := json.Marshal(cl)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), a.Secret) || strings.Contains(string(text), a.Token) {
			t.Error("a secret is stored")
		}
		if !cl.VerifySecret(w.Key, a.Secret) || cl.VerifySecret(w.Key, b.Secret) || !bytes.Equal(cl.RegistrationHash, secret.Hash(a.Token)) {
			t.Error("the hashes are of something else")
		}
		if cl.Source != client.Dynamic || !cl.AsksConsent() || cl.Console || cl.Key != "" || cl.Policy.Registration != client.Open {
			t.Errorf("stored %+v", cl)
		}
		in := ask(cl, "grant_type", client.GrantClientCredentials)
		in.Auth.Method, in.Auth.Secret = oauth.BySecretBasic, a.Secret
		w.refused("a stranger's client that acts for itself", in, oauth.UnauthorizedClient)
	})
}

func TestRegistrationIsInTheAuditLog(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		r := w.register(publicClient)
		manage := oauth.ManageIn{ClientID: string(r.Client.ID), Token: r.Token, Visitor: visitor,
			Metadata: []byte(`{"client_id":"` + string(r.Client.ID) + `","redirect_uris":["https://new.example/"]}`)}
		if _, err := w.OAuth.UpdateRegistration(t.Context(), manage); err != nil {
			t.Fatal(err)
		}
		if err := w.OAuth.EndRegistration(t.Context(), manage); err != nil {
			t.Fatal(err)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			entries, _, err := audit.List(ctx, tx, audit.Filter{ClientID: r.Client.ID, Limit: 10})
			var got []string
			for _, e := range entries {
				got = append(got, string(e.Action)+" by "+e.Actor.String())
				text, err := json.Marshal(e)
				if err != nil {
					return err
				}
				if e.IP != visitor.IP || strings.Contains(string(text), r.Token) {
					t.Errorf("%s: %s", e.Action, text)
				}
			}
			self := " by service:" + string(r.Client.ID)
			if want := "client.deleted" + self + ", client.updated" + self + ", client.created by anonymous"; strings.Join(got, ", ") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
			}
			return err
		})
	})
}

// A client that becomes public loses its secret, and one that changes its mind
// gets another.
func TestUpdateChangesTheSecretWithTheMethod(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		r := w.register(`{"redirect_uris":["https://a.example/"]}`)
		update := func(method string) oauth.Registered {
			out, err := w.OAuth.UpdateRegistration(t.Context(), oauth.ManageIn{ClientID: string(r.Client.ID), Token: r.Token, Visitor: visitor,
				Metadata: []byte(`{"client_id":"` + string(r.Client.ID) + `","redirect_uris":["https://a.example/"],"token_endpoint_auth_method":"` + method + `"}`)})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if out := update(client.AuthNone); out.Secret != "" || w.stored(r.Client.ID).Confidential() {
			t.Error("a public client has a secret")
		}
		again := update(client.AuthSecretPost)
		if cl := w.stored(r.Client.ID); again.Secret == "" || again.Secret == r.Secret || !cl.VerifySecret(w.Key, again.Secret) || cl.VerifySecret(w.Key, r.Secret) {
			t.Error("the old secret is good again")
		}
	})
}

// The limit holds however many ask at once.
func TestManyRegistrationsAtOnceAreLimited(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		var made, limited atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				_, err := w.OAuth.Register(context.Background(), oauth.RegisterIn{Metadata: []byte(publicClient), Visitor: visitor})
				switch {
				case err == nil:
					made.Add(1)
				case fault.Is(err, fault.RateLimited):
					limited.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 5 || limited.Load() != callers-5 {
			t.Errorf("%d were made and %d limited, want 5", made.Load(), limited.Load())
		}
	})
}

// Of updates at the same time each is whole: one client's, and none lost in
// another's.
func TestConcurrentUpdatesDoNotMix(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		r := w.register(publicClient)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				host := "https://" + string(rune('a'+i)) + ".example/"
				_, err := w.OAuth.UpdateRegistration(context.Background(), oauth.ManageIn{ClientID: string(r.Client.ID), Token: r.Token, Visitor: visitor,
					Metadata: []byte(`{"client_id":"` + string(r.Client.ID) + `","redirect_uris":["` + host + `"],"client_uri":"` + host + `"}`)})
				if err != nil {
					wantError(t, host, err, oauth.TemporarilyUnavailable)
				}
			})
		}
		wg.Wait()
		if cl := w.stored(r.Client.ID); len(cl.Policy.RedirectURIs) != 1 || cl.Policy.RedirectURIs[0] != cl.Policy.OAuth.ClientURI {
			t.Errorf("stored %+v", cl.Policy)
		}
	})
}
