package signin_test

import (
	"context"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/session"
	"sallyport/internal/signin"
)

func TestSessionKnowsTheUpstream(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		in := tr.in(jane.ID)
		var s session.Session
		tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			s, err = session.ByToken(ctx, tx, in.Session, tr.r.Now())
			return err
		})
		if s.ID != in.SessionID || s.Upstream != "corp" || s.Partial {
			t.Errorf("got %+v", s)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.login' AND user_id = $1 AND detail LIKE '%\"method\":\"corp\"%' AND detail LIKE '%\"issuer\":\"http%'", in.User.ID); n != 1 {
			t.Errorf("%d audit entries of the sign-in", n)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.linked' AND user_id = $1", in.User.ID); n != 1 {
			t.Errorf("%d audit entries of the link", n)
		}
	})
}

// A session there may be days old: a redirect does not make it fresh.
func TestSessionIsAsOldAsTheProofAtTheUpstream(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		yesterday := tr.r.Now().Add(-24 * time.Hour)
		for what, c := range map[string]struct{ said, want time.Time }{
			"nothing said": {time.Time{}, tr.r.Now()}, "yesterday": {yesterday, yesterday}, "in a minute": {tr.r.Now().Add(time.Minute), tr.r.Now()},
			"a second ago":    {tr.r.Now().Add(-time.Second), tr.r.Now()},
			"by a slow clock": {tr.r.Now().Add(-time.Minute), tr.r.Now()},
		} {
			who := jane
			who.AuthTime, who.Session = c.said, "session-at-corp"
			tr.fake.SetPeople(who)
			in := tr.in(jane.ID)
			var s session.Session
			tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				s, err = session.ByToken(ctx, tx, in.Session, tr.r.Now())
				return err
			})
			if !in.AuthenticatedAt.Equal(c.want) || !s.AuthenticatedAt.Equal(c.want) || !s.CreatedAt.Equal(tr.r.Now()) || s.UpstreamSession != "session-at-corp" {
				t.Errorf("%s: %v, session %+v", what, in.AuthenticatedAt, s)
			}
		}
	})
}

func TestSessionOfASurfacesOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.terms.SessionFor = 7 * 24 * time.Hour
		tr.r.User("pat@example.com", "Pat", plain, tr.app)
		out, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{
			ClientID: tr.app.ID, Email: "pat@example.com", Password: plain, SessionFor: tr.terms.SessionFor, Visitor: visitor,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []*signin.SignedIn{tr.in(jane.ID), out.SignedIn} {
			if in.Session != "" || in.Refresh != "" || in.SessionID == "" {
				t.Errorf("got %+v, want a session id and nothing else", in)
			}
			var s session.Session
			tr.r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				s, err = session.ByID(ctx, tx, in.SessionID, tr.r.Now())
				return err
			})
			if !s.ExpiresAt.Equal(tr.r.Now().Add(tr.terms.SessionFor)) {
				t.Errorf("ends at %v", s.ExpiresAt)
			}
		}
		if n := count(t, tr.r, "refresh_families"); n != 0 {
			t.Errorf("%d refresh families", n)
		}
	})
}
