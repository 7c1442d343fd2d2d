package jwks

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
)

// rotate takes one step away from the active key and returns what Rotate said.
func rotate(t testing.TB, d *db.DB, sk *secret.Key, r Rotation, now time.Time) (id string, err error) {
	t.Helper()
	if r.Fresh, err = Generate(ES256); err != nil {
		return "", err
	}
	err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = Rotate(ctx, tx, sk, r, now)
		return err
	})
	return id, err
}

func only(t testing.TB, keys []Key, s State) Key {
	t.Helper()
	found := inState(keys, s)
	if len(found) != 1 {
		t.Fatalf("%d keys are %s, want 1: %v", len(found), s, keys)
	}
	return found[0]
}

func TestRotationGoesNextActiveRetiredGone(t *testing.T) {
	const publish, keep = time.Hour, 30 * time.Minute
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		ensure(t, d, sk, start, ES256, ES256)
		first, second := only(t, load(t, d, sk), Active), only(t, load(t, d, sk), Next)

		_, err := rotate(t, d, sk, Rotation{From: first.ID, Publish: publish, Keep: keep}, start.Add(publish-time.Minute))
		if soon, ok := errors.AsType[*TooSoon](err); !ok || soon.Wait != time.Minute {
			t.Fatalf("a minute early: %v, want a TooSoon of 1m0s", err)
		}
		now := start.Add(publish)
		id, err := rotate(t, d, sk, Rotation{From: first.ID, Publish: publish, Keep: keep}, now)
		if err != nil || id != second.ID {
			t.Fatalf("Rotate = %s, %v; want %s", id, err, second.ID)
		}
		keys := load(t, d, sk)
		if k := only(t, keys, Active); k.ID != second.ID || !k.ActiveAt.Equal(now) || !k.RetiredAt.IsZero() {
			t.Errorf("active is %v since %v, want %v since %v", k, k.ActiveAt, second, now)
		}
		if k := only(t, keys, Retired); k.ID != first.ID || !k.RetiredAt.Equal(now) || !k.ExpiresAt.Equal(now.Add(keep)) {
			t.Errorf("retired is %v until %v, want %v until %v", k, k.ExpiresAt, first, now.Add(keep))
		}
		if k := only(t, keys, Next); k.ID == first.ID || k.ID == second.ID || !k.CreatedAt.Equal(now) {
			t.Errorf("next is %v of %v, want a new key of %v", k, k.CreatedAt, now)
		}

		for _, c := range []struct {
			at   time.Time
			want int64
		}{{now.Add(keep - time.Second), 0}, {now.Add(keep), 1}, {now.Add(keep), 0}} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := Sweep(ctx, tx, c.at)
				if n != c.want {
					t.Errorf("Sweep at %v took %d keys, want %d", c.at, n, c.want)
				}
				return err
			})
		}
		if keys := load(t, d, sk); len(keys) != 2 || len(inState(keys, Retired)) != 0 {
			t.Errorf("after the sweep: %v, want active and next", keys)
		}
	})
}

func TestForcedRotationDoesNotWait(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		ensure(t, d, sk, start, ES256, ES256)
		leaked := only(t, load(t, d, sk), Active)
		if _, err := rotate(t, d, sk, Rotation{From: leaked.ID, Publish: time.Hour, Force: true}, start); err != nil {
			t.Fatal(err)
		}
		var ring Ring
		ring.Set(load(t, d, sk), start)
		if _, ok := ring.ByID(leaked.ID); ok {
			t.Error("a key retired with Keep 0 still verifies")
		}
	})
}

func TestRotateRefusesWhatWouldLeaveNoKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		if _, err := rotate(t, d, sk, Rotation{From: "none", Force: true}, start); !errors.Is(err, ErrNoNext) {
			t.Errorf("without keys: %v, want %v", err, ErrNoNext)
		}
		ensure(t, d, sk, start, ES256)
		active := only(t, load(t, d, sk), Active)
		if _, err := rotate(t, d, sk, Rotation{From: active.ID, Force: true}, start); !errors.Is(err, ErrNoNext) {
			t.Errorf("without a next key: %v, want %v", err, ErrNoNext)
		}
		ensure(t, d, sk, start, ES256)
		next := only(t, load(t, d, sk), Next)
		if _, err := rotate(t, d, sk, Rotation{From: next.ID, Force: true}, start); !errors.Is(err, ErrNotActive) {
			t.Errorf("away from the next key: %v, want %v", err, ErrNotActive)
		}
		if _, err := rotate(t, d, processKey(t, 2), Rotation{From: active.ID, Force: true}, start); !errors.Is(err, secret.ErrSeal) {
			t.Errorf("to a key that does not open: %v, want %v", err, secret.ErrSeal)
		}
		if got := only(t, load(t, d, sk), Active); got.ID != active.ID {
			t.Errorf("active is %v, want %v", got, active)
		}
	})
}

func TestNodesThatStartAtOnceAgreeOnTheKeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		const nodes = 8
		var wg sync.WaitGroup
		for range nodes {
			wg.Go(func() {
				var keys []Key
				for _, alg := range Missing(nil, ES256, EdDSA) {
					k, err := Generate(alg)
					if err != nil {
						t.Error(err)
					}
					keys = append(keys, k)
				}
				write(t, d, func(ctx context.Context, tx *db.Tx) error { return Ensure(ctx, tx, sk, keys, start) })
			})
		}
		wg.Wait()
		keys := load(t, d, sk)
		if len(keys) != 4 || len(inState(keys, Active)) != 2 || len(inState(keys, Next)) != 2 {
			t.Errorf("keys %v, want active and next of two algorithms", keys)
		}
		if missing := Missing(keys, ES256, EdDSA); len(missing) != 0 {
			t.Errorf("missing %v, want none", missing)
		}
	})
}

// Half the nodes rotate as scheduled, half by force; all mean the same key.
func TestRotateHasOneWinner(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		ensure(t, d, sk, start, ES256, ES256)
		now := start.Add(24 * time.Hour)
		for round := range 5 {
			from := only(t, load(t, d, sk), Active).ID
			const nodes = 8
			won := make(chan string, nodes)
			stop := make(chan struct{})
			var watch, wg sync.WaitGroup
			watch.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if n := len(inState(load(t, d, sk), Active)); n != 1 {
							t.Errorf("%d active keys during a rotation, want 1", n)
						}
					}
				}
			})
			for i := range nodes {
				wg.Go(func() {
					id, err := rotate(t, d, sk, Rotation{From: from, Publish: time.Hour, Keep: time.Hour, Force: i%2 == 0}, now)
					if _, soon := errors.AsType[*TooSoon](err); err == nil {
						won <- id
					} else if !errors.Is(err, ErrNotActive) && !soon {
						t.Errorf("loser got %v, want ErrNotActive or TooSoon", err)
					}
				})
			}
			wg.Wait()
			close(stop)
			watch.Wait()
			close(won)
			if len(won) != 1 {
				t.Fatalf("round %d: %d winners, want 1", round, len(won))
			}
			keys := load(t, d, sk)
			if got := only(t, keys, Active).ID; got != <-won {
				t.Errorf("active is %s, not the winner's", got)
			}
			only(t, keys, Next)
			if got := len(inState(keys, Retired)); got != round+1 {
				t.Errorf("%d retired, want %d", got, round+1)
			}
			now = now.Add(24 * time.Hour)
		}
	})
}

func TestClientSecretIsUsedAsItIs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		c := newClient(t, d, "c")
		set := func(c client.ID, shared []byte) (changed bool, err error) {
			err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				changed, err = SetClientSecret(ctx, tx, sk, c, shared, start)
				return err
			})
			return changed, err
		}
		one, two := bytes.Repeat([]byte("1"), MinSecret), bytes.Repeat([]byte("2"), MinSecret+9)
		for _, step := range []struct {
			shared []byte
			want   bool
		}{{one, true}, {one, false}, {two, true}, {two, false}, {one, true}} {
			if changed, err := set(c, step.shared); err != nil || changed != step.want {
				t.Errorf("SetClientSecret = %v, %v; want %v", changed, err, step.want)
			}
			k := only(t, load(t, d, sk), Active)
			if !bytes.Equal(k.Private().([]byte), step.shared) || k.ClientID != c || k.Alg != HS256 {
				t.Errorf("key %v of %s does not hold the secret", k, k.ClientID)
			}
		}
		if _, err := set(c, one[1:]); !errors.Is(err, ErrShortSecret) {
			t.Errorf("31 bytes: %v, want %v", err, ErrShortSecret)
		}
		if _, err := set("nobody", one); !errors.Is(err, db.ErrReference) {
			t.Errorf("unknown client: %v, want %v", err, db.ErrReference)
		}
	})
}

func TestClientHasOneSecretUnderAnyRace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		c := newClient(t, d, "c")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				write(t, d, func(ctx context.Context, tx *db.Tx) error {
					_, err := SetClientSecret(ctx, tx, sk, c, bytes.Repeat([]byte{byte(i)}, MinSecret), start)
					return err
				})
			})
		}
		wg.Wait()
		only(t, load(t, d, sk), Active)
	})
}

func TestPreviousClientSecretVerifiesUntilItIsTakenAway(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		c := newClient(t, d, "c")
		now, then := bytes.Repeat([]byte("1"), MinSecret), bytes.Repeat([]byte("2"), MinSecret)
		set := func(fn func(context.Context, *db.Tx, *secret.Key, client.ID, []byte, time.Time) (bool, error), shared []byte) (changed bool, err error) {
			err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
				changed, err = fn(ctx, tx, sk, c, shared, start)
				return err
			})
			return changed, err
		}
		if _, err := set(SetClientSecret, now); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			shared []byte
			want   bool
			keys   [][]byte
		}{
			{nil, false, [][]byte{now}},
			{then, true, [][]byte{now, then}}, {then, false, [][]byte{now, then}},
			{now, true, [][]byte{now, now}},
			{nil, true, [][]byte{now}}, {nil, false, [][]byte{now}},
		} {
			if changed, err := set(SetPreviousSecret, step.shared); err != nil || changed != step.want {
				t.Errorf("SetPreviousSecret = %v, %v; want %v", changed, err, step.want)
			}
			if n, err := sweep(t, d, start.Add(10*365*24*time.Hour)); err != nil || n != 0 {
				t.Errorf("%d keys swept, %v", n, err)
			}
			var ring Ring
			ring.Set(load(t, d, sk), start.Add(10*365*24*time.Hour))
			var got [][]byte
			for _, k := range ring.Shared(c) {
				got = append(got, k.Private().([]byte))
			}
			if !slices.EqualFunc(got, step.keys, bytes.Equal) {
				t.Errorf("%q verify, want %q", got, step.keys)
			}
			if k, err := ring.Active(HS256, c); err != nil || !bytes.Equal(k.Private().([]byte), now) {
				t.Errorf("%v signs, %v", k, err)
			}
			if others := ring.Shared("d"); len(others) != 0 {
				t.Errorf("%v verify for another client", others)
			}
		}
		if _, err := set(SetPreviousSecret, then[1:]); !errors.Is(err, ErrShortSecret) {
			t.Errorf("31 bytes: %v, want %v", err, ErrShortSecret)
		}
	})
}

func sweep(t *testing.T, d *db.DB, now time.Time) (n int64, err error) {
	err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) { n, err = Sweep(ctx, tx, now); return err })
	return n, err
}
