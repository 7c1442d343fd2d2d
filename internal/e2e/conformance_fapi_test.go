package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// What the FAPI 2.0 Security Profile Final plan asks for, by private_key_jwt and
// DPoP. What it asks of assertions, proofs and certificates is in the next file.

// fapi is a client of the fapi2 profile.
func (o *op) fapi(t *testing.T) *party {
	t.Helper()
	key, proof := newKey(t, "k1", gojose.ES256), newKey(t, "", gojose.ES256)
	p := o.party(t, func(c *client.Client) {
		c.SecretHash = nil
		c.Policy.Profile, c.Policy.PKCE = client.ProfileFAPI2, client.PKCERequired
		c.Policy.OAuth.TokenEndpointAuth = client.AuthPrivateKeyJWT
		c.Policy.OAuth.JWKS = keySet(t, key)
		c.Policy.OAuth.IDTokenAlg = "ES256"
	})
	p.key, p.proof = &key, &proof
	return p
}

// push sends a request ahead.
func (p *party) push(q url.Values) answer {
	p.t.Helper()
	return p.post("/oauth2/par", q)
}

// pushed is what a browser takes to the authorization endpoint for a request
// that was pushed: nothing but its name.
func (p *party) pushed(pairs ...string) url.Values {
	p.t.Helper()
	var got struct {
		URI     string `json:"request_uri"`
		Expires int    `json:"expires_in"`
	}
	p.push(p.ask(pairs...)).json(http.StatusCreated, &got)
	if !strings.HasPrefix(got.URI, "urn:ietf:params:oauth:request_uri:") || len(got.URI) < 60 || got.Expires < 5 || got.Expires > 600 {
		p.t.Fatalf("got %+v", got)
	}
	return url.Values{"client_id": {string(p.client.ID)}, "request_uri": {got.URI}}
}

// fapiCode is a code of a pushed request.
func (p *party) fapiCode(who account, pairs ...string) string {
	p.t.Helper()
	return p.code(p.authorize(p.visitor(p.t), who, p.pushed(pairs...)))
}

func TestFAPIFlow(t *testing.T) {
	t.Parallel()
	off := func(seconds int64) func(map[string]any, map[string]any) {
		return func(_, claims map[string]any) { claims["iat"] = claims["iat"].(int64) + seconds }
	}
	cases := map[string]struct {
		ask  []string
		edit func(header, claims map[string]any)
	}{
		"as the plan begins":          {},
		"without a state":             {ask: []string{"state", ""}},
		"without a nonce":             {ask: []string{"nonce", ""}},
		"nonce of 64 characters":      {ask: []string{"nonce", strings.Repeat("n", 64)}},
		"nonce of 384 characters":     {ask: []string{"nonce", strings.Repeat("n", 384)}},
		"state of 1000 characters":    {ask: []string{"state", strings.Repeat("s", 1000)}},
		"scopes in another order":     {ask: []string{"scope", "email openid"}},
		"proofs of ten seconds ago":   {edit: off(-10)},
		"proofs of in ten seconds":    {edit: off(10)},
		"proofs with nbf and exp":     {edit: func(_, c map[string]any) { c["nbf"], c["exp"] = c["iat"], c["iat"].(int64)+300 }},
		"proofs with further members": {edit: func(h, c map[string]any) { h["more"], c["more"] = "x", "y" }},
	}
	eachOP(t, func(t *testing.T, o *op) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				p, who := o.fapi(t), o.person()
				p.editProof = tc.edit
				q := p.ask(tc.ask...)
				tr := p.authorize(o.visitor(t), who, p.pushed(tc.ask...))
				if tr.reply.Get("state") != q.Get("state") || tr.reply.Has("state") != q.Has("state") {
					t.Errorf("got state %v", tr.reply["state"])
				}
				tk := p.redeem(p.code(tr)).tokenSet(p)
				if tk.text("nonce") != q.Get("nonce") || tk.alg != "ES256" || strings.Contains(strings.Join(tr.pages, " "), "consent") {
					t.Errorf("got %v by %s after %v", tk.id, tk.alg, tr.pages)
				}
				if got := p.claims(tk.Access); got["sub"] != tk.text("sub") {
					t.Errorf("got %v", got)
				}
			})
		}
	})
}

func TestPersonMayRefuse(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, v := o.fapi(t), o.visitor(t)
		tr := v.walk(v.get("/oauth2/authorize?"+p.pushed("prompt", "consent").Encode()), o.person(), false)
		tr.saw(t, "login", "consent")
		if tr.refused(t, "access_denied"); tr.to != away || tr.reply.Get("state") == "" {
			t.Errorf("got %s %v", tr.to, tr.reply)
		}
	})
}

func TestFAPIRequestIsRefused(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.fapi(t)
		for name, tc := range map[string]struct {
			pairs []string
			codes []string
		}{
			"no redirect_uri":            {[]string{"redirect_uri", ""}, []string{"invalid_request"}},
			"an unregistered one":        {[]string{"redirect_uri", away + "/other"}, []string{"invalid_request", "invalid_redirect_uri"}},
			"code id_token":              {[]string{"response_type", "code id_token"}, []string{"unsupported_response_type", "invalid_request"}},
			"token":                      {[]string{"response_type", "token"}, []string{"unsupported_response_type", "invalid_request"}},
			"no PKCE":                    {[]string{"code_challenge", "", "code_challenge_method", ""}, []string{"invalid_request"}},
			"plain PKCE":                 {[]string{"code_challenge", proofKey, "code_challenge_method", "plain"}, []string{"invalid_request"}},
			"PKCE that defaults":         {[]string{"code_challenge", proofKey, "code_challenge_method", ""}, []string{"invalid_request"}},
			"a request_uri":              {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, []string{"invalid_request"}},
			"client_id of another":       {[]string{"client_id", string(o.fapi(t).client.ID)}, []string{"invalid_request", "invalid_client"}},
			"dpop_jkt of another's key":  {[]string{"dpop_jkt", challengeOf("another key")}, []string{"invalid_dpop_proof", "invalid_request"}},
			"unsigned object in request": {[]string{"request", unsigned(t, p.object())}, []string{"invalid_request_object"}},
		} {
			a := p.push(p.ask(tc.pairs...))
			t.Log(name)
			a.oauthError(a.status, tc.codes...)
			if a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
				t.Errorf("%s: got %d", name, a.status)
			}
		}
		// Nor does any other method push, or anything that was not pushed pass.
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			o.visitor(t).send(method, "/oauth2/par", "", "").want(http.StatusMethodNotAllowed)
		}
		p.authorize(o.visitor(t), account{}, p.ask()).refused(t, "invalid_request")
	})
}

// What stands beside a pushed request does not count (FAPI 2.0 §5.3.2.2).
func TestPushedRequestCountsAlone(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, state := range []string{"inside", ""} {
			p := o.fapi(t)
			q := with(p.pushed("state", state, "nonce", "inside"), "state", "outside", "nonce", "outside", "redirect_uri", "https://evil.example/", "scope", "email")
			tr := p.authorize(o.visitor(t), o.person(), q)
			tk := p.redeem(p.code(tr)).tokenSet(p)
			if tr.reply.Get("state") != state || tk.text("nonce") != "inside" || tk.Scope != "openid" {
				t.Errorf("got %v and %v with scope %q", tr.reply, tk.id, tk.Scope)
			}
		}
	})
}

func TestRequestURIIsGoodOnce(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.fapi(t), o.person()
		q := p.pushed()
		// Looking at it spends nothing: a page may be loaded again.
		p.authorize(o.visitor(t), account{}, q).saw(t, "login")
		v := o.visitor(t)
		p.redeem(p.code(p.authorize(v, who, q))).tokenSet(p)
		p.authorize(v, who, q).stopped(t)
		p.authorize(o.visitor(t), who, q).stopped(t)
		// Another client's is none.
		other := o.fapi(t)
		q = p.pushed()
		q.Set("client_id", string(other.client.ID))
		p.authorize(v, who, q).stopped(t)
		// And it ends.
		var got struct {
			URI     string `json:"request_uri"`
			Expires int    `json:"expires_in"`
		}
		p.push(p.ask()).json(http.StatusCreated, &got)
		o.Advance(time.Duration(got.Expires+1) * time.Second)
		p.authorize(v, who, url.Values{"client_id": {string(p.client.ID)}, "request_uri": {got.URI}}).stopped(t)
	})
}

func TestCodeIsBoundToWhoAsked(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, other, who := o.fapi(t), o.fapi(t), o.person()
		t.Log("another client's credentials")
		code := p.fapiCode(who)
		other.redeem(code).oauthError(http.StatusBadRequest, "invalid_grant")
		t.Log("its client_id beside ours")
		a := p.redeem(code, "client_id", string(other.client.ID))
		a.oauthError(a.status, "invalid_client", "invalid_request")
		t.Log("no code_verifier, a wrong one, that of another")
		for _, wrong := range []string{"", strings.Repeat("x", 43), challengeOf(proofKey), proofKey + "0"} {
			p.redeem(p.fapiCode(who), "code_verifier", wrong).oauthError(http.StatusBadRequest, "invalid_grant", "invalid_request")
		}
		t.Log("another redirect_uri")
		p.redeem(p.fapiCode(who), "redirect_uri", away+"/other").oauthError(http.StatusBadRequest, "invalid_grant")
	})
}

func TestFAPICodeLivesAMinuteAndOnce(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.fapi(t), o.person()
		code := p.fapiCode(who)
		o.Advance(61 * time.Second)
		p.redeem(code).oauthError(http.StatusBadRequest, "invalid_grant")
		code = p.fapiCode(who)
		tk := p.redeem(code).tokenSet(p)
		o.Advance(time.Second)
		p.redeem(code).oauthError(http.StatusBadRequest, "invalid_grant")
		p.userinfo(tk.Access).want(http.StatusUnauthorized)
	})
}

func TestCodeIsBoundToTheProofKey(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		who := o.person()
		for name, tc := range map[string]struct {
			jkt, proof bool // what the request named the key by
			other      bool // which key came to the token endpoint
		}{
			"proof at PAR, the same at the token endpoint": {proof: true},
			"dpop_jkt, and that key":                       {jkt: true},
			"both":                                         {jkt: true, proof: true},
			"proof at PAR, another at the token endpoint":  {proof: true, other: true},
			"dpop_jkt, and another key":                    {jkt: true, other: true},
		} {
			p := o.fapi(t)
			right, wrong := p.proof, newKey(t, "", gojose.ES256)
			var pairs []string
			if tc.jkt {
				pairs = []string{"dpop_jkt", thumbprint(t, *right)}
			}
			if !tc.proof {
				p.proof = nil
			}
			code := p.fapiCode(who, pairs...)
			if p.proof = right; tc.other {
				p.proof = &wrong
			}
			a := p.redeem(code)
			if t.Log(name); tc.other {
				a.oauthError(http.StatusBadRequest, "invalid_grant", "invalid_dpop_proof")
				continue
			}
			if tk := a.tokenSet(p); unverified(t, tk.Access)["cnf"].(map[string]any)["jkt"] != thumbprint(t, *right) {
				t.Errorf("the access token is %v", unverified(t, tk.Access))
			}
		}
	})
}

func TestFAPIRefreshTokenIsOfItsClient(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, other, who := o.fapi(t), o.fapi(t), o.person()
		tk := p.redeem(p.fapiCode(who, "scope", "openid offline_access", "prompt", "consent")).tokenSet(p)
		other.refresh(tk.Refresh).oauthError(http.StatusBadRequest, "invalid_grant")
		key, proof := p.key, p.proof
		p.key = nil
		a := p.refresh(tk.Refresh)
		a.oauthError(a.status, "invalid_client", "invalid_request")
		p.key, p.proof = key, nil
		p.refresh(tk.Refresh).oauthError(http.StatusBadRequest, "invalid_request", "invalid_dpop_proof", "invalid_grant")
		// The client's credentials bind it, not the key of a proof (RFC 9449 §5).
		fresh := newKey(t, "", gojose.ES256)
		p.proof = &fresh
		o.Advance(time.Second)
		second := p.refresh(tk.Refresh).tokenSet(p)
		if second.text("sub") != tk.text("sub") || second.Access == tk.Access || second.number("auth_time") != tk.number("auth_time") {
			t.Errorf("got %v, then %v", tk.id, second.id)
		}
		p.claims(second.Access)
		// A client that lost the answer may come again (FAPI 2.0 §5.3.2.1).
		o.Advance(30 * time.Second)
		p.proof = proof
		p.claims(p.refresh(tk.Refresh).tokenSet(p).Access)
	})
}

func TestEveryPromisedClaimIsGiven(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.fapi(t), o.person()
		asked := map[string]any{"nobody_knows": map[string]any{"essential": true}, "http://example.invalid/claim": nil}
		names := o.metadata(o.visitor(t)).list("claims_supported")
		for i, name := range names {
			if asked[name] = nil; i%2 == 0 {
				asked[name] = map[string]any{"essential": true}
			}
		}
		raw, err := json.Marshal(map[string]any{"userinfo": asked, "id_token": asked})
		if err != nil {
			t.Fatal(err)
		}
		tk := p.redeem(p.fapiCode(who, "claims", string(raw), "scope", "openid profile email roles")).tokenSet(p)
		userinfo := p.claims(tk.Access)
		for _, name := range names {
			if tk.id[name] == nil && userinfo[name] == nil {
				t.Errorf("no %s in %v or %v", name, tk.id, userinfo)
			}
		}
		for name := range tk.id {
			if name == "nobody_knows" || strings.HasPrefix(name, "http") {
				t.Errorf("got %v", tk.id)
			}
		}
	})
}

// issuerOf is the issuer with its scheme and host in capitals, which name the same.
func issuerOf(path string) string { return strings.ToUpper(rig.Base) + path }
