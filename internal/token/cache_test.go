package token

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"sallyport/internal/jwks"
)

func TestCacheForgetsWithTheKeys(t *testing.T) {
	ring, keys := everyAlg(t)
	es := keys[jwks.ES256]
	raw := signed(t, es, sample)
	cache := NewCache(ring, 10)
	for range 2 {
		if _, err := cache.Verify("", []string{jwks.ES256}, raw); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cache.Verify("", []string{jwks.RS256}, raw); !errors.Is(err, ErrMalformed) {
		t.Errorf("cached ES256 where RS256 is allowed: %v, want %v", err, ErrMalformed)
	}
	es.State, es.ExpiresAt = jwks.Retired, start.Add(time.Hour)
	ring.Set([]jwks.Key{es}, start)
	if _, err := cache.Verify("", []string{jwks.ES256}, raw); err != nil {
		t.Errorf("by the retired key: %v", err)
	}
	ring.Set([]jwks.Key{es}, start.Add(time.Hour))
	if _, err := cache.Verify("", []string{jwks.ES256}, raw); !errors.Is(err, ErrSignature) {
		t.Errorf("after the key expired: %v, want %v", err, ErrSignature)
	}
}

// A check that began before the keys changed ends after.
func TestCacheTakesNoResultOfOlderKeys(t *testing.T) {
	ring, keys := everyAlg(t)
	cache := NewCache(ring, 10)
	raw := signed(t, keys[jwks.ES256], sample)
	began := ring.Version()
	late, err := Verify(ring, "", allAlgs, raw)
	if err != nil {
		t.Fatal(err)
	}
	ring.Set([]jwks.Key{keys[jwks.EdDSA]}, start)
	if _, err := cache.Verify("", allAlgs, signed(t, keys[jwks.EdDSA], sample)); err != nil {
		t.Fatal(err)
	}
	cache.store(began, sha256.Sum256([]byte(raw)), late)
	if _, err := cache.Verify("", allAlgs, raw); !errors.Is(err, ErrSignature) {
		t.Errorf("a late result of older keys: %v, want %v", err, ErrSignature)
	}
}

func TestCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	ring, keys := everyAlg(t)
	const size = 8
	cache := NewCache(ring, size)
	algs := []string{jwks.HS256}
	used := signed(t, keys[jwks.HS256], map[string]string{"jti": "used"})
	for i := range 10 * size {
		for _, raw := range []string{used, signed(t, keys[jwks.HS256], map[string]string{"jti": strconv.Itoa(i)})} {
			if _, err := cache.Verify("c", algs, raw); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(cache.young) + len(cache.old); n > 2*size {
			t.Fatalf("%d tokens are kept, want at most %d", n, 2*size)
		}
		if n := len(cache.young) + len(cache.old); i > size && n < size {
			t.Fatalf("%d tokens are kept, want at least %d", n, size)
		}
	}
}

func TestCacheIsSafeWhileKeysChange(t *testing.T) {
	ring, keys := everyAlg(t)
	es, ed := keys[jwks.ES256], keys[jwks.EdDSA]
	raw := signed(t, es, sample)
	cache := NewCache(ring, 10)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := cache.Verify("", allAlgs, raw); err != nil && !errors.Is(err, ErrSignature) {
					t.Errorf("Verify: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			ring.Set([][]jwks.Key{{es, ed}, {ed}}[i%2], start)
		}
	})
	wg.Wait()
	// The last change took the key away: nothing older may answer.
	if _, err := cache.Verify("", allAlgs, raw); !errors.Is(err, ErrSignature) {
		t.Errorf("after the key went: %v, want %v", err, ErrSignature)
	}
}
