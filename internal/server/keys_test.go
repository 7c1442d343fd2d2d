package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// signs returns the ids of the keys that sign, by algorithm.
func signs(t *testing.T, k *Keys) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, alg := range keyAlgorithms {
		key, err := k.Ring.Active(alg, "")
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		ids[alg] = key.ID
	}
	return ids
}

func TestNodesThatStartAtOnceShareTheirKeys(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		nodes := make([]*Keys, 3)
		var all sync.WaitGroup
		for i := range nodes {
			nodes[i] = &Keys{DB: d, Key: testKey, Now: time.Now, Ring: &jwks.Ring{}}
			all.Go(func() {
				if err := nodes[i].Ensure(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, n := range nodes {
			if _, err := n.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := signs(t, nodes[0])
		for _, n := range nodes[1:] {
			for alg, id := range signs(t, n) {
				if id != want[alg] {
					t.Errorf("%s: one node signs with %s, another with %s", alg, want[alg], id)
				}
			}
		}
		keys, err := nodes[0].Load(t.Context())
		if err != nil || len(keys) != 2*len(keyAlgorithms) {
			t.Errorf("got %d keys, %v; want %d", len(keys), err, 2*len(keyAlgorithms))
		}
	})
}

func TestRotate(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clock := time.Now()
		k := &Keys{DB: d, Key: testKey, Now: func() time.Time { return clock }, Ring: &jwks.Ring{}}
		if _, err := k.Rotate(t.Context(), jwks.ES256, false, audit.System()); !errors.Is(err, jwks.ErrNoKey) {
			t.Errorf("without keys: got %v, want ErrNoKey", err)
		}
		if err := k.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		// One client's tokens live for longer than a retired key is kept anyway.
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return client.Create(ctx, tx, client.Client{ID: client.NewID(), Name: "Slow", Active: true, CreatedAt: clock, UpdatedAt: clock,
				Policy: client.Policy{AccessToken: client.AccessToken{Lifetime: client.Duration(72 * time.Hour)}}.WithDefaults()})
		})
		if err != nil {
			t.Fatal(err)
		}
		first := signs(t, k)[jwks.ES256]
		if early, ok := errors.AsType[*jwks.TooSoon](second(k.Rotate(t.Context(), jwks.ES256, false, audit.System()))); !ok || early.Wait > keyPublish {
			t.Errorf("a next key that nobody has seen: got %v, want *TooSoon", early)
		}
		clock = clock.Add(keyPublish)
		id, err := k.Rotate(t.Context(), jwks.ES256, false, audit.Operator("test"))
		if err != nil || id == first || signs(t, k)[jwks.ES256] != id {
			t.Fatalf("got %s, %v; want another key than %s, which signs", id, err, first)
		}
		old, ok := k.Ring.ByID(first)
		if want := clock.Add(72*time.Hour + keyLinger); !ok || old.State != jwks.Retired || old.ExpiresAt.Sub(want).Abs() > time.Second {
			t.Errorf("retired key: got %v until %v, want it kept until %v", old, old.ExpiresAt, want)
		}
		if id2, err := k.Rotate(t.Context(), jwks.ES256, true, audit.Operator("test")); err != nil || id2 == id {
			t.Errorf("forced: got %s, %v", id2, err)
		}
		var entries []audit.Entry
		err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			entries, _, err = audit.List(ctx, tx, audit.Filter{Limit: 10})
			return err
		})
		if err != nil || len(entries) != 2 || entries[0].Action != audit.KeyRotated {
			t.Errorf("audit: got %+v, %v; want two rotations", entries, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestKeysRotateByThemselves(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	k := &Keys{DB: dbtest.SQLite(t), Key: testKey, Now: func() time.Time { return clock }, Ring: &jwks.Ring{}}
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := signs(t, k)
	tend := func() {
		t.Helper()
		if err := k.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tend()
	if got := signs(t, k); got[jwks.RS256] != before[jwks.RS256] {
		t.Error("a young key was rotated")
	}
	clock = clock.Add(keyAge)
	tend()
	after := signs(t, k)
	for alg, id := range after {
		if id == before[alg] {
			t.Errorf("the %s key was not rotated after %v", alg, keyAge)
		}
		if old, ok := k.Ring.ByID(before[alg]); !ok || old.State != jwks.Retired {
			t.Errorf("the old %s key: got %v, want it retired", alg, old)
		}
	}
	tend()
	if got := signs(t, k); got[jwks.RS256] != after[jwks.RS256] {
		t.Error("a key was rotated twice")
	}
	clock = clock.Add(keyKeep + time.Second)
	tend()
	keys, err := k.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(keys, func(key jwks.Key) bool { return key.State == jwks.Retired }) {
		t.Errorf("keys that nothing needs are still there: %v", keys)
	}
}
