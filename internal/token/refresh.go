package token

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

var (
	// ErrUnknown reports a refresh token that no living family knows: made up,
	// expired, or of a family that has ended.
	ErrUnknown = errors.New("token: unknown refresh token")
	// ErrReused reports a refresh token of a living family presented after its
	// rotation and its grace.
	ErrReused = errors.New("token: refresh token reused")
)

// Family is a refresh token with all its descendants. SessionID and DeviceID
// are empty where there is none. AMR are the methods proved when the family
// began (RFC 8176). GrantID is the grant of the provider that the family hangs on
// and ends with, "" for one of a sign-in. Membership is the one that the sign-in
// acts in, with which the family ends too, or "" for none; OrgRole is its role as
// it was then. Upstream is the key of the provider that proved the sign-in, if one did. UsedAt is the time of the last rotation, at first the same
// as CreatedAt; ExpiresAt is when the current token ends, and with it the
// family.
type Family struct {
	ID        int64
	UserID    identity.UserID
	ClientID  client.ID
	SessionID session.ID
	DeviceID  string
	AMR       []string
	GrantID   string

	Membership org.MembershipID
	OrgRole    org.Role
	Upstream   string

	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
}

// State is what became of a presented token that is good.
type State string

// The states of a presented token.
const (
	Current State = "current" // Rotate it
	Repeat  State = "repeat"  // inside its grace: Successor is the answer
)

// Found is what Find knows of a presented token. Successor is the family's
// current token, which answers a Repeat.
type Found struct {
	Family    Family
	State     State
	Successor string

	raw    presented
	recent []int64
	grace  time.Duration
}

// The parts of a token, in bytes.
const (
	idSize     = 8
	secretSize = 16
	tagSize    = 8
	rawSize    = idSize + secretSize + tagSize
)

// maxRecent bounds the rotations remembered for their grace. A family that was
// rotated so often inside one grace rests: Find answers its current token with
// itself, so that none inside the grace is ever forgotten.
const maxRecent = 64

// presented is a token's 32 bytes.
type presented [rawSize]byte

// String is the token as clients hold it: 64 lower-case hexadecimal digits.
func (p presented) String() string { return hex.EncodeToString(p[:]) }

func (p presented) family() int64 { return int64(binary.BigEndian.Uint64(p[:idSize])) }

// hash is the SHA-256 of the text, as of every other opaque token.
func (p presented) hash() []byte { return secret.Hash(p.String()) }

// mint puts a token of a family together.
func mint(k *secret.Key, family int64, random []byte) (p presented) {
	binary.BigEndian.PutUint64(p[:], uint64(family))
	copy(p[idSize:], random)
	copy(p[idSize+secretSize:], tag(k, p))
	return p
}

func tag(k *secret.Key, p presented) []byte {
	return k.MAC("refresh-tag", p[:idSize], p[idSize:idSize+secretSize])[:tagSize]
}

// successor derives the token that replaces p.
func successor(k *secret.Key, p presented) presented {
	return mint(k, p.family(), k.MAC("refresh-next", p[:])[:secretSize])
}

// parse accepts only what mint made under this key, in its one spelling.
func parse(k *secret.Key, raw string) (p presented, ok bool) {
	if len(raw) != 2*rawSize || strings.ContainsFunc(raw, notLowerHex) {
		return p, false
	}
	if _, err := hex.Decode(p[:], []byte(raw)); err != nil {
		return p, false
	}
	return p, secret.Equal(tag(k, p), p[idSize+secretSize:])
}

func notLowerHex(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }

// newID mints a family id: 42 bits of milliseconds (until the year 2109) and 21
// random ones. Ids ascend, so new rows share a page.
func newID(now time.Time) int64 {
	random := int64(binary.BigEndian.Uint32(secret.Bytes(4)) & (1<<21 - 1))
	return now.UnixMilli()&(1<<42-1)<<21 | random
}

// Issue starts a family and returns its first token. Of f the caller fills the
// user, the client, ExpiresAt, and what there is of the others but the times. Fails
// with db.ErrReference for a user, client, grant or membership that does not exist.
func Issue(ctx context.Context, tx *db.Tx, k *secret.Key, f Family, now time.Time) (raw string, err error) {
	f.CreatedAt, f.UsedAt = now, now
	// Two families of one millisecond share an id once in two million times.
	for range 8 {
		f.ID = newID(now)
		p := mint(k, f.ID, secret.Bytes(secretSize))
		ok, err := insert(ctx, tx, f, p.hash())
		if err != nil {
			return "", err
		}
		if ok {
			return p.String(), nil
		}
	}
	return "", fmt.Errorf("issue refresh token: no free id: %w", db.ErrConflict)
}

// Find looks a presented token up without changing anything; grace is the
// client's reuse_grace. It fails with ErrUnknown, or with ErrReused and the
// Family that the caller is to end. Whether the token is the asking client's is
// for the caller to see in Family.ClientID before it does anything.
func Find(ctx context.Context, tx *db.Tx, k *secret.Key, raw string, now time.Time, grace time.Duration) (Found, error) {
	id, ok := FamilyOf(k, raw)
	if !ok {
		return Found{}, ErrUnknown
	}
	r, err := byID(ctx, tx, id, now)
	if errors.Is(err, db.ErrNotFound) {
		return Found{}, ErrUnknown
	}
	if err != nil {
		return Found{}, fmt.Errorf("find refresh token: %w", err)
	}
	return r.Judge(k, raw, now, grace)
}

// FamilyOf reads the id of the family from a token of our making.
func FamilyOf(k *secret.Key, raw string) (id int64, ok bool) {
	p, ok := parse(k, raw)
	return p.family(), ok
}

// Judge is Find for a family that was read already.
func (r Stored) Judge(k *secret.Key, raw string, now time.Time, grace time.Duration) (Found, error) {
	p, ok := parse(k, raw)
	if !ok || p.family() != r.ID {
		return Found{}, ErrUnknown
	}
	f := Found{Family: r.Family, raw: p, recent: withinGrace(r.recent, now, grace), grace: grace}
	if secret.Equal(p.hash(), r.hash) {
		f.State = Current
		if len(f.recent) >= maxRecent {
			f.State, f.Successor = Repeat, raw
		}
		return f, nil
	}
	for _, at := range f.recent {
		p = successor(k, p)
		if !secret.Equal(p.hash(), r.hash) {
			continue
		}
		if !inGrace(at, now, grace) {
			break
		}
		f.State, f.Successor = Repeat, p.String()
		return f, nil
	}
	return f, ErrReused
}

// Rotate replaces a Current token by its successor, which lives until expires,
// and returns it. It is one guarded statement: of any number of callers with
// the same token one replaces it, and the others get what Find says after that:
// the same successor if there is a grace, ErrReused if there is none, ErrUnknown
// if the family has ended meanwhile. For a Repeat it returns the Successor. The
// token is good once the caller's transaction has committed.
func Rotate(ctx context.Context, tx *db.Tx, k *secret.Key, f Found, expires, now time.Time) (next string, err error) {
	if f.State != Current {
		return f.Successor, nil
	}
	var n presented
	var recent []int64
	if f.grace > 0 {
		n = successor(k, f.raw)
		recent = slices.Insert(f.recent, 0, db.At(now))
	} else {
		n = mint(k, f.Family.ID, secret.Bytes(secretSize))
	}
	ok, err := replace(ctx, tx, f, n.hash(), recent, expires, now)
	if err != nil {
		return "", fmt.Errorf("rotate refresh token: %w", err)
	}
	if ok {
		return n.String(), nil
	}
	f, err = Find(ctx, tx, k, f.raw.String(), now, f.grace)
	if err != nil {
		return "", err
	}
	if f.State != Repeat {
		// A hash never comes back, so the row cannot match again.
		return "", fmt.Errorf("rotate refresh token: family %d was neither changed nor rotated", f.Family.ID)
	}
	return f.Successor, nil
}

func inGrace(at int64, now time.Time, grace time.Duration) bool {
	return db.At(now)-at < grace.Microseconds()
}

// withinGrace drops the oldest times, as far as they are past their grace. A
// time between two younger ones is kept, since a place counts: clocks of nodes
// differ.
func withinGrace(recent []int64, now time.Time, grace time.Duration) []int64 {
	for len(recent) > 0 && !inGrace(recent[len(recent)-1], now, grace) {
		recent = recent[:len(recent)-1]
	}
	return slices.Clip(recent)
}
