package identity_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func TestNormalizeEmail(t *testing.T) {
	local64 := strings.Repeat("a", 64)
	for given, want := range map[string]string{
		"jane@example.com":               "jane@example.com",
		"  Jane.Doe+tag@EXAMPLE.com \n":  "jane.doe+tag@example.com",
		"o'hara@a-b.example":             "o'hara@a-b.example",
		"x@xn--bcher-kva.example":        "x@xn--bcher-kva.example",
		local64 + "@example.com":         local64 + "@example.com",
		"":                               "",
		"jane":                           "",
		"jane@":                          "",
		"@example.com":                   "",
		"jane@example":                   "",
		"jane@@example.com":              "",
		"jane@exa mple.com":              "",
		"ja ne@example.com":              "",
		".jane@example.com":              "",
		"jane.@example.com":              "",
		"ja..ne@example.com":             "",
		"jane@-example.com":              "",
		"jane@example-.com":              "",
		"jane@example..com":              "",
		"jane@[192.0.2.1]":               "",
		`"jane doe"@example.com`:         "",
		"jäne@example.com":               "",
		"\u212aate@example.com":          "", // the Kelvin sign folds to k
		"jane@exämple.com":               "",
		"jane@example.com\x00":           "",
		"jane@example.com\r\nBcc: x":     "",
		local64 + "a@example.com":        "",
		"a@" + strings.Repeat("b.", 130): "",
	} {
		got, err := identity.NormalizeEmail(given)
		if want == "" {
			if !errors.Is(err, identity.ErrEmail) {
				t.Errorf("%q: got %q, %v, want it refused", given, got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", given, got, err, want)
		}
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"jane@example.com", " A@B.C ", "a@b", "\xff@x.y", "a@b.c\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := identity.NormalizeEmail(s)
		if err != nil {
			return
		}
		if again, err := identity.NormalizeEmail(got); err != nil || again != got {
			t.Errorf("%q became %q, which becomes %q, %v", s, got, again, err)
		}
		if len(got) > identity.MaxEmail || !utf8.ValidString(got) || strings.ContainsAny(got, " \r\n\x00<>,;\"") || strings.ToLower(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestIDTellsItsTime(t *testing.T) {
	at := now.Add(123 * time.Millisecond)
	if got, ok := identity.TimeOf(identity.IDAt(at)); !ok || !got.Equal(at) {
		t.Errorf("time of an id made for %v: %v, %v", at, got, ok)
	}
	for _, id := range []string{identity.RandomID(), "", "nonsense"} {
		if got, ok := identity.TimeOf(id); ok {
			t.Errorf("%q tells %v", id, got)
		}
	}
	if first, second := identity.IDAt(at), identity.IDAt(at); first == second {
		t.Error("two ids of one instant are equal")
	}
}

func TestParseID(t *testing.T) {
	id := identity.NewID()
	if got, ok := identity.ParseID(strings.ToUpper(id)); !ok || got != id {
		t.Errorf("upper case: %q, %v", got, ok)
	}
	for _, s := range []string{"", "x", "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id[:35] + "g"} {
		if got, ok := identity.ParseID(s); ok {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestPatternIsTakenLiterally(t *testing.T) {
	if got, want := identity.Like("50%_!X"), "%50!%!_!!x%"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func user(email string) identity.User {
	return identity.User{ID: identity.NewUserID(), Email: email, DisplayName: "Jane Doe", Status: identity.Active, CreatedAt: now}
}

func write(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestAddressHasOneUser(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := 0
		for range 100 {
			wg.Go(func() {
				err := d.Write(context.Background(), func(ctx context.Context, tx *db.Tx) error {
					return identity.Create(ctx, tx, user("jane@example.com"))
				})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, identity.ErrEmailTaken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d users have the address", won)
		}
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, total, err := identity.List(ctx, tx, "", 10, 0)
			if total != 1 {
				t.Errorf("%d users are left, want 1: the losers' rows must be gone", total)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestPasswordIsReplacedOnlyIfItIsTheOldOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u := user("jane@example.com")
		u.PasswordHash = "one"
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := identity.Create(ctx, tx, u); err != nil {
				return err
			}
			if ok, err := identity.SetPassword(ctx, tx, u.ID, "other", "two", now); ok || err != nil {
				t.Errorf("replaced a password that it did not know: %v, %v", ok, err)
			}
			if ok, err := identity.SetPassword(ctx, tx, u.ID, "one", "two", now); !ok || err != nil {
				t.Errorf("kept the old one: %v, %v", ok, err)
			}
			got, err := identity.ByEmail(ctx, tx, "jane@example.com")
			if got.PasswordHash != "two" {
				t.Errorf("hash %q", got.PasswordHash)
			}
			return err
		})
	})
}

func TestAddressIsVerifiedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other := user("jane@example.com"), user("tom@example.com")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := errors.Join(identity.Create(ctx, tx, u), identity.Create(ctx, tx, other)); err != nil {
				return err
			}
			for _, c := range []struct {
				who  identity.UserID
				want bool
			}{{other.ID, false}, {u.ID, true}, {u.ID, false}} {
				if ok, err := identity.VerifyEmail(ctx, tx, c.who, u.Email, now); ok != c.want || err != nil {
					t.Errorf("verify by %s: %v, %v, want %v", c.who, ok, err, c.want)
				}
			}
			return nil
		})
	})
}

func TestUpstreamAccountIsOneUsers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, other := user("jane@example.com"), user("tom@example.com")
		link := identity.Link{Issuer: "https://idp.example", Subject: "1", UserID: u.ID, Upstream: "corp", CreatedAt: now}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(identity.Create(ctx, tx, u), identity.Create(ctx, tx, other), identity.AddLink(ctx, tx, link))
		})
		stolen := link
		stolen.UserID = other.ID
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return identity.AddLink(ctx, tx, stolen) })
		if !errors.Is(err, identity.ErrLinkTaken) {
			t.Errorf("second owner: %v", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			links, err := identity.Links(ctx, tx, u.ID)
			if len(links) != 1 || links[0].Subject != "1" {
				t.Errorf("links %v", links)
			}
			if n, err := identity.Unlink(ctx, tx, u.ID, "corp"); n != 1 || err != nil {
				t.Errorf("unlink: %d, %v", n, err)
			}
			return err
		})
	})
}

func TestSearchFindsAddressAndName(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			for _, e := range []string{"jane@example.com", "tom@example.com", "50%@example.com"} {
				if err := identity.Create(ctx, tx, user(e)); err != nil {
					return err
				}
			}
			for search, want := range map[string]int{"": 3, "JANE": 3, "tom@": 1, "50%": 1, "%": 1, "nobody": 0} {
				_, total, err := identity.List(ctx, tx, search, 10, 0)
				if err != nil || total != want {
					t.Errorf("%q: %d, %v, want %d", search, total, err, want)
				}
			}
			return nil
		})
	})
}

func TestUserIsCalledByWhatThereIs(t *testing.T) {
	u := identity.User{ID: "1", Email: "jane@example.com", DisplayName: "Jane"}
	for _, want := range []string{"jane@example.com", "Jane", "1"} {
		if got := u.Called(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if u.Email != "" {
			u.Email = ""
		} else {
			u.DisplayName = ""
		}
	}
}
