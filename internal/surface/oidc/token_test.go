package oidc_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/rig"
	random "sallyport/internal/secret"
)

// sid is the session of every grant that tokenHooks make.
const sid = "019cfc0e-0000-7000-8000-000000000001"

// code gives a client a code of Jane's.
func (w *world) code(name string, change func(*grant.Grant)) string {
	w.t.Helper()
	cl, jane, now := w.clients[name], w.users["jane"], w.Now()
	raw := random.Hex(32)
	g := grant.Grant{
		ID: grant.NewID(), ClientID: cl.ID, UserID: jane.ID, SessionID: sid, Issuer: rig.Base, Subject: w.OAuth.Subject(cl, jane.ID),
		Scope: []string{"openid", "profile", "email", "roles", "offline_access"}, AMR: []string{"pwd"}, ACR: "1", AuthenticatedAt: rig.Start,
		Code:          grant.Code{RedirectURI: "https://app.example.com/callback", RedirectURIGiven: true, Challenge: challenge, ChallengeMethod: "S256", Nonce: "n-0S6_WzA2Mj"},
		CodeExpiresAt: now.Add(time.Minute), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&g)
	}
	w.Write(func(ctx context.Context, tx *db.Tx) error { return grant.Create(ctx, tx, g, random.Hash(raw)) })
	return raw
}

// signed is a JWT by the world's key.
func (w *world) signed(head, claims map[string]any) string {
	w.t.Helper()
	o := &jose.SignerOptions{}
	for name, v := range head {
		o.WithHeader(jose.HeaderKey(name), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: w.key}, o)
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	j, err := s.Sign(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := j.CompactSerialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// proof is a DPoP proof by the world's key.
func (w *world) proof(method, path, nonce, access string) string {
	claims := map[string]any{"jti": random.Hex(16), "htm": method, "htu": rig.Base + path, "iat": w.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return w.signed(map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: w.key.Public()}}, claims)
}

// certificate is one that a proxy names, in PEM with percent-escapes.
func (w *world) certificate() (escaped, x5t string) {
	w.t.Helper()
	der := w.newCertificate(pkix.Name{CommonName: "client", Organization: []string{"Example Corp"}})
	sum := sha256.Sum256(der)
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), base64.RawURLEncoding.EncodeToString(sum[:])
}

// tokenHooks set what a request presents: "code web" sets <code>, "basic web"
// <basic>, "name web" the same without the secret, "assertion fapi" <assertion>, "proof token" and "proof userinfo"
// (for <access>) <proof>, "certificate" <certificate> and <x5t>.
func (w *world) tokenHooks() map[string]func(*testing.T, map[string]string) {
	type hook = func(*testing.T, map[string]string)
	hooks := map[string]hook{
		"code web for the api": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("web", func(g *grant.Grant) {
				g.Resources = []string{"https://api.example.com", "https://mcp.example.com/mcp"}
			})
		},
		"code web with claims": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("web", func(g *grant.Grant) {
				g.Scope = []string{"openid"}
				g.Claims = json.RawMessage(`{"userinfo":{"given_name":{"essential":true},"picture":null},"id_token":{"email":null,"email_verified":null}}`)
			})
		},
		"code web without openid": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("web", func(g *grant.Grant) { g.Scope = []string{"api:read"} })
		},
		"code web for now": func(_ *testing.T, vars map[string]string) {
			vars["code"] = w.code("web", func(g *grant.Grant) { g.Scope = []string{"openid"} })
		},
		"proof without a nonce": func(_ *testing.T, vars map[string]string) { vars["proof"] = w.proof("POST", "/oauth2/token", "", "") },
		"proof token": func(_ *testing.T, vars map[string]string) {
			vars["proof"] = w.proof("POST", "/oauth2/token", w.OAuth.Nonce(), "")
		},
		"proof userinfo": func(_ *testing.T, vars map[string]string) {
			vars["proof"] = w.proof("GET", "/oauth2/userinfo", w.OAuth.Nonce(), vars["access"])
		},
		"proof userinfo without a nonce": func(_ *testing.T, vars map[string]string) {
			vars["proof"] = w.proof("GET", "/oauth2/userinfo", "", vars["access"])
		},
		"assertion fapi": func(_ *testing.T, vars map[string]string) {
			now, id := w.Now().Unix(), w.clients["fapi"].ID
			vars["assertion"] = w.signed(nil, map[string]any{"iss": id, "sub": id, "aud": rig.Base, "jti": random.Hex(16), "iat": now, "exp": now + 60})
		},
		"certificate": func(_ *testing.T, vars map[string]string) { vars["certificate"], vars["x5t"] = w.certificate() },
		"tamper": func(_ *testing.T, vars map[string]string) {
			b := []byte(vars["access"])
			b[len(b)/2] ^= 1
			if b[len(b)/2] == '.' || b[len(b)/2] == '/' || b[len(b)/2] == '@' || b[len(b)/2] == '`' {
				b[len(b)/2] ^= 3
			}
			vars["tampered"] = string(b)
		},
		"suspend jane": func(*testing.T, map[string]string) {
			w.Enrol(w.users["jane"], w.clients["web"], client.Suspended, "user")
		},
		"userinfo of web is signed": func(*testing.T, map[string]string) {
			signs := w.clients["web"]
			signs.Policy.OAuth.UserinfoAlg, signs.Policy.OAuth.IntrospectionAlg = "ES256", "ES256"
			w.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, signs, w.Now()) })
		},
	}
	for name, c := range w.clients {
		hooks["code "+name] = func(_ *testing.T, vars map[string]string) { vars["code"] = w.code(name, nil) }
		hooks["name "+name] = func(_ *testing.T, vars map[string]string) {
			vars["basic"] = base64.StdEncoding.EncodeToString([]byte(string(c.ID) + ":"))
		}
		hooks["basic "+name] = func(_ *testing.T, vars map[string]string) {
			vars["basic"] = base64.StdEncoding.EncodeToString([]byte(string(c.ID) + ":" + secret))
		}
	}
	return hooks
}
