package token

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// sampleClaims is a user's access token of Keymaster.
type sampleClaims struct {
	Sub   string   `json:"sub"`
	Email string   `json:"email"`
	Name  string   `json:"name"`
	Aud   string   `json:"aud"`
	Iss   string   `json:"iss"`
	Iat   int64    `json:"iat"`
	Exp   int64    `json:"exp"`
	Roles []string `json:"roles"`
}

var sample = sampleClaims{
	Sub: "0198c1b2-7c44-7d1e-9a55-0a4f5d1b8e11", Email: "user@example.com", Name: "Jane Doe",
	Aud: "7f3c2e0a-6b1f-4e0e-9c55-0a4f5d1b8e11", Iss: "https://keymaster.example",
	Iat: 1710547200, Exp: 1710548100, Roles: []string{"user", "admin"},
}

func BenchmarkSign(b *testing.B) {
	_, keys := everyAlg(b)
	for _, alg := range allAlgs {
		b.Run(alg, func(b *testing.B) {
			k := keys[alg]
			for b.Loop() {
				if _, err := Sign(k, "JWT", sample); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	ring, keys := everyAlg(b)
	for _, alg := range allAlgs {
		raw, err := Sign(keys[alg], "JWT", sample)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				t, err := Verify(ring, "c", []string{alg}, raw)
				if err == nil {
					err = t.CheckTimes(time.Unix(sample.Iat, 0), 0)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	ring, keys := everyAlg(b)
	raw := signed(b, keys[jwks.ES256], sample)
	cache := NewCache(ring, 100)
	for b.Loop() {
		t, err := cache.Verify("c", allAlgs, raw)
		if err == nil {
			err = t.CheckTimes(time.Unix(sample.Iat, 0), 0)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRotate is the whole of a rotation: find in a read transaction,
// replace in a write transaction, each caller with a family of its own.
func BenchmarkRotate(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, open(b))
			for _, callers := range []int{1, 32} {
				b.Run(strconv.Itoa(callers), func(b *testing.B) {
					b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
					b.RunParallel(func(pb *testing.PB) {
						raw := w.issue(Family{}, start)
						for pb.Next() {
							var err error
							if raw, err = w.refresh(raw, start, 0); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		})
	}
}
