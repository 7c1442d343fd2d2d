package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
)

func stored(k Key, s State, c client.ID) Key {
	k.State, k.ClientID = s, c
	return k
}

func kids(t *testing.T, body []byte) (ids []string) {
	t.Helper()
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		ids = append(ids, k.Kid)
	}
	return ids
}

func TestDocumentHoldsLivePublicServerKeys(t *testing.T) {
	g := generated(t, ES256, ES256, ES256, ES256, EdDSA, EdDSA, RS256)
	active, next, retired, dead := stored(g[0], Active, ""), stored(g[1], Next, ""), stored(g[2], Retired, ""), stored(g[3], Retired, "")
	retired.ExpiresAt, dead.ExpiresAt = start.Add(time.Second), start
	ed, own, rs := stored(g[4], Active, ""), stored(g[5], Active, "c"), stored(g[6], Active, "")
	shared := Key{ID: "shared", Alg: HS256, ClientID: "c", State: Active}.withPrivate([]byte(strings.Repeat("s", 32)))
	keys := []Key{dead, retired, next, shared, own, ed, active, rs}

	var ring Ring
	ring.Set(keys, start)
	all, etag := ring.Document()
	if got, want := kids(t, all), []string{rs.ID, active.ID, ed.ID, next.ID, retired.ID}; !slices.Equal(got, want) {
		t.Errorf("kids %v, want %v", got, want)
	}
	for _, private := range []string{`"d"`, `"k"`, `"p"`, "oct", "shared", own.ID, dead.ID} {
		if bytes.Contains(all, []byte(private)) {
			t.Errorf("document holds %s: %s", private, all)
		}
	}
	if one, _ := ring.Document(EdDSA); !slices.Equal(kids(t, one), []string{ed.ID}) {
		t.Errorf("EdDSA alone: %s", one)
	}
	if none, _ := ring.Document(HS256); string(none) != `{"keys":[]}` {
		t.Errorf("HS256: %s, want an empty set", none)
	}

	// The same keys in another order, on another node.
	slices.Reverse(keys)
	var other Ring
	other.Set(keys, start)
	if body, tag := other.Document(); !bytes.Equal(body, all) || tag != etag {
		t.Errorf("another node publishes %s %s, want %s %s", tag, body, etag, all)
	}
	other.Set(keys, start.Add(time.Second))
	if body, tag := other.Document(); tag == etag || bytes.Contains(body, []byte(retired.ID)) {
		t.Errorf("after the retired key expired: %s %s", tag, body)
	}
	if len(etag) != 34 || etag[0] != '"' || etag[33] != '"' {
		t.Errorf("entity tag %s, want 32 quoted hex digits", etag)
	}
}

func TestEmptyRing(t *testing.T) {
	var ring Ring
	if body, etag := ring.Document(); string(body) != `{"keys":[]}` || etag == "" {
		t.Errorf("document %s %s, want an empty set", body, etag)
	}
	if _, err := ring.Active(ES256, ""); !errors.Is(err, ErrNoKey) {
		t.Errorf("Active: %v, want %v", err, ErrNoKey)
	}
	if _, ok := ring.ByID("kid"); ok || ring.Version() != 0 {
		t.Error("an empty ring has a key or a version")
	}
}

func TestClientsOwnKeySignsWhereItIsAskedFor(t *testing.T) {
	g := generated(t, ES256, ES256, ES256)
	server, next, own := stored(g[0], Active, ""), stored(g[1], Next, ""), stored(g[2], Active, "a")
	shared := Key{ID: "shared", Alg: HS256, ClientID: "b", State: Active}.withPrivate([]byte(strings.Repeat("s", 32)))
	var ring Ring
	ring.Set([]Key{server, next, own, shared}, start)
	for _, c := range []struct {
		alg  string
		c    client.ID
		want string
	}{
		{ES256, "", server.ID}, {ES256, "b", server.ID}, {ES256, "a", server.ID},
		{HS256, "b", "shared"}, {HS256, "a", ""}, {HS256, "", ""}, {EdDSA, "", ""},
	} {
		k, err := ring.Active(c.alg, c.c)
		if k.ID != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Active(%s, %q) = %q, %v; want %q", c.alg, c.c, k.ID, err, c.want)
		}
	}
	for c, want := range map[client.ID]string{"": server.ID, "a": own.ID, "b": server.ID} {
		if k, err := ring.Own(ES256, c); err != nil || k.ID != want {
			t.Errorf("Own(ES256, %q) = %q, %v; want %q", c, k.ID, err, want)
		}
	}
	if got := ring.KeysOf("a"); len(got) != 1 || got[0].ID != own.ID || len(ring.KeysOf("b")) != 0 || len(ring.KeysOf("")) != 0 {
		t.Errorf("KeysOf: got %v, %v, %v", got, ring.KeysOf("b"), ring.KeysOf(""))
	}
	mine, _ := ring.DocumentOf("a")
	all, _ := ring.Document()
	others, _ := ring.DocumentOf("b")
	if at := bytes.Index(mine, []byte(own.ID)); at < 0 || at > bytes.Index(mine, []byte(server.ID)) || bytes.Contains(all, []byte(own.ID)) || !bytes.Equal(all, others) {
		t.Errorf("documents:\nof a %s\nof all %s\nof b %s", mine, all, others)
	}
}

func TestVersionChangesWithTheKeysOnly(t *testing.T) {
	g := generated(t, ES256, ES256)
	a, n := stored(g[0], Active, ""), stored(g[1], Next, "")
	var ring Ring
	ring.Set([]Key{a, n}, start)
	first := ring.Version()
	ring.Set([]Key{n, a}, start.Add(time.Hour))
	if got := ring.Version(); got != first {
		t.Errorf("version %d after the same keys, want %d", got, first)
	}
	a.State, n.State, a.ExpiresAt = Retired, Active, start.Add(3*time.Hour)
	ring.Set([]Key{a, n}, start.Add(time.Hour))
	second := ring.Version()
	ring.Set([]Key{a, n}, start.Add(4*time.Hour))
	if third := ring.Version(); first == second || second == third {
		t.Errorf("versions %d, %d, %d; want three different ones", first, second, third)
	}
}
