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
	own       map[client.ID]document // of clients with keys of their own, theirs first
}

// asymmetric are the algorithms with a public half; a bit for each selects a
// document of some of them.
var asymmetric = [...]string{RS256, ES256, EdDSA}

// Set replaces the keys; those that have expired at now are left out. Keys that
// are the same as before change nothing, so Version holds still.
func (r *Ring) Set(keys []Key, now time.Time) {
	r.setting.Lock()
	defer r.setting.Unlock()
	s := &snapshot{version: 1, byID: map[string]Key{}, active: map[place]Key{}, shared: map[client.ID][]Key{}, own: map[client.ID]document{}}
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
		s.documents[mask] = publish(s.keys, mask, "")
	}
	for _, k := range s.keys {
		if _, made := s.own[k.ClientID]; !made && k.ClientID != "" && order(k) >= 0 {
			s.own[k.ClientID] = publish(s.keys, len(s.documents)-1, k.ClientID)
		}
	}
	r.current.Store(s)
}

// same reports whether two keys read from the database are the same row in the
// same state; the bytes of a key never change.
func same(a, b Key) bool {
	return a.ID == b.ID && a.State == b.State && a.ClientID == b.ClientID && a.ExpiresAt.Equal(b.ExpiresAt)
}

// publish writes the key set of the algorithms whose bits are in mask: server
// keys, and before them those of client c, if it has any. A symmetric one never
// has a public form.
func publish(keys []Key, mask int, c client.ID) document {
	set := struct {
		Keys []jwk `json:"keys"`
	}{[]jwk{}}
	mine := func(k Key) int {
		if k.ClientID != "" {
			return 0
		}
		return 1
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b Key) int { return cmp.Compare(mine(a), mine(b)) })
	for _, k := range keys {
		if bit := order(k); bit < 0 || mask&(1<<bit) == 0 || k.ClientID != "" && k.ClientID != c {
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

// Active returns the key that signs with alg for a client: for HS256 the secret
// that it shares with us, else the server's. c may be empty. Fails with ErrNoKey.
func (r *Ring) Active(alg string, c client.ID) (Key, error) {
	s := r.current.Load()
	if s == nil {
		return Key{}, ErrNoKey
	}
	if k, ok := s.active[place{alg, c}]; ok && (alg == HS256 || c == "") {
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
		d := publish(nil, 0, "")
		return d.body, d.etag
	}
	d := s.documents[mask]
	return d.body, d.etag
}

// Own is Active for an API that signs with keys of the client's own: the server's
// only where it has none. Its tokens verify with DocumentOf.
func (r *Ring) Own(alg string, c client.ID) (Key, error) {
	if s := r.current.Load(); s != nil {
		if k, ok := s.active[place{alg, c}]; ok {
			return k, nil
		}
	}
	return r.Active(alg, c)
}

// DocumentOf is Document with the keys of a client's own first.
func (r *Ring) DocumentOf(c client.ID) (body []byte, etag string) {
	if s := r.current.Load(); s != nil {
		if d, ok := s.own[c]; ok {
			return d.body, d.etag
		}
	}
	return r.Document()
}

// KeysOf returns the asymmetric keys of a client's own, the one that signs first.
func (r *Ring) KeysOf(c client.ID) []Key {
	var all []Key
	if s := r.current.Load(); s != nil && c != "" {
		for _, k := range s.keys {
			if k.ClientID == c && order(k) >= 0 {
				all = append(all, k)
			}
		}
	}
	return all
}

// order is a key's place among those of its state.
func order(k Key) int { return slices.Index(asymmetric[:], k.Alg) }
