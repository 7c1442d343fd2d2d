package directory_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		raw, made := w.token(w.acme)
		other, _ := w.token(w.acme)
		theirs, _ := w.token(w.evil)
		if !strings.HasPrefix(raw, "scim_") || len(raw) != 69 || !strings.HasPrefix(raw, made.Start) || len(made.Start) != 11 {
			t.Errorf("got %q, starting %q", raw, made.Start)
		}
		found := func(raw string, want org.ID) {
			t.Helper()
			err := w.try(func(ctx context.Context, tx *db.Tx) error {
				got, err := directory.ByToken(ctx, tx, raw)
				if err == nil && got.OrgID != want {
					t.Errorf("got %s, want %s", got.OrgID, want)
				}
				return err
			})
			if want == "" && !errors.Is(err, db.ErrNotFound) || want != "" && err != nil {
				t.Errorf("%q: %v", raw, err)
			}
		}
		found(raw, w.acme)
		found(other, w.acme)
		found(theirs, w.evil)
		for _, bad := range []string{"", "scim_", raw[:68], raw + "0", strings.ToUpper(raw), strings.TrimPrefix(raw, "scim_"), "' OR 1=1 --"} {
			found(bad, "")
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			first, err := directory.Use(ctx, tx, made, "Okta SCIM Client 1.0.0", now)
			s, err2 := directory.StatusOf(ctx, tx, w.acme)
			if !first || !s.On() || len(s.Tokens) != 2 || s.Tokens[0].Agent != "Okta SCIM Client 1.0.0" || !s.UsedAt().Equal(now) {
				t.Errorf("got %v %+v", first, s)
			}
			again, err3 := directory.Use(ctx, tx, s.Tokens[0], "other", now.Add(directory.Touched-time.Second))
			later, err4 := directory.Use(ctx, tx, s.Tokens[0], "other", now.Add(directory.Touched))
			if again || !later {
				t.Errorf("noted %v and %v, want once a minute", again, later)
			}
			return errors.Join(err, err2, err3, err4)
		})
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return directory.EndToken(ctx, tx, w.evil, made.ID) }); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("another's token ended: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { return directory.EndToken(ctx, tx, w.acme, made.ID) })
		found(raw, "")
		found(other, w.acme)
		if err := w.try(func(ctx context.Context, tx *db.Tx) error {
			_, err := directory.Use(ctx, tx, made, "", now)
			return err
		}); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("use of an ended one: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { return directory.Disable(ctx, tx, w.acme) })
		found(other, "")
		found(theirs, w.evil)
	})
}

func TestNoMoreTokensThanMax(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		var wg sync.WaitGroup
		errs := make([]error, 2*directory.MaxTokens)
		for i := range errs {
			wg.Go(func() {
				errs[i] = w.try(func(ctx context.Context, tx *db.Tx) error {
					_, _, err := directory.MakeToken(ctx, tx, w.acme, now)
					return err
				})
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else if !errors.Is(err, directory.ErrMany) {
				t.Error(err)
			}
		}
		if made != directory.MaxTokens {
			t.Errorf("made %d, want %d", made, directory.MaxTokens)
		}
	})
}

// Only who is a member, with a proved address of a proved domain, is taken in: not a
// guest, not whoever wrote an address down, and nobody of a domain that was only claimed.
func TestMembersAreAdopted(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		for _, p := range []struct {
			email    string
			verified bool
			in       []org.ID
		}{
			{"jane@acme.com", true, []org.ID{w.acme, w.evil}},
			{"squatter@acme.com", false, []org.ID{w.acme}},
			{"guest@other.example", true, []org.ID{w.acme}},
			{"sub@mail.acme.com", true, []org.ID{w.acme}},
			{"like@notacme.com", true, []org.ID{w.acme}},
			{"stranger@acme.com", true, nil},
		} {
			u := w.user(p.email, p.verified)
			for _, id := range p.in {
				w.write(func(ctx context.Context, tx *db.Tx) error {
					_, _, err := org.Join(ctx, tx, id, u, org.Admin, now)
					return err
				})
			}
		}
		w.token(w.acme)
		w.token(w.evil)
		if got := w.people(w.acme, directory.Exact{}); !slices.Equal(got, []string{"jane@acme.com"}) {
			t.Errorf("acme: got %v", got)
		}
		if got := w.people(w.evil, directory.Exact{}); len(got) != 0 {
			t.Errorf("evil: got %v", got)
		}
		w.token(w.acme) // and again changes nothing
		w.write(func(ctx context.Context, tx *db.Tx) error {
			all, _, err := directory.Users(ctx, tx, w.acme, directory.Exact{Name: "JANE@acme.com"}, 10, 0)
			if err != nil || len(all) != 1 {
				t.Fatalf("got %v %v", all, err)
			}
			want := directory.User{
				OrgID: w.acme, ID: all[0].ID, Name: "jane@acme.com", Active: true, Role: org.Admin, Version: 1, CreatedAt: now, UpdatedAt: now,
				Email: "jane@acme.com", Verified: true, DisplayName: "Jane Doe", GivenName: "Jane", FamilyName: "Doe",
			}
			if diff := cmp.Diff(want, all[0]); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

func TestPeople(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.token(w.acme)
		w.token(w.evil)
		jane, john := w.add(w.acme, "Jane@acme.com"), w.add(w.acme, "john@acme.com")
		w.add(w.evil, "jane@evil.example")
		for name, c := range map[string]struct {
			err  error
			user directory.User
		}{
			"a name in another case": {directory.ErrTaken, directory.User{OrgID: w.acme, ID: w.user("x@acme.com", true), Name: "JANE@ACME.COM", Role: org.Member}},
			"a person once more":     {directory.ErrTaken, directory.User{OrgID: w.acme, ID: jane, Name: "other", Role: org.Member}},
			"the name elsewhere":     {nil, directory.User{OrgID: w.evil, ID: jane, Name: "jane@acme.com", Role: org.Member}},
		} {
			if err := w.try(func(ctx context.Context, tx *db.Tx) error { return directory.Add(ctx, tx, c.user, now) }); !errors.Is(err, c.err) {
				t.Errorf("%s: got %v, want %v", name, err, c.err)
			}
		}
		read := func(u identity.UserID) (x directory.User, err error) {
			err = w.d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				x, err = directory.UserByID(ctx, tx, w.acme, u)
				return err
			})
			return x, err
		}
		x, err := read(jane)
		if err != nil {
			t.Fatal(err)
		}
		x.ExternalID, x.Active, x.Disabled, x.Role, x.Attributes = "00u1", false, true, org.Viewer, json.RawMessage(`{"title":"%_'"}`)
		w.write(func(ctx context.Context, tx *db.Tx) error { return directory.Change(ctx, tx, x, now.Add(time.Hour)) })
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return directory.Change(ctx, tx, x, now) }); !errors.Is(err, directory.ErrChanged) {
			t.Errorf("the second change of one version: %v", err)
		}
		got, err := read(jane)
		x.Version, x.UpdatedAt = 2, now.Add(time.Hour)
		if diff := cmp.Diff(x, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		x.Version, x.Name = 2, "JOHN@acme.com"
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return directory.Change(ctx, tx, x, now) }); !errors.Is(err, directory.ErrTaken) {
			t.Errorf("a name that is taken: %v", err)
		}
		for _, c := range []struct {
			e    directory.Exact
			want []string
		}{
			{directory.Exact{ExternalID: "00u1"}, []string{"Jane@acme.com"}},
			{directory.Exact{ExternalID: "00U1"}, nil},
			{directory.Exact{ID: string(john)}, []string{"john@acme.com"}},
			{directory.Exact{Address: "john@acme.com"}, []string{"john@acme.com"}},
			{directory.Exact{Name: "john@acme.com", ExternalID: "00u1"}, nil},
			{directory.Exact{Name: "' OR '1'='1"}, nil},
			{directory.Exact{Name: "%"}, nil},
		} {
			if got := w.people(w.acme, c.e); !slices.Equal(got, c.want) {
				t.Errorf("%+v: got %v, want %v", c.e, got, c.want)
			}
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			barred, err := directory.Barred(ctx, tx, w.acme, jane)
			free, err2 := directory.Barred(ctx, tx, w.acme, john)
			if !barred || free {
				t.Errorf("barred %v and %v", barred, free)
			}
			return errors.Join(err, err2, directory.Remove(ctx, tx, got, now))
		})
		if _, err := read(jane); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("removed, and there: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			first, err := directory.Release(ctx, tx, jane)
			again, err2 := directory.Release(ctx, tx, jane)
			if !first || again {
				t.Errorf("released %v and %v, want once", first, again)
			}
			return errors.Join(err, err2, directory.Add(ctx, tx, directory.User{OrgID: w.acme, ID: jane, Name: "jane@acme.com", Active: true, Role: org.Member}, now))
		})
		if back, err := read(jane); err != nil || back.Version != 4 || back.ExternalID != "" || back.Attributes != nil || !back.Active {
			t.Errorf("back again: %+v %v", back, err)
		}
	})
}
