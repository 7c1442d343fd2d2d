// Package jwks owns the keys that sign tokens: how they are made, kept,
// rotated, and published as a JSON Web Key Set (RFC 7517). It neither signs nor
// verifies: package token does, with the keys of a Ring.
//
// There are two kinds. Server keys (RS256, ES256, EdDSA) belong to the
// installation, and each algorithm has one of them in each of two states:
//
//	Generate ──Ensure──▶ next ──Rotate──▶ active ──Rotate──▶ retired ──Sweep──▶ gone
//	                     published,       published,         published until the last
//	                     does not sign    signs              token it signed has expired
//
// A relying party may keep our key set for an hour before it looks again, so a
// key signs only after it has been published for longer than that, and stays
// published while a token that it signed can be alive. Ensure makes the first
// active key of an algorithm together with its successor. Unique indexes and
// guarded updates hold that there is one active key of an algorithm, never none
// and never two, whatever several nodes do at once.
//
// Client keys (HS256) are secrets that a client shares with us, used as they
// are, because the services that check such tokens have the secret in their
// configuration. They are never published, and have no successor: a new secret
// replaces the old one at once, unless the operator names that as the previous
// one, which then verifies and signs nothing, until it is named no more.
//
// Private keys are sealed by package secret and bound to their id, algorithm
// and client, so a row that was changed or copied does not open. The public half
// is derived from the sealed private one, never read on its own: whoever can
// write to the database still cannot bring in a key.
package jwks

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sallyport/internal/client"
)

// The signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
	HS256 = "HS256"
)

// State is how far a key has come.
type State string

// The states of a key.
const (
	Next    State = "next"    // published, does not sign yet
	Active  State = "active"  // published, signs
	Retired State = "retired" // published until ExpiresAt, signs no more
)

// MinSecret is the least length in bytes of a client's shared secret: as long
// as the hash (RFC 7518 §3.2).
const MinSecret = 32

var (
	// ErrNoKey reports an algorithm that no active key signs with.
	ErrNoKey = errors.New("jwks: no active key")
	// ErrNoNext reports a rotation of an algorithm without a next key: Ensure
	// makes one.
	ErrNoNext = errors.New("jwks: no next key to rotate to")
	// ErrNotActive reports a rotation away from a key that is not active, as
	// another node's rotation a moment earlier leaves it.
	ErrNotActive = errors.New("jwks: the key is not active")
	// ErrShortSecret reports a client's secret of fewer than MinSecret bytes.
	ErrShortSecret = fmt.Errorf("jwks: an HS256 secret has at least %d bytes", MinSecret)
)

// TooSoon reports a rotation to a key that relying parties may not know yet.
// Wait is what is left until it has been published for long enough.
type TooSoon struct{ Wait time.Duration }

// Error says how long to wait.
func (e *TooSoon) Error() string {
	return fmt.Sprintf("jwks: the next key must be published for another %s before it signs", e.Wait)
}

// Key is a signing key with its private half. ID is the kid: of a server key
// its thumbprint (RFC 7638), which is the same wherever it is computed; of a
// client's secret a random one, because a hash of the secret would help to
// guess it (RFC 7638 §7). ClientID is empty for a server key. ActiveAt,
// RetiredAt and ExpiresAt are zero until the key gets so far.
type Key struct {
	ID, Alg   string
	ClientID  client.ID
	State     State
	CreatedAt time.Time
	ActiveAt  time.Time
	RetiredAt time.Time
	ExpiresAt time.Time

	private, public any
}

// Private returns the half that signs: an *rsa.PrivateKey, *ecdsa.PrivateKey or
// ed25519.PrivateKey, or the []byte of a shared secret.
func (k Key) Private() any { return k.private }

// Public returns the half that verifies: an *rsa.PublicKey, *ecdsa.PublicKey or
// ed25519.PublicKey, or the []byte of a shared secret, which is not public.
func (k Key) Public() any { return k.public }

// Format prints what may be known of a key, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { io.WriteString(s, k.describe()) }

// LogValue makes log/slog print what may be known of a key.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.describe()) }

func (k Key) describe() string { return "key " + k.ID + " (" + k.Alg + " " + string(k.State) + ")" }

// live reports whether tokens signed by k are still to be accepted.
// A client's previous secret has no time of its own.
func (k Key) live(now time.Time) bool {
	return k.State != Retired || k.ExpiresAt.After(now) || k.ClientID != "" && k.ExpiresAt.IsZero()
}

// Missing returns an algorithm for each key that must be generated so that
// every one of algs has an active and a next key: twice for a new one.
func Missing(keys []Key, algs ...string) []string {
	type place struct {
		alg   string
		state State
	}
	have := map[place]bool{}
	for _, k := range keys {
		if k.ClientID == "" {
			have[place{k.Alg, k.State}] = true
		}
	}
	var missing []string
	for _, alg := range algs {
		for _, s := range []State{Active, Next} {
			if !have[place{alg, s}] {
				missing = append(missing, alg)
			}
		}
	}
	return missing
}

// Due returns the active server keys that have signed for at least every.
func Due(keys []Key, now time.Time, every time.Duration) []Key {
	var due []Key
	for _, k := range keys {
		if k.State == Active && k.ClientID == "" && !k.ActiveAt.Add(every).After(now) {
			due = append(due, k)
		}
	}
	return due
}

// withPrivate returns k holding a private key and what verifies for it.
func (k Key) withPrivate(private any) Key {
	k.private, k.public = private, private
	if s, ok := private.(crypto.Signer); ok {
		k.public = s.Public()
	}
	return k
}
