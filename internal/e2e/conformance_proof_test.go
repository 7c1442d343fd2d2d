package e2e

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// How clients of the fapi2 profile prove who they are, and that a token is theirs.

func TestAssertionIsChecked(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	drop := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	from := func(name string, seconds int64) func(map[string]any) {
		return func(c map[string]any) { c[name] = c["iat"].(int64) + seconds }
	}
	later := func(c map[string]any) {
		c["iat"], c["nbf"], c["exp"] = c["iat"].(int64)+90, c["iat"].(int64)+90, c["iat"].(int64)+180
	}
	eachOP(t, func(t *testing.T, o *op) {
		p := o.fapi(t)
		for name, tc := range map[string]struct {
			edit func(map[string]any)
			ok   bool
		}{
			"as it should be":           {edit: nil, ok: true},
			"nbf in eight seconds":      {edit: from("nbf", 8), ok: true},
			"expired five minutes ago":  {edit: from("exp", -300)},
			"of a minute and a half on": {edit: later},
			"no exp":                    {edit: drop("exp")},
			"no jti":                    {edit: drop("jti")},
			"no sub":                    {edit: drop("sub")},
			"another's sub":             {edit: set("sub", "another")},
			"another's iss":             {edit: set("iss", "another")},
			"for another server":        {edit: set("aud", "https://other.example.com")},
			"a list for aud":            {edit: set("aud", []string{rig.Base})},
			"the PAR endpoint for aud":  {edit: set("aud", rig.Base+"/oauth2/par")},
			"the token endpoint":        {edit: set("aud", rig.Base+"/oauth2/token")},
			"good for a day":            {edit: from("exp", 86400)},
		} {
			p.editClaim = tc.edit
			for path, form := range map[string]url.Values{"/oauth2/par": p.ask(), "/oauth2/token": {"grant_type": {"authorization_code"}, "code": {"none"}}} {
				a := p.post(path, form)
				t.Log(name, "at", path)
				switch {
				case !tc.ok:
					a.oauthError(http.StatusUnauthorized, "invalid_client", "invalid_request")
				case path == "/oauth2/par":
					a.want(http.StatusCreated)
				default:
					a.oauthError(http.StatusBadRequest, "invalid_grant")
				}
			}
		}
	})
}

func TestAssertionBySomethingElse(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		rsa := newKey(t, "r1", gojose.RS256)
		ps := rsa
		ps.Algorithm = string(gojose.PS256)
		public := rsa
		public.Algorithm = ""
		p := o.party(t, func(c *client.Client) {
			c.SecretHash = nil
			c.Policy.Profile, c.Policy.PKCE = client.ProfileFAPI2, client.PKCERequired
			c.Policy.OAuth.TokenEndpointAuth, c.Policy.OAuth.JWKS = client.AuthPrivateKeyJWT, keySet(t, public)
		})
		p.key = &ps
		p.push(p.ask()).want(http.StatusCreated)
		p.key = &rsa // RS256 is not of FAPI 2.0 §5.4.1
		p.push(p.ask()).oauthError(http.StatusUnauthorized, "invalid_client")
		stranger := newKey(t, "r1", gojose.ES256)
		p.key = &stranger
		p.push(p.ask()).oauthError(http.StatusUnauthorized, "invalid_client")
		p.key = nil
		a := p.push(p.ask())
		a.oauthError(a.status, "invalid_client", "invalid_request")
		// The same assertion comes once.
		p.key = &ps
		once := p.assertion(ps)
		for _, want := range []int{http.StatusCreated, http.StatusUnauthorized} {
			form := with(p.ask(), "client_assertion", once, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			o.visitor(t).submit("/oauth2/par", form).want(want)
		}
	})
}

func TestProofIsChecked(t *testing.T) {
	t.Parallel()
	drop := func(name string) func(h, c map[string]any) {
		return func(h, c map[string]any) { delete(h, name); delete(c, name) }
	}
	claim := func(name string, value any) func(h, c map[string]any) {
		return func(_, c map[string]any) { c[name] = value }
	}
	off := func(d time.Duration) func(h, c map[string]any) {
		return func(_, c map[string]any) { c["iat"] = c["iat"].(int64) + int64(d.Seconds()) }
	}
	eachOP(t, func(t *testing.T, o *op) {
		p := o.fapi(t)
		access := p.redeem(p.fapiCode(o.person())).tokenSet(p).Access
		userinfo := rig.Base + "/oauth2/userinfo"
		for name, tc := range map[string]struct {
			edit func(header, claims map[string]any)
			ok   bool
		}{
			"as it should be":             {ok: true},
			"htu with query and fragment": {edit: claim("htu", userinfo+"?a=b#c"), ok: true},
			"htu in capitals":             {edit: claim("htu", issuerOf("/oauth2/userinfo")), ok: true},
			"htu with the scheme's port":  {edit: claim("htu", rig.Base+":443/oauth2/userinfo"), ok: true},
			"further members":             {edit: func(h, c map[string]any) { h["x"], c["x"] = "1", "2" }, ok: true},
			"no typ":                      {edit: drop("typ")},
			"another typ":                 {edit: func(h, _ map[string]any) { h["typ"] = "JWT" }},
			"no jwk":                      {edit: drop("jwk")},
			"a private jwk":               {edit: func(h, _ map[string]any) { h["jwk"] = *p.proof }},
			"a jwk that did not sign":     {edit: func(h, _ map[string]any) { k := newKey(t, "", gojose.ES256); h["jwk"] = k.Public() }},
			"no jti":                      {edit: drop("jti")},
			"no htm":                      {edit: drop("htm")},
			"another htm":                 {edit: claim("htm", "PUT")},
			"no htu":                      {edit: drop("htu")},
			"another htu":                 {edit: claim("htu", rig.Base+"/oauth2/token")},
			"no iat":                      {edit: drop("iat")},
			"iat of in an hour":           {edit: off(time.Hour)},
			"iat of an hour ago":          {edit: off(-time.Hour)},
			"no ath":                      {edit: drop("ath")},
			"another ath":                 {edit: claim("ath", challengeOf("another"))},
			"another nonce":               {edit: claim("nonce", "another")},
		} {
			p.editProof = tc.edit
			if a := p.userinfo(access); (a.status == http.StatusOK) != tc.ok || !tc.ok && a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s %v", name, a.status, a.body, a.header["Www-Authenticate"])
			}
		}
		p.editProof = nil
		p.claims(access)
	})
}

// What a proof comes with, and in what form.
func TestTokenIsGoodWithItsProofAlone(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.fapi(t)
		access := p.redeem(p.fapiCode(o.person())).tokenSet(p).Access
		const path = "/oauth2/userinfo"
		fresh := func() string { return p.dpop("GET", path, access) }
		v := o.visitor(t)
		once := fresh()
		v.get(path, "authorization", "dpop "+access, "DPOP", once).want(http.StatusOK)
		broken := fresh()
		other := newKey(t, "", gojose.ES256)
		mine := p.proof
		for name, headers := range map[string][]string{
			"the same proof again":    {"Authorization", "DPoP " + access, "DPoP", once},
			"no proof":                {"Authorization", "DPoP " + access},
			"no proof, as bearer":     {"Authorization", "Bearer " + access},
			"a proof, as bearer":      {"Authorization", "Bearer " + access, "DPoP", fresh()},
			"a broken signature":      {"Authorization", "DPoP " + access, "DPoP", broken[:len(broken)-8] + "AAAAAAAA"},
			"no JWT":                  {"Authorization", "DPoP " + access, "DPoP", "not.a.jwt"},
			"alg none":                {"Authorization", "DPoP " + access, "DPoP", unsigned(t, unverified(t, fresh()))},
			"two proofs in one":       {"Authorization", "DPoP " + access, "DPoP", fresh() + ", " + fresh()},
			"nothing but the proof":   {"DPoP", fresh()},
			"a token that was edited": {"Authorization", "DPoP " + access[:len(access)-8] + "AAAAAAAA", "DPoP", fresh()},
		} {
			if a := v.get(path, headers...); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s", name, a.status, a.body)
			}
		}
		p.proof = &other
		if a := p.userinfo(access); a.status != http.StatusUnauthorized {
			t.Errorf("another key: got %d %s", a.status, a.body)
		}
		p.proof = mine
		p.claims(access)
	})
}

func TestHolderOfKeyIsDemanded(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.fapi(t)
		proof := p.proof
		p.proof = nil
		p.redeem(p.fapiCode(o.person())).oauthError(http.StatusBadRequest, "invalid_request", "invalid_dpop_proof")
		p.proof = proof
		p.redeem(p.fapiCode(o.person())).tokenSet(p)
	})
}

func TestFAPIByCertificate(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		mine, other, who := certificate(t, "app"), certificate(t, "other"), o.person()
		p := o.party(t, func(c *client.Client) {
			c.SecretHash = nil
			c.Policy.Profile, c.Policy.PKCE = client.ProfileFAPI2, client.PKCERequired
			c.Policy.OAuth.TokenEndpointAuth, c.Policy.OAuth.TLSSubjectDN = client.AuthTLS, "CN=app, O=Example"
			c.Policy.OAuth.TLSBound = true
		})
		p.cert = mine
		tk := p.redeem(p.fapiCode(who, "scope", "openid offline_access")).tokenSet(p)
		cnf, _ := unverified(t, tk.Access)["cnf"].(map[string]any)
		if cnf["x5t#S256"] != encoded(hash(string(mine.Certificate[0]))) {
			t.Errorf("the access token is bound to %v", cnf)
		}
		p.claims(tk.Access)
		for name, cert := range map[string]*tls.Certificate{"another certificate": other, "none": nil} {
			p.cert = cert
			p.userinfo(tk.Access).want(http.StatusUnauthorized)
			p.push(p.ask()).oauthError(http.StatusUnauthorized, "invalid_client")
			a := p.refresh(tk.Refresh)
			t.Log(name)
			a.oauthError(a.status, "invalid_client", "invalid_grant", "invalid_request")
		}
		p.cert = mine
		p.refresh(tk.Refresh).tokenSet(p)
		// The header counts from the proxy alone.
		if strings.Contains(string(o.stranger(t, p, tk).body), `"sub"`) {
			t.Error("a stranger's header was believed")
		}
	})
}

// stranger asks for userinfo past the proxy, and writes its header.
func (o *op) stranger(t *testing.T, p *party, tk tokenSet) answer {
	t.Helper()
	v := o.visitor(t)
	v.http.Transport = direct{o.handler}
	return v.get("/oauth2/userinfo", append(p.credentials(url.Values{}), "Authorization", "Bearer "+tk.Access)...)
}
