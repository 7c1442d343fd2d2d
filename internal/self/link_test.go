package self_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/token"
	"sallyport/internal/upstream"
)

// shop is an application that takes the given ways to sign in.
func shop(r *rig.Rig, methods ...string) client.Client {
	return r.Client("Shop", func(c *client.Client) { c.Policy.Methods = methods })
}

// linked connects a person with accounts at upstreams.
func linked(r *rig.Rig, u identity.User, keys ...string) {
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		for _, key := range keys {
			l := identity.Link{Issuer: "https://" + key + ".example", Subject: string(u.ID), UserID: u.ID, Upstream: key, Email: u.Email, CreatedAt: r.Now()}
			if err := identity.AddLink(ctx, tx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// unproved is a person whose address nobody has proved, and who has no password
// unless one is given.
func unproved(r *rig.Rig, email, hash string, in client.Client) identity.User {
	u := identity.User{ID: identity.NewUserID(), Email: email, Status: identity.Active, PasswordHash: hash, CreatedAt: r.Now(), UpdatedAt: r.Now()}
	r.Write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) })
	r.Enrol(u, in, client.Active, "user")
	return u
}

func TestLastWayInStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		r.Upstream("google", upstream.Google, nil)
		r.Upstream("github", upstream.GitHub, nil)
		for name, c := range map[string]struct {
			methods  []string
			verified bool
			hash     string
			links    []string
			stays    bool
		}{
			"nothing else":                           {[]string{"password", "magic_link", "google"}, false, "", []string{"google"}, true},
			"a password":                             {[]string{"password", "google"}, false, "$argon2id$x", []string{"google"}, false},
			"a password that nobody takes":           {[]string{"google"}, false, "$argon2id$x", []string{"google"}, true},
			"an unusable password":                   {[]string{"password", "google"}, false, "!x", []string{"google"}, true},
			"a mailed link":                          {[]string{"magic_link", "google"}, true, "", []string{"google"}, false},
			"a new password by mail":                 {[]string{"password", "google"}, true, "", []string{"google"}, false},
			"an address where no mail gets one in":   {[]string{"google"}, true, "", []string{"google"}, true},
			"another upstream":                       {[]string{"google", "github"}, false, "", []string{"google", "github"}, false},
			"another that no application takes":      {[]string{"google"}, false, "", []string{"google", "github"}, true},
			"another that is not configured anymore": {[]string{"google", "corp"}, false, "", []string{"google", "corp"}, true},
		} {
			app := shop(r, c.methods...)
			email := strings.ReplaceAll(name, " ", ".") + "@example.com"
			u := unproved(r, email, c.hash, app)
			if c.verified {
				r.Write(func(ctx context.Context, tx *db.Tx) error {
					_, err := identity.VerifyEmail(ctx, tx, u.ID, email, r.Now())
					return err
				})
			}
			linked(r, u, c.links...)
			all, err := r.Self.Connections(t.Context(), bearer(r, u.ID))
			if err != nil || all[0].Upstream != "google" && all[1].Upstream != "google" {
				t.Fatalf("%s: %+v %v", name, all, err)
			}
			for _, one := range all {
				if one.Upstream == "google" && (one.Last != c.stays || !one.Linked || one.Title != "Google") {
					t.Errorf("%s: got %+v, want last %v", name, one, c.stays)
				}
			}
			if err := r.Self.Unlink(t.Context(), bearer(r, u.ID), tries(self.Proof{}), "google"); fault.Is(err, fault.LastSignInMethod) != c.stays || err != nil && !c.stays {
				t.Errorf("%s: got %v, want that it stays: %v", name, err, c.stays)
			}
		}
	})
}

// Of the last two ways in, removed at the same moment, one is left.
func TestRacingUnlinksLeaveOneWayIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		keys := []string{"google", "github"}
		r.Upstream("google", upstream.Google, nil)
		r.Upstream("github", upstream.GitHub, nil)
		app := shop(r, keys...)
		for i := range 10 {
			u := unproved(r, strings.Repeat("x", i+1)+"@example.com", "", app)
			linked(r, u, keys...)
			var wg sync.WaitGroup
			errs := make([]error, len(keys))
			for j, key := range keys {
				wg.Go(func() { errs[j] = r.Self.Unlink(t.Context(), bearer(r, u.ID), tries(self.Proof{}), key) })
			}
			wg.Wait()
			refused := 0
			for _, err := range errs {
				if fault.Is(err, fault.LastSignInMethod) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if refused != 1 {
				t.Fatalf("%d were refused (%v), want one", refused, errs)
			}
		}
	})
}

// The person is told by mail, and sees what else they could connect.
func TestUnlinkIsTold(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		r.Upstream("google", upstream.Google, nil)
		r.Upstream("corp", upstream.OIDC, func(u *upstream.Upstream) { u.Settings.Name = "Example Corp" })
		r.Upstream("github", upstream.GitHub, nil) // which no application of theirs takes
		u := r.User("jane@example.com", "Jane", plain, shop(r, "password", "google", "corp"))
		linked(r, u, "corp")
		if err := r.Self.Unlink(t.Context(), bearer(r, u.ID), tries(self.Proof{}), "corp"); err != nil {
			t.Fatal(err)
		}
		if text, ok := r.Mail("jane@example.com"); !ok || !strings.Contains(text, "Example Corp no longer signs you in") {
			t.Errorf("got the mail %q", text)
		}
		all, err := r.Self.Connections(t.Context(), bearer(r, u.ID))
		if err != nil || len(all) != 2 || all[0].Title != "Example Corp" || all[0].Linked || all[1].Upstream != "google" {
			t.Errorf("got %+v %v, want both that are offered", all, err)
		}
		if err := r.Self.Unlink(t.Context(), bearer(r, u.ID), tries(self.Proof{}), "corp"); !fault.Is(err, fault.LinkUnknown) {
			t.Errorf("again: %v", err)
		}
	})
}

// Whoever holds the account at the upstream, and is why it was removed, goes with
// it: what it signed in ends, but for the browser that the person sits at.
func TestUnlinkEndsWhatTheUpstreamSignedIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		r.Upstream("google", upstream.Google, nil)
		app := shop(r, "password", "google")
		u := r.User("jane@example.com", "Jane", plain, app)
		linked(r, u, "google")
		var all []session.Session
		var families []string
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			all, families = nil, nil
			for _, by := range []string{"google", "google", "", "github"} {
				s, _, err := session.Start(ctx, tx, session.Session{UserID: u.ID, Upstream: by, AuthenticatedAt: r.Now(), CreatedAt: r.Now(), ExpiresAt: r.Now().Add(time.Hour)})
				if err != nil {
					return err
				}
				raw, err := token.Issue(ctx, tx, r.Key, token.Family{UserID: u.ID, ClientID: app.ID, SessionID: s.ID, ExpiresAt: r.Now().Add(time.Hour)}, r.Now())
				if err != nil {
					return err
				}
				all, families = append(all, s), append(families, raw)
			}
			_, err := onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.Challenge, UserID: u.ID, ClientID: app.ID, ExpiresAt: r.Now().Add(time.Hour)}, r.Now())
			return err
		})
		here := self.Caller{UserID: u.ID, Session: all[0], AuthenticatedAt: r.Now()}
		if err := r.Self.Unlink(t.Context(), here, tries(self.Proof{}), "google"); err != nil {
			t.Fatal(err)
		}
		for i, stays := range []bool{true, false, true, true} {
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := session.ByID(ctx, tx, all[i].ID, r.Now())
				return err
			})
			_, refreshed := r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: app.ID, Token: families[i]})
			if (err == nil) != stays || (refreshed == nil) != stays {
				t.Errorf("session %d by %q: %v, its refresh token: %v, want it there: %v", i, all[i].Upstream, err, refreshed, stays)
			}
		}
		left := int64(0)
		r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			left, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM onetime_secrets WHERE purpose = 'challenge'`)
			return err
		})
		if left != 0 {
			t.Error("a sign-in that waits for the second factor can be completed")
		}
	})
}

// Connecting asks for what every change of the ways in asks for.
func TestConnectingNeedsAProof(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		r.Upstream("google", upstream.Google, nil)
		r.Upstream("github", upstream.GitHub, nil)
		u := r.User("jane@example.com", "Jane", plain, shop(r, "password", "google"))
		who := bearer(r, u.ID)
		if err := r.Self.Connecting(t.Context(), who, tries(self.Proof{}), "google"); err != nil {
			t.Errorf("just signed in: %v", err)
		}
		r.Advance(self.Fresh)
		for name, c := range map[string]struct {
			proof self.Proof
			key   string
			want  fault.Code
		}{
			"nothing":              {self.Proof{}, "google", fault.ProofRequired},
			"a wrong password":     {self.Proof{Password: "wrong"}, "google", fault.ProofRequired},
			"a wrong code":         {self.Proof{Code: "000000"}, "google", fault.CodeInvalid},
			"not offered":          {self.Proof{Password: plain}, "github", fault.MethodDisabled},
			"not there":            {self.Proof{Password: plain}, "okta", fault.MethodDisabled},
			"a way that is no one": {self.Proof{Password: plain}, "password", fault.MethodDisabled},
		} {
			if err := r.Self.Connecting(t.Context(), who, tries(c.proof), c.key); !fault.Is(err, c.want) {
				t.Errorf("%s: got %v, want %s", name, err, c.want)
			}
		}
		if err := r.Self.Connecting(t.Context(), who, tries(self.Proof{Password: plain}), "google"); err != nil {
			t.Errorf("by password: %v", err)
		}
	})
}
