package upstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// shelf is a database with a client, a user with a link, and an upstream.
type shelf struct {
	t    *testing.T
	d    *db.DB
	k    *secret.Key
	at   time.Time
	app  client.ID
	jane identity.UserID
	p    upstream.Profile
}

func newShelf(t *testing.T, d *db.DB) *shelf {
	t.Helper()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, d: d, k: k, at: time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC), app: client.ID(identity.NewID()), jane: identity.UserID(identity.NewID())}
	s.p = upstream.Profile{Upstream: "corp", Issuer: "https://login.corp.example", Subject: "1",
		Tokens: upstream.Tokens{Access: "at-1", Refresh: "rt-1", ID: "id-1", Scope: "files", ExpiresAt: s.at.Add(time.Hour)}}
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		err := upstream.Put(ctx, tx, k, upstream.Upstream{Key: "corp", Kind: upstream.OIDC, Secret: "x"}, s.at)
		for _, id := range []client.ID{s.app, "other"} {
			err = errors.Join(err, client.Create(ctx, tx, client.Client{ID: id, Name: "App", Active: true, CreatedAt: s.at, UpdatedAt: s.at}))
		}
		for _, id := range []identity.UserID{s.jane, "eve"} {
			err = errors.Join(err, identity.Create(ctx, tx, identity.User{ID: id, Email: string(id) + "@example.com", Status: identity.Active, CreatedAt: s.at, UpdatedAt: s.at}))
		}
		return errors.Join(err,
			identity.AddLink(ctx, tx, identity.Link{Issuer: s.p.Issuer, Subject: "1", UserID: s.jane, Upstream: "corp", CreatedAt: s.at}),
			identity.AddLink(ctx, tx, identity.Link{Issuer: s.p.Issuer, Subject: "2", UserID: s.jane, Upstream: "corp", CreatedAt: s.at}))
	})
	return s
}

func (s *shelf) keep(p upstream.Profile, at time.Time) {
	s.t.Helper()
	write(s.t, s.d, func(ctx context.Context, tx *db.Tx) error { return upstream.Keep(ctx, tx, s.k, s.app, s.jane, p, at) })
}

// kept is what is there, or the zero Kept.
func (s *shelf) kept() upstream.Kept {
	s.t.Helper()
	var got upstream.Kept
	read(s.t, s.d, func(ctx context.Context, tx *db.Tx) (err error) {
		got, err = upstream.KeptOf(ctx, tx, s.k, s.app, s.jane, "corp")
		if errors.Is(err, db.ErrNotFound) {
			return nil
		}
		return err
	})
	return got
}

func TestTokensAreKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newShelf(t, d)
		s.keep(upstream.Profile{Upstream: "corp", Issuer: s.p.Issuer, Subject: "1"}, s.at)
		if got := s.kept(); got.UserID != "" {
			t.Errorf("nothing was given, kept: %+v", got)
		}
		s.keep(s.p, s.at)
		got := s.kept()
		if got.Tokens.Access != "at-1" || got.Tokens.Refresh != "rt-1" || got.Tokens.ID != "" || got.Tokens.Scope != "files" || !got.Tokens.ExpiresAt.Equal(s.p.Tokens.ExpiresAt) || !got.KeptAt.Equal(s.at) {
			t.Errorf("got %+v, %q", got, got.Tokens.Access.Reveal())
		}
		if !got.Fresh(s.at) || got.Fresh(s.at.Add(59*time.Minute+time.Second)) {
			t.Error("Fresh")
		}
		// The same account again, without a refresh token: the old one stands.
		again := s.p
		again.Tokens = upstream.Tokens{Access: "at-2"}
		s.keep(again, s.at.Add(time.Second))
		if got := s.kept(); got.Tokens.Access != "at-2" || got.Tokens.Refresh != "rt-1" || !got.Fresh(s.at.Add(time.Hour)) {
			t.Errorf("again: %q, %q", got.Tokens.Access.Reveal(), got.Tokens.Refresh.Reveal())
		}
		// Another account of the same person: it does not.
		again.Subject = "2"
		s.keep(again, s.at.Add(2*time.Second))
		if got := s.kept(); got.Subject != "2" || got.Tokens.Refresh != "" {
			t.Errorf("another account: %+v", got)
		}
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			sealed, err := db.One(ctx, tx, func(r db.Row) (b []byte, err error) { err = r.Scan(&b); return b, err }, `SELECT sealed FROM kept_tokens`)
			if err != nil || strings.Contains(string(sealed), "at-2") {
				t.Errorf("stored as they are: %v", err)
			}
			for _, of := range []struct {
				app  client.ID
				user identity.UserID
				up   string
			}{{"other", s.jane, "corp"}, {s.app, "eve", "corp"}, {s.app, s.jane, "google"}} {
				if _, err := upstream.KeptOf(ctx, tx, s.k, of.app, of.user, of.up); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%v: %v", of, err)
				}
			}
			return nil
		})
		// A row that was moved to another client does not open there.
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE kept_tokens SET client_id = 'other'`)
			return err
		})
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			if _, err := upstream.KeptOf(ctx, tx, s.k, "other", s.jane, "corp"); !errors.Is(err, secret.ErrSeal) {
				t.Errorf("a moved row: %v", err)
			}
			return nil
		})
	})
}

// The tokens go with whatever they are of.
func TestKeptTokensGoWithTheirParts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, remove := range map[string]string{
			"link": `DELETE FROM links WHERE subject = '1'`, "user": `DELETE FROM users WHERE id <> 'eve'`,
			"client": `DELETE FROM clients WHERE id <> 'other'`, "upstream": `DELETE FROM upstreams`,
		} {
			s := newShelf(t, d)
			s.keep(s.p, s.at)
			write(t, d, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, remove); return err })
			if got := s.kept(); got.UserID != "" {
				t.Errorf("%s: kept %+v", name, got)
			}
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				for _, table := range []string{"links", "users", "clients", "upstreams"} {
					if _, err := tx.Exec(ctx, `DELETE FROM `+table); err != nil {
						return err
					}
				}
				return nil
			})
		}
		s := newShelf(t, d)
		s.keep(s.p, s.at)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return upstream.ForgetOf(ctx, tx, "other") })
		if s.kept().UserID == "" {
			t.Error("another client's wish took them")
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return upstream.ForgetOf(ctx, tx, s.app) })
		if s.kept().UserID != "" {
			t.Error("the client's own wish did not")
		}
	})
}

func TestKeptTokensAreSwept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newShelf(t, d)
		sweep := func(at time.Time) (n int64) {
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				n, err = upstream.SweepKept(ctx, tx, at, 10)
				return err
			})
			return n
		}
		s.keep(s.p, s.at)
		if n := sweep(s.at.Add(1000 * time.Hour)); n != 0 {
			t.Errorf("can be renewed, yet %d went", n)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return s.kept().Forget(ctx, tx) })
		s.p.Tokens.Refresh = ""
		s.keep(s.p, s.at)
		if early, late := sweep(s.at.Add(time.Minute)), sweep(s.at.Add(time.Hour)); early != 0 || late != 1 {
			t.Errorf("%d went early, %d at the end", early, late)
		}
	})
}

// One of many renews; what it holds the claim by ends with the time, and a new
// sign-in meanwhile wins over it.
func TestOneRenewsKeptTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newShelf(t, d)
		s.keep(s.p, s.at)
		was := s.kept()
		now, until := s.at.Add(time.Hour), s.at.Add(time.Hour+20*time.Second)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				write(t, d, func(ctx context.Context, tx *db.Tx) error {
					ok, err := was.Claim(ctx, tx, now, until)
					if ok {
						won.Add(1)
					}
					return err
				})
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d claims", won.Load())
		}
		claim := func(at, until time.Time) (ok bool) {
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) { ok, err = was.Claim(ctx, tx, at, until); return err })
			return ok
		}
		renewed := func(until time.Time, access secret.Value) (ok bool) {
			next := was
			next.Tokens.Access, next.KeptAt = access, until
			write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
				ok, err = next.Renewed(ctx, tx, s.k, until)
				return err
			})
			return ok
		}
		if second := until.Add(20 * time.Second); claim(until.Add(-time.Second), second) || !claim(until, second) || renewed(until, "late") || !renewed(second, "at-2") {
			t.Error("a claim that ran out")
		}
		if got := s.kept(); got.Tokens.Access != "at-2" {
			t.Errorf("kept %q", got.Tokens.Access.Reveal())
		}
		if claim(now.Add(time.Hour), now.Add(2*time.Hour)) {
			t.Error("claimed what was renewed since it was read")
		}
		was = s.kept()
		later := now.Add(3 * time.Hour)
		if !claim(now.Add(time.Hour), later) {
			t.Fatal("no claim")
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return was.Release(ctx, tx, later) })
		if !claim(now.Add(time.Hour), later) {
			t.Error("no claim after a release")
		}
		s.p.Tokens.Access = "of-a-sign-in"
		s.keep(s.p, now.Add(time.Hour))
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return was.Forget(ctx, tx) })
		if renewed(later, "of-a-renewal") || s.kept().Tokens.Access != "of-a-sign-in" {
			t.Errorf("kept %q", s.kept().Tokens.Access.Reveal())
		}
	})
}

func TestTokensAreRenewed(t *testing.T) {
	for kind, asks := range map[upstream.Kind]string{
		upstream.Google: "access_type=offline&", upstream.Microsoft: "offline_access", upstream.Okta: "offline_access", upstream.OIDC: "offline_access", upstream.WorkOS: "",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			p := serve(t, kind)
			location, a := p.begin(t, upstream.Start{Offline: true})
			if !strings.Contains(location, asks) {
				t.Errorf("asked %s", location)
			}
			got, err := p.b.Finish(t.Context(), p.u, a, p.back(t, location, false), upstream.Visitor{})
			if err != nil || got.Tokens.Refresh == "" || !got.Tokens.ExpiresAt.After(p.clock()) {
				t.Fatalf("%q until %s, %v", got.Tokens.Refresh.Reveal(), got.Tokens.ExpiresAt, err)
			}
			p.pass(2 * time.Hour)
			next, err := p.b.Renew(t.Context(), p.u, got.Tokens.Refresh)
			if err != nil || next.Access == "" || next.Access == got.Tokens.Access || next.Refresh == got.Tokens.Refresh || !next.ExpiresAt.After(p.clock()) {
				t.Fatalf("renewed: %q until %s, %v", next.Access.Reveal(), next.ExpiresAt, err)
			}
			if _, err := p.b.Renew(t.Context(), p.u, got.Tokens.Refresh); !errors.Is(err, openid.ErrInvalidGrant) {
				t.Errorf("a spent one: %v", err)
			}
			for trouble, want := range map[upstreamtest.Trouble]error{
				upstreamtest.Down: openid.ErrUnreachable, upstreamtest.Throttled: openid.ErrThrottled, upstreamtest.HTML: openid.ErrLies, upstreamtest.BadSecret: openid.ErrClient,
			} {
				p.Behave(trouble, upstreamtest.AtToken)
				if _, err := p.b.Renew(t.Context(), p.u, next.Refresh); !errors.Is(err, want) {
					t.Errorf("%s: %v", trouble, err)
				}
			}
			p.Behave(upstreamtest.None)
			if _, err := p.b.Renew(t.Context(), p.u, next.Refresh); err != nil {
				t.Errorf("after the troubles: %v", err)
			}
		})
	}
	github := serve(t, upstream.GitHub)
	if _, err := github.b.Renew(t.Context(), github.u, ""); !errors.Is(err, openid.ErrInvalidGrant) {
		t.Errorf("none: %v", err)
	}
}
