package oidc_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/identity"
	"sallyport/internal/rig"
)

// signAs makes a JWT of a client's with the given header members.
func (w *world) signAs(typ string, claims map[string]any) string {
	w.t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", "k1")
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: w.key}, o)
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// object is a request object of client name; change may be nil.
func (w *world) object(name string, change func(map[string]any)) string {
	w.t.Helper()
	id := string(w.clients[name].ID)
	claims := map[string]any{
		"iss": id, "aud": rig.Base, "client_id": id, "response_type": "code", "scope": "openid", "state": "inner", "redirect_uri": "https://app.example.com/callback",
		"code_challenge": challenge, "code_challenge_method": "S256", "jti": identity.NewID(),
		"iat": w.Now().Unix(), "nbf": w.Now().Unix(), "exp": w.Now().Add(5 * time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	return w.signAs("oauth-authz-req+jwt", claims)
}

// assertion authenticates client name (RFC 7523).
func (w *world) assertion(name string) string {
	id := string(w.clients[name].ID)
	return w.signAs("JWT", map[string]any{
		"iss": id, "sub": id, "aud": rig.Base, "jti": identity.NewID(), "iat": w.Now().Unix(), "exp": w.Now().Add(time.Minute).Unix(),
	})
}

// authorizeHooks make what a transcript cannot write down.
func (w *world) authorizeHooks() map[string]func(*testing.T, map[string]string) {
	set := func(name string, produce func() string) func(*testing.T, map[string]string) {
		return func(_ *testing.T, vars map[string]string) { vars[name] = produce() }
	}
	return map[string]func(*testing.T, map[string]string){
		"make a request object": set("object", func() string { return w.object("signs", nil) }),
		"make an old request object": set("object", func() string {
			return w.object("signs", func(c map[string]any) { c["exp"] = w.Now().Add(-time.Hour).Unix() })
		}),
		"proof par without a nonce":  set("proof", func() string { return w.proof("POST", "/oauth2/par", "", "") }),
		"proof par":                  set("proof", func() string { return w.proof("POST", "/oauth2/par", w.OAuth.Nonce(), "") }),
		"make an assertion of fapi":  set("assertion", func() string { return w.assertion("fapi") }),
		"make an assertion of signs": set("assertion", func() string { return w.assertion("signs") }),
	}
}
