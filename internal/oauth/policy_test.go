package oauth_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/oauth"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/sso"
)

// demanding makes jane a member of an organization that has her domain and demands
// something of its members.
func demanding(w town, s org.SignIn) org.Org {
	o := w.Org("acme", "example.com")
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := org.Join(ctx, tx, o.ID, w.jane.ID, org.Member, w.Now()); err != nil {
			return err
		}
		return org.SetPolicy(ctx, tx, o.ID, s, true, w.Now())
	})
	return o
}

// A session that does not do what the person's organization demands is none for an
// application, and neither is what came of it before.
func TestOrganizationDemandsItsOwnSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		before := w.token(redeeming(w.web, told(w.decide(wanting(w.web, "scope", "openid offline_access"), cookie), "code")))
		o := demanding(w.town, org.SignInSSO)
		for prompt, want := range map[string]string{"": "login", "none": oauth.LoginRequired} {
			pairs := []string{}
			if prompt != "" {
				pairs = []string{"prompt", prompt}
			}
			got, err := w.authorize(wanting(w.web, pairs...), cookie)
			w.wantNext("by a password, prompt "+prompt, got, err, want)
		}
		w.refused("a refresh token from before", refreshing(w.web, before.Refresh), oauth.InvalidGrant)
		if w.alive(before) {
			t.Error("an access token from before is good")
		}

		var own string
		w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			_, own, err = session.Start(ctx, tx, session.Session{
				UserID: w.jane.ID, AMR: []string{session.Federated}, Upstream: sso.Key(o.ID), AuthenticatedAt: w.Now(), CreatedAt: w.Now(), ExpiresAt: w.Now().Add(time.Hour),
			})
			return err
		})
		out := w.token(redeeming(w.web, told(w.decide(wanting(w.web, "scope", "openid offline_access"), own), "code")))
		if !w.alive(out) {
			t.Error("by its own provider: dead")
		}
		w.token(refreshing(w.web, out.Refresh))
	})
}

func TestOrganizationDemandsTwoFactorsFromATimeOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		one, two := w.signIn(w.jane), w.signIn(w.jane, session.OTP)
		o := demanding(w.town, org.SignInMFA)
		ask := func(cookie, want string) {
			t.Helper()
			got, err := w.authorize(wanting(w.web), cookie)
			w.wantNext(want, got, err, want)
		}
		ask(one, "login")
		ask(two, "code")
		w.Write(func(ctx context.Context, tx *db.Tx) error { return org.SetGrace(ctx, tx, o.ID, 1, w.Now()) })
		ask(one, "code")
	})
}
