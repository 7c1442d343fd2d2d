package jwks

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestClientKeyGoesNextActiveRetiredGone(t *testing.T) {
	const publish, keep = time.Hour, 30 * time.Minute
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk, c := processKey(t, 1), newClient(t, d, client.NewID())
		fresh := generated(t, RS256)[0]
		add := func(now time.Time) (k Key, err error) {
			err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				k, err = AddClientKey(ctx, tx, sk, c, fresh, now)
				return err
			})
			return k, err
		}
		turn := func(now time.Time) error {
			return d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return RotateClientKey(ctx, tx, c, RS256, publish, keep, now)
			})
		}
		first, err := add(start)
		if err != nil || first.State != Active || !strings.HasPrefix(first.ID, "key_") {
			t.Fatalf("the first key: %v, %v; want it active", first, err)
		}
		if err := turn(start); !errors.Is(err, ErrNoNext) {
			t.Errorf("rotation of the only key: %v, want %v", err, ErrNoNext)
		}
		second, err := add(start.Add(time.Minute))
		if err != nil || second.State != Next || second.ID == first.ID {
			t.Fatalf("the second key: %v, %v; want it next", second, err)
		}
		_, soon := errors.AsType[*TooSoon](turn(start.Add(publish)))
		if !soon {
			t.Error("a key signed before it was published for long enough")
		}
		now := start.Add(publish + time.Minute)
		if err := turn(now); err != nil {
			t.Fatal(err)
		}
		keys := load(t, d, sk)
		if k := only(t, keys, Active); k.ID != second.ID || k.ClientID != c {
			t.Errorf("active is %v, want %v", k, second)
		}
		if k := only(t, keys, Retired); k.ID != first.ID || !k.ExpiresAt.Equal(now.Add(keep)) {
			t.Errorf("retired is %v until %v, want %v until %v", k, k.ExpiresAt, first, now.Add(keep))
		}
		for id, want := range map[string]error{second.ID: ErrSigns, first.ID: nil} {
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return DeleteClientKey(ctx, tx, id) })
			if !errors.Is(err, want) {
				t.Errorf("delete %s: %v, want %v", id, err, want)
			}
		}
		for range MostClientKeys - 1 {
			if _, err := add(now); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := add(now); !errors.Is(err, ErrTooManyKeys) {
			t.Errorf("one too many: %v, want %v", err, ErrTooManyKeys)
		}
		var owner client.ID
		if err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			owner, err = ClientKeyOwner(ctx, tx, second.ID)
			return err
		}); err != nil || owner != c {
			t.Errorf("owner: %q, %v; want %q", owner, err, c)
		}
	})
}
