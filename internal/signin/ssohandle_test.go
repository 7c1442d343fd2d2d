package signin_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/upstream/upstreamtest"
)

// handle makes the tour for the person with an id, as far as a handle.
func (to *tour) handle(id string) string {
	to.t.Helper()
	out, err := to.as(id, func(in *signin.SSOStart) { in.Deferred, in.Data = true, json.RawMessage(`{"to":"/home"}`) })
	if err != nil || !out.Deferred || len(out.Handle) != 64 || out.Outcome != (signin.Outcome{}) || string(out.Data) != `{"to":"/home"}` {
		to.t.Fatalf("got %q, %+v, %s and %v, want a handle and nothing else", out.Handle, out.Outcome, out.Data, err)
	}
	return out.Handle
}

func (to *tour) complete(handle string) (signin.SSOReturned, error) {
	return to.r.SignIn.CompleteSSO(context.Background(), signin.SSOComplete{ClientID: to.app.ID, Handle: handle, Cookie: to.cookie, Visitor: visitor})
}

// alive reports whether a session cookie is good.
func (to *tour) alive(cookie string) (good bool) {
	to.t.Helper()
	to.r.Write(func(ctx context.Context, tx *db.Tx) error {
		_, err := session.ByToken(ctx, tx, cookie, to.r.Now())
		good = err == nil
		if errors.Is(err, db.ErrNotFound) {
			err = nil
		}
		return err
	})
	return good
}

func TestHandleSignsInOnceAndItsSecondUseEndsThat(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		h := to.handle(ann.ID)
		if n := count(t, to.r, "users"); n != 0 {
			t.Error("somebody was made before the handle came back")
		}
		out, err := to.complete(h)
		in := out.Outcome.SignedIn
		if err != nil || in == nil || in.User.Email != ann.Email || out.Org.ID != to.org.ID || string(out.Data) != `{"to":"/home"}` || !to.alive(in.Session) {
			t.Fatalf("completed: %+v, %v", out, err)
		}
		if again, err := to.complete(h); !fault.Is(err, fault.HandleInvalid) || again.Outcome != (signin.Outcome{}) {
			t.Errorf("a second time: %+v, %v", again.Outcome, err)
		}
		if to.alive(in.Session) {
			t.Error("the session outlives the second use of its handle")
		}
		if _, err := to.r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: to.app.ID, Token: in.Refresh, Visitor: visitor}); !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("and so does its refresh token: %v", err)
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND action = 'sessions.revoked'", to.org.ID); n != 1 {
			t.Errorf("%d entries of it, want 1", n)
		}
		// A third use, and a sign-in of the same person, have nothing to do with each other.
		next, err := to.complete(to.handle(ann.ID))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.complete(h); !fault.Is(err, fault.HandleInvalid) || !to.alive(next.Outcome.SignedIn.Session) {
			t.Errorf("a third use ended another sign-in: %v", err)
		}
	})
}

func TestHandleIsBound(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		h := to.handle(ann.ID)
		for about, change := range map[string]func(*signin.SSOComplete){
			"no handle":        func(in *signin.SSOComplete) { in.Handle = "" },
			"made up":          func(in *signin.SSOComplete) { in.Handle = strings.Repeat("ab", 32) },
			"another browser":  func(in *signin.SSOComplete) { in.Cookie = strings.Repeat("0", 64) },
			"no browser":       func(in *signin.SSOComplete) { in.Cookie = "" },
			"another's client": func(in *signin.SSOComplete) { in.ClientID = to.r.Client("Another", nil).ID },
		} {
			in := signin.SSOComplete{ClientID: to.app.ID, Handle: h, Cookie: to.cookie, Visitor: visitor}
			change(&in)
			want := fault.HandleInvalid
			if out, err := to.r.SignIn.CompleteSSO(t.Context(), in); !fault.Is(err, want) || out.Outcome != (signin.Outcome{}) {
				t.Errorf("%s: %+v, %v", about, out.Outcome, err)
			}
		}
		to.r.Advance(signin.HandleLifetime - time.Microsecond)
		if out, err := to.complete(h); err != nil || out.Outcome.SignedIn == nil {
			t.Errorf("its own browser, in time: %+v, %v", out.Outcome, err)
		}
		late := to.handle(ann.ID)
		to.r.Advance(signin.HandleLifetime)
		if _, err := to.complete(late); !fault.Is(err, fault.HandleInvalid) {
			t.Errorf("too late: %v", err)
		}
		// An application without cookies asks to have it unbound.
		out, err := to.as(ann.ID, func(in *signin.SSOStart) { in.Deferred, in.Unbound = true, true })
		if err != nil {
			t.Fatal(err)
		}
		to.cookie = ""
		if out, err := to.complete(out.Handle); err != nil || out.Outcome.SignedIn == nil {
			t.Errorf("unbound: %+v, %v", out.Outcome, err)
		}
	})
}

func TestHandleIsJudgedAnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		in := to.in(ann.ID)
		for _, c := range []struct {
			about string
			do    func(ctx context.Context, tx *db.Tx) error
			want  fault.Code
		}{
			{"suspended", func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE users SET status = 'suspended' WHERE id = $1`, in.User.ID)
				return err
			}, fault.EnrolmentSuspended},
			{"put out", func(ctx context.Context, tx *db.Tx) error {
				return org.Leave(ctx, tx, to.org.ID, in.User.ID)
			}, fault.ConnectionChanged},
			{"another issuer", func(ctx context.Context, tx *db.Tx) error {
				c, err := sso.ByOrg(ctx, tx, to.r.Key, to.org.ID)
				if err != nil {
					return err
				}
				c.Issuer = "https://elsewhere.example"
				_, err = sso.Set(ctx, tx, to.r.Key, c, to.r.Now())
				return err
			}, fault.ConnectionChanged},
			{"removed", func(ctx context.Context, tx *db.Tx) error {
				return sso.Remove(ctx, tx, to.org.ID)
			}, fault.ConnectionChanged},
		} {
			was := to.r.Connection(to.org)
			h := to.handle(ann.ID)
			to.r.Write(c.do)
			if out, err := to.complete(h); !fault.Is(err, c.want) || out.Outcome != (signin.Outcome{}) {
				t.Errorf("%s: %+v, %v; want %s", c.about, out.Outcome, err, c.want)
			}
			to.r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE users SET status = 'active' WHERE id = $1`, in.User.ID)
				return err
			})
			to.r.SetConnection(was)
			to.join(in.User, org.Member)
		}
	})
}

func TestHandleKeepsWhatTheRulesAskFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, func(c *sso.Connection) {
			c.Roles = []sso.RoleRule{{Claim: "groups", Value: "the last", Role: org.Admin}}
		})
		p := ann
		groups := slices.Repeat([]string{strings.Repeat("x", 44)}, 230)
		p.Claims = map[string]any{"groups": append(groups, "the last")}
		to.fake.SetPeople(p)
		out, err := to.complete(to.handle(ann.ID))
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := to.member(out.Outcome.SignedIn.User.ID); m.Role != org.Admin {
			t.Errorf("role %q of somebody in 231 groups", m.Role)
		}
	})
}

// Of any number of callers with one handle one signs in; and since others had it too,
// it is none that lasts.
func TestHandleRace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		h := to.handle(ann.ID)
		one(t, race(t, func(int) error { _, err := to.complete(h); return err }, fault.HandleInvalid))
		if n := count(t, to.r, "sessions"); n != 0 {
			t.Errorf("%d sessions are left of a handle that many had", n)
		}
		if n := count(t, to.r, "users"); n != 1 {
			t.Errorf("%d users", n)
		}
	})
}

// Many handles of one new person make one user and one membership.
func TestHandlesOfOnePersonRace(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		var all [8]string
		for i := range all {
			all[i] = to.handle(ann.ID)
		}
		race(t, func(i int) error {
			if i >= len(all) {
				return nil
			}
			_, err := to.complete(all[i])
			return err
		})
		for table, want := range map[string]int{"users": 1, "links": 1, "memberships": 1, "sessions": len(all)} {
			if n := count(t, to.r, table); n != want {
				t.Errorf("%d %s, want %d", n, table, want)
			}
		}
	})
}

func TestHandleOfAPersonWhoIsRefusedIsNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		to := acme(t, d, nil)
		deferred := func(in *signin.SSOStart) { in.Deferred = true }
		out, err := to.as(zoe.ID, deferred)
		if !fault.Is(err, fault.EmailDomainForbidden) || out.Handle != "" || !out.Deferred {
			t.Errorf("%+v, %v", out, err)
		}
		to.fake.Behave(upstreamtest.WrongIssuer)
		out, err = to.as(ann.ID, deferred)
		if !fault.Is(err, fault.UpstreamFailed) || out.Handle != "" || !out.Deferred {
			t.Errorf("another issuer's token: %+v, %v", out, err)
		}
		if n := count(t, to.r, "audit WHERE org_id = $1 AND detail LIKE '%cause%'", to.org.ID); n != 1 {
			t.Errorf("%d causes in the organization's log, want 1", n)
		}
	})
}
