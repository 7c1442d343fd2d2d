package jwks

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/secret"
)

// Ring is a node's copy of the keys, for requests to read without a database.
// Its owner calls Set after each Load. The zero Ring holds no keys; any number
// of goroutines may use one.
//
// A node that has not yet loaded a rotation goes on signing with the key that
// was retired, and verifies what others sign with the new one, because it has
// known that key as the next one.
type Ring struct {
	setting sync.Mutex
	current atomic.Pointer[snapshot]
}

type place struct {
	alg      string
	clientID client.ID
}

type document struct {
	body []byte
	etag string
}

// snapshot is never changed after it was stored.
type snapshot struct {
	version   uint64
	keys      []Key
	byID      map[string]Key
	active    map[place]Key
	shared    map[client.ID][]Key
	documents [1 << len(asymmetric)]document
}

// asymmetric are the algorithms with a public half; a bit for each selects a
// document of some of them.
var asymmetric = [...]string{RS256, ES256, EdDSA}

// Set replaces the keys; those that have expired at now are left out. Keys that
// are the same as before change nothing, so Version holds still.
func (r *Ring) Set(keys []Key, now time.Time) {
	r.setting.Lock()
	defer r.setting.Unlock()
	s := &snapshot{version: 1, byID: map[string]Key{}, active: map[place]Key{}, shared: map[client.ID][]Key{}}
	for _, k := range keys {
		if k.live(now) {
			s.keys = append(s.keys, k)
		}
	}
	rank := map[State]int{Active: 0, Next: 1, Retired: 2}
	// A relying party that never looks at the kid takes the first key, and such
	// a one knows RSA: so the active key comes first, and RS256 before the rest.
	slices.SortFunc(s.keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(rank[a.State], rank[b.State]), cmp.Compare(order(a), order(b)), cmp.Compare(a.ID, b.ID))
	})
	if old := r.current.Load(); old != nil {
		if slices.EqualFunc(old.keys, s.keys, same) {
			return
		}
		s.version = old.version + 1
	}
	for _, k := range s.keys {
		s.byID[k.ID] = k
		if k.State == Active {
			s.active[place{k.Alg, k.ClientID}] = k
		}
		if k.Alg == HS256 {
			s.shared[k.ClientID] = append(s.shared[k.ClientID], k)
		}
	}
	for mask := range s.documents {
		s.documents[mask] = publish(s.keys, mask)
	}
	r.current.Store(s)
}

// same reports whether two keys read from the database are the same row in the
// same state; the bytes of a key never change.
func same(a, b Key) bool {
	return a.ID == b.ID && a.State == b.State && a.ClientID == b.ClientID && a.ExpiresAt.Equal(b.ExpiresAt)
}

// publish writes the key set of the algorithms whose bits are in mask. Server
// keys only: a client's are its own affair, and a symmetric one never has a
// public form.
func publish(keys []Key, mask int) document {
	set := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{}}
	for _, k := range keys {
		if bit := slices.Index(asymmetric[:], k.Alg); bit < 0 || mask&(1<<bit) == 0 || k.ClientID != "" {
			continue
		}
		if j, err := publicJWK(k); err == nil {
			set.Keys = append(set.Keys, j)
		}
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic("jwks: " + err.Error()) // strings always marshal
	}
	return document{body, `"` + hex.EncodeToString(secret.Hash(string(body))[:16]) + `"`}
}

// Version changes with every change of the keys; 0 means that there never were
// any.
func (r *Ring) Version() uint64 {
	if s := r.current.Load(); s != nil {
		return s.version
	}
	return 0
}

// Active returns the key that signs with alg for a client: the client's own if
// it has one, else, for an asymmetric algorithm, the server's. c may be empty.
// Fails with ErrNoKey.
func (r *Ring) Active(alg string, c client.ID) (Key, error) {
	s := r.current.Load()
	if s == nil {
		return Key{}, ErrNoKey
	}
	if k, ok := s.active[place{alg, c}]; ok {
		return k, nil
	}
	if k, ok := s.active[place{alg, ""}]; ok {
		return k, nil
	}
	return Key{}, ErrNoKey
}

// Shared returns the secrets that verify for a client, the one that signs first.
// The caller does not change them.
func (r *Ring) Shared(c client.ID) []Key {
	if s := r.current.Load(); s != nil {
		return s.shared[c]
	}
	return nil
}

// ByID returns the key with that kid, in whatever state.
func (r *Ring) ByID(kid string) (Key, bool) {
	s := r.current.Load()
	if s == nil {
		return Key{}, false
	}
	k, ok := s.byID[kid]
	return k, ok
}

// Document returns the public server keys of the algorithms, all of them if
// none is named, as a JWK Set (RFC 7517 §5) with a strong entity tag (RFC 9110
// §8.8.3, quotes included). The same keys give the same bytes on every node.
// They are kept, not made for the call: the caller does not change them.
func (r *Ring) Document(algs ...string) (body []byte, etag string) {
	mask := 0
	for bit, alg := range asymmetric {
		if len(algs) == 0 || slices.Contains(algs, alg) {
			mask |= 1 << bit
		}
	}
	s := r.current.Load()
	if s == nil {
		d := publish(nil, 0)
		return d.body, d.etag
	}
	d := s.documents[mask]
	return d.body, d.etag
}

// order is a key's place among those of its state.
func order(k Key) int { return slices.Index(asymmetric[:], k.Alg) }
