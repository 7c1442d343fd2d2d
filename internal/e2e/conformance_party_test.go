package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// away is where the applications of these tests are.
const away = "https://app.example.com/callback"

// party is a relying party: it asks as its client is registered, and believes
// nothing that it has not checked. PKCE, a key for its assertions, one for its
// DPoP proofs and a certificate are used if it has them. The edit functions
// spoil what it sends.
type party struct {
	*op
	t         *testing.T
	client    client.Client
	secret    string
	key       *gojose.JSONWebKey // signs assertions
	proof     *gojose.JSONWebKey // signs proofs
	cert      *tls.Certificate
	pkce      bool
	redirect  string
	aud       any // of assertions; nil: the issuer
	editClaim func(claims map[string]any)
	editProof func(header, claims map[string]any)
	nonce     string // of DPoP
}

// secretOf is every client's secret.
const secretOf = "a-secret-that-the-operator-made-up-for-this-client"

// party registers a confidential client as an operator does: by default as the
// Basic OP plan has it, with client_secret_basic and without PKCE.
func (o *op) party(t *testing.T, change func(*client.Client)) *party {
	t.Helper()
	p := &party{op: o, t: t, secret: secretOf, redirect: away}
	p.client = o.Client("Relying Party", func(c *client.Client) {
		c.SecretHash = client.HashSecret(o.Key, secretOf)
		c.Policy.PKCE = client.PKCEOptional
		c.Policy.OAuth.TokenEndpointAuth = client.AuthSecretBasic
		if change != nil {
			change(c)
		}
	})
	p.pkce = p.client.Policy.PKCE != client.PKCEOptional
	if len(p.client.Policy.RedirectURIs) > 0 {
		p.redirect = p.client.Policy.RedirectURIs[0]
	}
	return p
}

// proofKey is the code_verifier of every request that has a challenge.
const proofKey = "a-verifier-of-at-least-forty-three-characters-0"

// ask is an authorization request, changed by pairs of names and values; an
// empty value takes the parameter out.
func (p *party) ask(pairs ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {string(p.client.ID)}, "redirect_uri": {p.redirect},
		"scope": {"openid"}, "state": {"state-of-the-client"}, "nonce": {"nonce-of-the-client"},
	}
	if p.pkce {
		q.Set("code_challenge", challengeOf(proofKey))
		q.Set("code_challenge_method", "S256")
	}
	return with(q, pairs...)
}

func with(q url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

// authorize sends a browser with a request, and its person on.
func (p *party) authorize(v *visitor, who account, q url.Values) trip {
	p.t.Helper()
	return v.walk(v.get("/oauth2/authorize?"+q.Encode()), who, true)
}

// code demands that a trip ended with a code, and with the state and issuer that
// a client must check.
func (p *party) code(tr trip) string {
	p.t.Helper()
	code := tr.reply.Get("code")
	if tr.to != p.redirect || len(code) < 22 || tr.reply.Get("iss") != rig.Base {
		p.t.Fatalf("got %q %v, want a code at %s; it ended at %d %s", tr.to, tr.reply, p.redirect, tr.last.status, tr.last.body)
	}
	return code
}

// signIn is authorize for a person who is new to this browser, up to the tokens.
func (p *party) signIn(v *visitor, who account, pairs ...string) tokenSet {
	p.t.Helper()
	q := p.ask(pairs...)
	tr := p.authorize(v, who, q)
	if got, want := tr.reply.Get("state"), q.Get("state"); got != want {
		p.t.Errorf("got state %q, want %q", got, want)
	}
	tk := p.redeem(p.code(tr)).tokenSet(p)
	if got, want := tk.text("nonce"), q.Get("nonce"); tk.ID != "" && got != want {
		p.t.Errorf("got nonce %q in the ID token, want %q", got, want)
	}
	return tk
}

// redeem sends a code to the token endpoint.
func (p *party) redeem(code string, pairs ...string) answer {
	p.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}}
	if p.pkce {
		form.Set("code_verifier", proofKey)
	}
	return p.post("/oauth2/token", with(form, pairs...))
}

// refresh sends a refresh token.
func (p *party) refresh(raw string, pairs ...string) answer {
	p.t.Helper()
	return p.post("/oauth2/token", with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}}, pairs...))
}

// post sends a form with the client's credentials and, if it has a key, a proof:
// once more if ours is not the nonce that the provider wants.
func (p *party) post(path string, form url.Values) answer {
	p.t.Helper()
	for again := false; ; again = true {
		form := maps.Clone(form)
		headers := p.credentials(form)
		if p.proof != nil {
			headers = append(headers, "DPoP", p.dpop("POST", path, ""))
		}
		a := p.visitor(p.t).submit(path, form, headers...)
		if again || !p.fresh(a) {
			return a
		}
	}
}

// fresh takes a nonce over, and says whether one was missing.
func (p *party) fresh(a answer) bool {
	if n := a.header.Get("DPoP-Nonce"); n != "" {
		p.nonce = n
	}
	return strings.Contains(string(a.body)+a.header.Get("WWW-Authenticate"), "use_dpop_nonce")
}

// credentials are the client's, in the form or as headers.
func (p *party) credentials(form url.Values) []string {
	id := string(p.client.ID)
	switch p.client.Policy.OAuth.TokenEndpointAuth {
	case client.AuthSecretBasic:
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+url.QueryEscape(p.secret)))}
	case client.AuthSecretPost:
		with(form, "client_id", id, "client_secret", p.secret)
	case client.AuthPrivateKeyJWT:
		if p.key != nil {
			with(form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", p.assertion(*p.key))
		}
		if !form.Has("client_id") {
			form.Set("client_id", id)
		}
	default:
		if !form.Has("client_id") {
			form.Set("client_id", id)
		}
	}
	if p.cert != nil {
		return []string{certHeader, ":" + base64.StdEncoding.EncodeToString(p.cert.Certificate[0]) + ":"}
	}
	return nil
}

// assertion is the client's JWT for authentication (RFC 7523 §2.2).
func (p *party) assertion(key gojose.JSONWebKey) string {
	now := p.Now().Unix()
	aud := p.aud
	if aud == nil {
		aud = rig.Base
	}
	claims := map[string]any{"iss": p.client.ID, "sub": p.client.ID, "aud": aud, "jti": rand.Text(), "iat": now, "exp": now + 60}
	if p.editClaim != nil {
		p.editClaim(claims)
	}
	return signed(p.t, key, nil, claims)
}

// dpop is a proof for one request (RFC 9449 §4.2).
func (p *party) dpop(method, path, access string) string {
	header := map[string]any{"typ": "dpop+jwt", "jwk": p.proof.Public()}
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": rig.Base + path, "iat": p.Now().Unix()}
	if p.nonce != "" {
		claims["nonce"] = p.nonce
	}
	if access != "" {
		claims["ath"] = challengeOf(access)
	}
	if p.editProof != nil {
		p.editProof(header, claims)
	}
	key := *p.proof
	key.KeyID = ""
	return signed(p.t, key, header, claims)
}

// userinfo asks for the person's claims, as the token's type demands.
func (p *party) userinfo(access string) answer {
	p.t.Helper()
	const path = "/oauth2/userinfo"
	if p.proof == nil {
		var headers []string
		if p.cert != nil {
			headers = p.credentials(url.Values{})
		}
		return p.visitor(p.t).get(path, append(headers, "Authorization", "Bearer "+access)...)
	}
	for again := false; ; again = true {
		a := p.visitor(p.t).get(path, "Authorization", "DPoP "+access, "DPoP", p.dpop("GET", path, access))
		if again || !p.fresh(a) {
			return a
		}
	}
}

// claims are those that userinfo answers with.
func (p *party) claims(access string) map[string]any {
	p.t.Helper()
	var claims map[string]any
	p.userinfo(access).json(http.StatusOK, &claims)
	return claims
}

// tokenSet is a token response, with the claims of its ID token.
type tokenSet struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Scope   string `json:"scope"`
	id      map[string]any
	alg     string
}

func (tk tokenSet) text(claim string) string {
	s, _ := tk.id[claim].(string)
	return s
}

func (tk tokenSet) number(claim string) float64 {
	n, _ := tk.id[claim].(float64)
	return n
}

// tokenSet demands a token response (RFC 6749 §5.1, OpenID Connect Core
// §3.1.3.3) and checks its ID token as a client must (§3.1.3.7, §3.1.3.8).
func (a answer) tokenSet(p *party) (tk tokenSet) {
	p.t.Helper()
	a.json(http.StatusOK, &tk)
	want := "Bearer"
	if p.proof != nil {
		want = "DPoP"
	}
	if tk.Access == "" || tk.Type != want || tk.Expires <= 0 || a.header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		p.t.Fatalf("got %s with %v, want a token response of type %s", a.body, a.header, want)
	}
	if tk.ID == "" {
		return tk
	}
	tk.id, tk.alg = p.verified(tk.ID)
	now := float64(p.Now().Unix())
	switch {
	case tk.id["iss"] != rig.Base || tk.id["aud"] != string(p.client.ID) || tk.text("sub") == "" || len(tk.text("sub")) > 255:
		p.t.Errorf("the ID token is %v, want one of %s for %s", tk.id, rig.Base, p.client.ID)
	case tk.number("exp") <= now || tk.number("iat") > now || tk.number("auth_time") > now:
		p.t.Errorf("the ID token is %v, and it is %v", tk.id, now)
	case tk.text("at_hash") != base64.RawURLEncoding.EncodeToString(hash(tk.Access)[:16]):
		p.t.Errorf("at_hash is %q", tk.text("at_hash"))
	}
	return tk
}

// verified checks a JWT of the provider's with the keys it publishes, and returns
// what it says and how it is signed.
func (p *party) verified(raw string) (claims map[string]any, alg string) {
	p.t.Helper()
	var keys gojose.JSONWebKeySet
	v := p.visitor(p.t)
	v.get(p.metadata(v).text("jwks_uri")).json(http.StatusOK, &keys)
	jws, err := gojose.ParseSignedCompact(raw, []gojose.SignatureAlgorithm{gojose.RS256, gojose.ES256, gojose.EdDSA})
	if err != nil {
		p.t.Fatal(err)
	}
	head := jws.Signatures[0].Header
	at := slices.IndexFunc(keys.Keys, func(k gojose.JSONWebKey) bool {
		return k.KeyID == head.KeyID && (k.Algorithm == "" || k.Algorithm == head.Algorithm) && k.Use == "sig"
	})
	if at < 0 {
		p.t.Fatalf("no key %q for %s in %+v", head.KeyID, head.Algorithm, keys)
	}
	payload, err := jws.Verify(keys.Keys[at])
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		p.t.Fatal(err)
	}
	return claims, head.Algorithm
}

// document is a metadata document.
type document map[string]any

// metadata is the provider's (OpenID Connect Discovery §4).
func (o *op) metadata(v *visitor) (d document) {
	v.t.Helper()
	v.get("/.well-known/openid-configuration").json(http.StatusOK, &d)
	return d
}

func (d document) text(name string) string {
	s, _ := d[name].(string)
	return s
}

func (d document) list(name string) (all []string) {
	values, _ := d[name].([]any)
	for _, v := range values {
		s, _ := v.(string)
		all = append(all, s)
	}
	return all
}
