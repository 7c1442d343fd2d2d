package apikey_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/apikey"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// town is a database with a client, and what the tests do to it.
type town struct {
	*testing.T
	d      *db.DB
	client client.ID
}

func newTown(t *testing.T, d *db.DB) town {
	w := town{t, d, client.NewID()}
	w.write(func(ctx context.Context, tx *db.Tx) error {
		return client.Create(ctx, tx, client.Client{ID: w.client, Name: "Shop", Active: true, CreatedAt: now})
	})
	return w
}

func (w town) write(fn func(context.Context, *db.Tx) error) {
	w.Helper()
	if err := w.d.Write(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

func (w town) user(name string) identity.UserID {
	w.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: name + "@example.com", Status: identity.Active, CreatedAt: now}
	w.write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) })
	return u.ID
}

func (w town) key(u identity.UserID, change func(*apikey.Key)) (k apikey.Key, raw string) {
	w.Helper()
	in := apikey.Key{
		UserID: u, ClientID: w.client, Name: "CI", Scopes: []string{"user:read", "projects:read"},
		Metadata: json.RawMessage(`{"a":[1,{"b":null}]}`), AMR: []string{"pwd", "otp"}, Upstream: "google", ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&in)
	}
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		k, raw, err = apikey.Create(ctx, tx, "ba_", in, now)
		return err
	})
	return k, raw
}

func (w town) byText(raw string) (k apikey.Key, err error) {
	w.Helper()
	err = w.d.Read(w.Context(), func(ctx context.Context, tx *db.Tx) error {
		k, err = apikey.ByText(ctx, tx, raw)
		return err
	})
	return k, err
}

func TestKeyIsFoundByItsTextAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane := w.user("jane")
		k, raw := w.key(jane, nil)
		if !apikey.Shaped(raw) || !strings.HasPrefix(raw, k.Start) || len(k.Start) != len("ba_")+6 {
			t.Errorf("key of %d characters, start %q", len(raw), k.Start)
		}
		got, err := w.byText(raw)
		if diff := cmp.Diff(k, got); err != nil || diff != "" {
			t.Errorf("by text: %v %s", err, diff)
		}
		_, other := w.key(jane, nil)
		for name, bad := range map[string]string{
			"none": "", "no prefix": raw[3:], "another prefix": "tkn_" + raw[3:], "cut": raw[:len(raw)-1], "id": string(k.ID),
			"capitals": strings.ToUpper(raw), "space": raw + " ", "of two": raw[:40] + other[40:], "not UTF-8": raw[:66] + "\xff",
		} {
			if _, err := w.byText(bad); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, err)
			}
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			stored, err := db.All(ctx, tx, db.Text, `SELECT start || name || scopes || metadata FROM api_keys`)
			for _, s := range stored {
				if strings.Contains(s, raw[3+6:]) {
					t.Error("the key is in the database")
				}
			}
			return err
		})
	})
}

func TestKeyIsGoodWhileEnabledAndUnexpired(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		k    apikey.Key
		want bool
	}{
		"lasting":      {apikey.Key{Enabled: true}, true},
		"before":       {apikey.Key{Enabled: true, ExpiresAt: now.Add(time.Microsecond)}, true},
		"at the time":  {apikey.Key{Enabled: true, ExpiresAt: now}, false},
		"switched off": {apikey.Key{ExpiresAt: now.Add(time.Hour)}, false},
	} {
		if got := c.k.Good(now); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestUpdateWidensNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane, bob := w.user("jane"), w.user("bob")
		k, raw := w.key(jane, nil)
		want := k
		want.Name, want.Metadata, want.Enabled, want.UpdatedAt = "Deploy", json.RawMessage(`{}`), false, now.Add(time.Minute)
		change := want
		change.Scopes, change.OrgID, change.ExpiresAt, change.AMR, change.Start = []string{"user:write"}, "x", time.Time{}, nil, "y"
		w.write(func(ctx context.Context, tx *db.Tx) error {
			return apikey.Update(ctx, tx, change, now.Add(time.Minute))
		})
		got, err := w.byText(raw)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("updated: %v %s", err, diff)
		}
		change.UserID = bob
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return apikey.Update(ctx, tx, change, now) })
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("somebody else's: got %v, want ErrNotFound", err)
		}
	})
}

func TestKeysAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane, bob := w.user("jane"), w.user("bob")
		k, raw := w.key(jane, nil)
		second, _ := w.key(jane, nil)
		w.write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := apikey.ByID(ctx, tx, bob, k.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("read by another: %v", err)
			}
			if err := apikey.Delete(ctx, tx, bob, k.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("deleted by another: %v", err)
			}
			all, total, err := apikey.List(ctx, tx, jane, "", 1, 0)
			if err != nil || total != 2 || len(all) != 1 || all[0].ID != second.ID {
				t.Errorf("listed %+v of %d, %v", all, total, err)
			}
			if all, total, err := apikey.List(ctx, tx, bob, "", 10, 0); err != nil || total != 0 || len(all) != 0 {
				t.Errorf("another sees %d of %d, %v", len(all), total, err)
			}
			return apikey.Delete(ctx, tx, jane, k.ID)
		})
		if _, err := w.byText(raw); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("deleted key: %v", err)
		}
	})
}

func TestPinnedKeyEndsWithTheMembership(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		owner, jane := w.user("owner"), w.user("jane")
		var acme, other org.ID
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for _, id := range []*org.ID{&acme, &other} {
				s, err := org.Found(ctx, tx, org.Org{}, owner, now)
				if err != nil {
					return err
				}
				*id = s.OrgID
			}
			_, _, err := org.Join(ctx, tx, acme, jane, org.Member, now)
			return err
		})
		pinned, raw := w.key(jane, func(k *apikey.Key) { k.OrgID = acme })
		_, free := w.key(jane, nil)
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, _, err := apikey.Create(ctx, tx, "ba_", apikey.Key{UserID: jane, ClientID: w.client, OrgID: other, Metadata: json.RawMessage(`{}`)}, now)
			return err
		})
		if !errors.Is(err, db.ErrReference) {
			t.Errorf("pinned to an organization of others: got %v, want ErrReference", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			all, total, err := apikey.List(ctx, tx, jane, acme, 10, 0)
			if err != nil || total != 1 || len(all) != 1 || all[0].ID != pinned.ID {
				t.Errorf("pinned keys: %+v of %d, %v", all, total, err)
			}
			return org.Leave(ctx, tx, acme, jane)
		})
		if _, err := w.byText(raw); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("key of a former member: %v", err)
		}
		if _, err := w.byText(free); err != nil {
			t.Errorf("key that was pinned nowhere: %v", err)
		}
	})
}

func TestEndByPlaceEndsTheClientsOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w, other := newTown(t, d), newTown(t, d)
		jane := w.user("jane")
		_, here := w.key(jane, nil)
		_, there := other.key(jane, nil)
		w.write(func(ctx context.Context, tx *db.Tx) error { return apikey.EndByPlace(ctx, tx, jane, w.client) })
		if _, err := w.byText(here); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("key of the client: %v", err)
		}
		if _, err := w.byText(there); err != nil {
			t.Errorf("key of another client: %v", err)
		}
	})
}

func TestEndByUserMayKeepWhatIsPinnedElsewhere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane, bob := w.user("jane"), w.user("bob")
		var acme org.ID
		w.write(func(ctx context.Context, tx *db.Tx) error {
			s, err := org.Found(ctx, tx, org.Org{}, jane, now)
			acme = s.OrgID
			return err
		})
		w.key(jane, func(k *apikey.Key) { k.OrgID = acme })
		w.key(jane, nil)
		w.key(bob, nil)
		for _, c := range []struct {
			pinned org.ID
			want   int64
		}{{acme, 1}, {acme, 0}, {"", 1}, {"", 0}} {
			w.write(func(ctx context.Context, tx *db.Tx) error {
				if n, err := apikey.EndByUser(ctx, tx, jane, c.pinned); err != nil || n != c.want {
					t.Errorf("pinned to %q: ended %d, %v; want %d", c.pinned, n, err, c.want)
				}
				return nil
			})
		}
	})
}

func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane := w.user("jane")
		w.write(func(ctx context.Context, tx *db.Tx) error {
			k := apikey.Key{UserID: jane, ClientID: w.client, Metadata: json.RawMessage(`{}`)}
			for range apikey.Max {
				if _, _, err := apikey.Create(ctx, tx, "ba_", k, now); err != nil {
					return err
				}
			}
			if _, _, err := apikey.Create(ctx, tx, "ba_", k, now); !errors.Is(err, apikey.ErrMany) {
				t.Errorf("one more: got %v, want ErrMany", err)
			}
			return nil
		})
	})
}

func TestUseIsNotedNowAndThen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		k, raw := w.key(w.user("jane"), nil)
		for _, c := range []struct{ at, want time.Duration }{{time.Minute, time.Minute}, {time.Hour, time.Minute}, {time.Hour + time.Minute, time.Hour + time.Minute}} {
			w.write(func(ctx context.Context, tx *db.Tx) error { return apikey.Touch(ctx, tx, k.ID, now.Add(c.at)) })
			if got, err := w.byText(raw); err != nil || !got.UsedAt.Equal(now.Add(c.want)) {
				t.Errorf("after %v: used at %v, %v", c.at, got.UsedAt, err)
			}
		}
	})
}

func TestSweepTakesTheExpiredOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		jane := w.user("jane")
		for _, at := range []time.Time{{}, now.Add(time.Minute), now.Add(2 * time.Minute), now.Add(time.Hour)} {
			w.key(jane, func(k *apikey.Key) { k.ExpiresAt = at })
		}
		for _, want := range []int64{1, 1, 0} {
			w.write(func(ctx context.Context, tx *db.Tx) error {
				if n, err := apikey.Sweep(ctx, tx, now.Add(2*time.Minute), 1); err != nil || n != want {
					t.Errorf("swept %d, %v; want %d", n, err, want)
				}
				return nil
			})
		}
	})
}

func TestPrefixIsAWordAndAnUnderscore(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"ba_": true, "tkn_": true, "k2_": true, "": false, "_": false, "ba": false, "Ba_": true, "b a_": false, "ba__": false, "bä_": false,
		strings.Repeat("a", 15) + "_": true, strings.Repeat("a", 16) + "_": false, "ba_\n": false,
	} {
		if got := apikey.Prefix(s); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
