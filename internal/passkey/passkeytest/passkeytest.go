// Package passkeytest is an authenticator in software for tests: it answers the
// options of WebAuthn's two ceremonies as a browser would hand them on, and can
// misbehave in every way that a relying party must see.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
)

// The flags of authenticator data (WebAuthn §6.1).
const (
	Present  = 1 << 0
	Verified = 1 << 2
	Eligible = 1 << 3
	BackedUp = 1 << 4
	attested = 1 << 6
)

// Authenticator holds one credential. Its exported fields may be changed between
// ceremonies: Origin is the page that the browser says it is on.
type Authenticator struct {
	Origin  string
	Flags   byte
	Counter uint32
	Handle  []byte // the user handle it answers with
	ID      []byte

	key *ecdsa.PrivateKey
}

// New returns an authenticator that verifies its user, in a browser on a page of
// origin.
func New(origin string) *Authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return &Authenticator{Origin: origin, Flags: Present | Verified, ID: id, key: key}
}

// options are what of either ceremony's options an authenticator looks at.
type options struct {
	Challenge string              `json:"challenge"`
	RPID      string              `json:"rpId"`
	RP        struct{ ID string } `json:"rp"`
	User      struct{ ID string } `json:"user"`
}

// Create answers navigator.credentials.create.
func (a *Authenticator) Create(raw json.RawMessage) json.RawMessage {
	o := read(raw)
	a.Handle, _ = base64.RawURLEncoding.DecodeString(o.User.ID)
	x, y := a.coordinates()
	data := a.data(o.RP.ID, a.Flags|attested)
	data = append(data, make([]byte, 16)...) // AAGUID: none
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.ID)))
	data = append(data, a.ID...)
	// A COSE key: {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053 §7.1.1).
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32)
	data = append(data, x...)
	data = append(data, 0x22, 0x58, 32)
	data = append(data, y...)
	// {"fmt": "none", "attStmt": {}, "authData": data}
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = append(append(object, 0x59, byte(len(data)>>8), byte(len(data))), data...)
	return a.answer(map[string]any{
		"clientDataJSON": b64(a.client("webauthn.create", o.Challenge)), "attestationObject": b64(object), "transports": []string{"internal"},
	})
}

// Get answers navigator.credentials.get, and counts.
func (a *Authenticator) Get(raw json.RawMessage) json.RawMessage {
	o := read(raw)
	if a.Counter > 0 {
		a.Counter++
	}
	client := a.client("webauthn.get", o.Challenge)
	data := a.data(o.RPID, a.Flags)
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(slices.Concat(data, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		panic(err)
	}
	return a.answer(map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(a.Handle),
	})
}

func (a *Authenticator) coordinates() (x, y []byte) {
	point, err := a.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	return point[1:33], point[33:]
}

func (a *Authenticator) data(party string, flags byte) []byte {
	hash := sha256.Sum256([]byte(party))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.Counter)
}

func (a *Authenticator) client(kind, challenge string) []byte {
	return encode(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
}

func (a *Authenticator) answer(response map[string]any) json.RawMessage {
	return encode(map[string]any{
		"id": b64(a.ID), "rawId": b64(a.ID), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
		"authenticatorAttachment": "platform",
	})
}

func read(raw json.RawMessage) (o options) {
	if err := json.Unmarshal(raw, &o); err != nil {
		panic(fmt.Sprintf("options %s: %v", raw, err))
	}
	return o
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
