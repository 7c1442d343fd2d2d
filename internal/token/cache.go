package token

import (
	"crypto/sha256"
	"slices"
	"sync"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
)

// Cache verifies JWTs and remembers which it verified: a signature check costs
// 40 to 70 µs, a look into the cache one. It holds up to twice its size of
// tokens, drops the longest unused half when it is full, and drops all when the
// keys change. Times are not its affair: the caller checks them each time.
// Any number of goroutines may use one.
type Cache struct {
	ring *jwks.Ring
	size int

	mu         sync.Mutex
	version    uint64
	young, old map[[sha256.Size]byte]JWT
}

// NewCache verifies with the keys of a ring and remembers size tokens or more.
func NewCache(r *jwks.Ring, size int) *Cache { return &Cache{ring: r, size: size} }

// Verify is the function Verify with the cache's ring.
func (c *Cache) Verify(id client.ID, algs []string, raw string) (JWT, error) {
	if len(raw) > MaxJWT {
		return JWT{}, ErrMalformed
	}
	// Read before the keys are: a result of older keys never counts as newer.
	version := c.ring.Version()
	sum := sha256.Sum256([]byte(raw))
	if t, ok := c.load(version, sum); ok && slices.Contains(algs, t.Key.Alg) && (t.Key.ClientID == "" || t.Key.ClientID == id) {
		return t, nil
	}
	t, err := Verify(c.ring, id, algs, raw)
	if err == nil {
		c.store(version, sum, t)
	}
	return t, err
}

func (c *Cache) load(version uint64, sum [sha256.Size]byte) (JWT, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != c.version {
		return JWT{}, false
	}
	if t, ok := c.young[sum]; ok {
		return t, true
	}
	t, ok := c.old[sum]
	if ok {
		c.put(sum, t)
	}
	return t, ok
}

func (c *Cache) store(version uint64, sum [sha256.Size]byte, t JWT) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version < c.version {
		return
	}
	if version > c.version {
		c.version, c.young, c.old = version, nil, nil
	}
	c.put(sum, t)
}

// put is called with the lock held.
func (c *Cache) put(sum [sha256.Size]byte, t JWT) {
	if c.young == nil || len(c.young) >= c.size {
		c.young, c.old = make(map[[sha256.Size]byte]JWT), c.young
	}
	c.young[sum] = t
}
