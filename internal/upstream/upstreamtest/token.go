package upstreamtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// key signs what the fake makes. RS256 is what nearly all providers use; the
// generic kind uses ES256, which is cheaper to make a thousand times a second.
type key struct {
	id  string
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func newKey() key {
	r, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	return key{secret.Hex(4), r, e}
}

// first is what every fake begins with: an RSA key takes a tenth of a second.
var first = sync.OnceValue(newKey)

var enc = base64.RawURLEncoding

func (f *Fake) jwks(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []any{}
	for _, k := range f.keys {
		r := map[string]any{"kty": "RSA", "use": "sig", "kid": k.id, "n": enc.EncodeToString(k.rsa.N.Bytes()), "e": enc.EncodeToString(big.NewInt(int64(k.rsa.E)).Bytes())}
		if f.kind == upstream.Microsoft {
			r["issuer"] = f.base + "/{tenantid}/v2.0"
		}
		point, err := k.ec.PublicKey.Bytes()
		if err != nil {
			panic("upstreamtest: " + err.Error())
		}
		list = append(list, r, map[string]any{"kty": "EC", "use": "sig", "kid": k.id + "e", "crv": "P-256",
			"x": enc.EncodeToString(point[1:33]), "y": enc.EncodeToString(point[33:])})
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": list})
}

// profile are the claims about a person.
func (f *Fake) profile(p Person) map[string]any {
	c := map[string]any{"sub": p.ID, "email": p.Email, "name": strings.TrimSpace(p.GivenName + " " + p.FamilyName),
		"given_name": p.GivenName, "family_name": p.FamilyName, "preferred_username": p.Username, "picture": "https://pictures.example/" + p.ID}
	if p.EmailVerified != nil {
		c["email_verified"] = p.EmailVerified
	}
	if len(p.Roles) > 0 {
		c["roles"] = p.Roles
	}
	if p.HostedDomain != "" {
		c["hd"] = p.HostedDomain
	}
	switch f.kind {
	case upstream.Apple:
		c["is_private_email"] = "true"
		for _, name := range []string{"name", "given_name", "family_name", "preferred_username", "picture"} {
			delete(c, name)
		}
	case upstream.Microsoft:
		delete(c, "email_verified")
		c["tid"], c["oid"], c["sub"] = p.TenantID, "00000000-0000-0000-66f3-"+p.ID, "pairwise-"+p.ID
	}
	maps.Copy(c, p.Claims)
	return c
}

// Present is what an application gets that signs the person with an id in by itself,
// as one on a phone does, with a nonce if that is not "".
func (f *Fake) Present(id, nonce string) (idToken, access string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.people, func(p Person) bool { return p.ID == id })
	v := visit{person: f.people[i], nonce: nonce}
	access = "at_" + secret.Hex(16)
	f.access[access] = v
	return f.idToken(v, access), access
}

// idToken is called with the lock held.
func (f *Fake) idToken(v visit, access string) string {
	now := f.now()
	hash := sha256.Sum256([]byte(access))
	c := f.profile(v.person)
	c["iss"], c["aud"], c["iat"], c["exp"] = f.base+strings.ReplaceAll(f.endpoints().issuer, "{tenantid}", v.person.TenantID), ClientID, now.Unix(), now.Add(time.Hour).Unix()
	c["at_hash"] = enc.EncodeToString(hash[:16])
	if !v.person.AuthTime.IsZero() {
		c["auth_time"] = v.person.AuthTime.Unix()
	}
	if v.person.Session != "" {
		c["sid"] = v.person.Session
	}
	if f.kind == upstream.Google {
		c["azp"] = ClientID
	}
	if v.nonce != "" && f.kind != upstream.LinkedIn {
		c["nonce"] = v.nonce
	}
	if f.kind == upstream.Okta { // leaves out of an ID token what user information has
		for _, name := range []string{"given_name", "family_name", "email_verified"} {
			delete(c, name)
		}
	}
	f.spoil(c, now)
	return f.sign(c)
}

// spoil makes the claims say what the trouble is.
func (f *Fake) spoil(c map[string]any, now time.Time) {
	switch f.trouble {
	case WrongIssuer:
		c["iss"] = "https://accounts.evil.example"
	case WrongAudience:
		c["aud"] = "another-client"
	case WrongParty:
		c["azp"] = "another-client"
	case WrongNonce:
		c["nonce"] = "of-another-browser"
	case NoNonce:
		delete(c, "nonce")
	case Expired:
		c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case Future:
		c["iat"] = now.Add(time.Hour).Unix()
	case WrongHash:
		c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA"
	case NoSubject:
		delete(c, "sub")
		delete(c, "oid")
	}
}

func (f *Fake) sign(c map[string]any) string {
	k := f.keys[len(f.keys)-1]
	if f.trouble == OtherKey {
		k = newKey()
	}
	head := map[string]string{"alg": "RS256", "kid": k.id, "typ": "JWT"}
	if f.kind == upstream.OIDC {
		head["alg"], head["kid"] = "ES256", k.id+"e"
	}
	switch f.trouble {
	case Unsigned:
		head["alg"] = "none"
	case Shared, Confused:
		head["alg"] = "HS256"
	}
	input := part(head) + "." + part(c)
	digest := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch head["alg"] {
	case "none":
		return input + "."
	case "HS256":
		m := hmac.New(sha256.New, f.sharedSecret(k))
		m.Write([]byte(input))
		sig = m.Sum(nil)
	case "ES256":
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(nil, k.ec, digest[:]); err == nil {
			sig = make([]byte, 64)
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
		}
	default:
		sig, err = rsa.SignPKCS1v15(nil, k.rsa, crypto.SHA256, digest[:])
	}
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	if f.trouble == WrongSignature {
		sig[10] ^= 1
	}
	return input + "." + enc.EncodeToString(sig)
}

// sharedSecret is what an attacker knows that the asker may take for a secret.
func (f *Fake) sharedSecret(k key) []byte {
	if f.trouble != Confused {
		return []byte(ClientSecret)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func part(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("upstreamtest: " + err.Error())
	}
	return enc.EncodeToString(b)
}

// workOSAnswer is what AuthKit says at the end.
func (f *Fake) workOSAnswer(v visit) map[string]any {
	now, p := f.now(), v.person
	id := "user_" + p.ID
	c := map[string]any{"iss": f.base + "/", "sub": id, "sid": "session_" + p.ID, "jti": secret.Hex(8), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if len(p.Roles) > 0 {
		c["role"], c["roles"] = p.Roles[0], p.Roles
	}
	f.spoil(c, now)
	user := map[string]any{"object": "user", "id": id, "email": p.Email, "email_verified": p.EmailVerified == true, "first_name": p.GivenName,
		"last_name": p.FamilyName, "profile_picture_url": nil, "metadata": map[string]string{}, "created_at": now.Format(time.RFC3339), "updated_at": now.Format(time.RFC3339)}
	if f.trouble == NoSubject {
		user["id"] = ""
	}
	if f.trouble == Somebody {
		user["id"] = id + "0"
	}
	refresh := "rt_" + secret.Hex(16)
	f.refresh[refresh] = v
	out := map[string]any{"user": user, "organization_id": "org_1", "access_token": f.sign(c), "refresh_token": refresh, "authentication_method": "Password"}
	if p.Impersonator != "" {
		out["impersonator"] = map[string]string{"email": p.Impersonator, "reason": "support"}
	}
	return out
}

// ssoAnswer is what WorkOS says of a customer's own provider.
func (f *Fake) ssoAnswer(v visit, access string) map[string]any {
	p := v.person
	profile := map[string]any{"object": "profile", "id": "prof_" + p.ID, "connection_id": "conn_1", "connection_type": "OktaSAML", "organization_id": "org_1",
		"idp_id": p.ID, "email": p.Email, "first_name": p.GivenName, "last_name": p.FamilyName, "raw_attributes": map[string]any{}}
	if len(p.Roles) > 0 {
		profile["role"] = map[string]string{"slug": p.Roles[0]}
	}
	if f.trouble == NoSubject {
		profile["id"] = ""
	}
	return map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 600, "profile": profile}
}

// appleKey is the key of a team that does not exist.
const appleKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIc3Xr0wEdqK/IME3
tX1uC/WmtueqZEOz1a0a8YbsTwehRANCAASMMrl1uQE36TxLypXJ3DcgjfXQSpIK
6tP1U7sne9ts1qnk68EPpoAmxxvVyPg1wyUQ6pchuCe71pwfd3FcicLG
-----END PRIVATE KEY-----`

// appleClient checks the client secret as Apple documents it.
func (f *Fake) appleClient(id, password string) string {
	block, _ := pem.Decode([]byte(appleKey))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	parts := strings.Split(password, ".")
	if err != nil || len(parts) != 3 {
		return "not a JWT"
	}
	var head struct{ Alg, Kid string }
	var c struct {
		Iss, Aud, Sub string
		Iat, Exp      int64
	}
	if !reads(parts[0], &head) || !reads(parts[1], &c) {
		return "not a JWT"
	}
	sig, err := enc.DecodeString(parts[2])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	key := &parsed.(*ecdsa.PrivateKey).PublicKey
	if err != nil || len(sig) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return "wrong signature"
	}
	now := f.now().Unix()
	if head.Alg != "ES256" || head.Kid != "KEY1234567" || c.Iss != "TEAM123456" || c.Sub != ClientID || id != ClientID || c.Aud != f.base || c.Iat > now || c.Exp <= now || c.Exp > now+15777000 {
		return "wrong claims"
	}
	return ""
}

func reads(part string, v any) bool {
	b, err := enc.DecodeString(part)
	return err == nil && json.Unmarshal(b, v) == nil
}
