package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"sallyport/internal/client"
	"sallyport/internal/rig"
)

// What the Dynamic OP plan asks for, of clients that register themselves.

// register sends what a client says of itself.
func (o *op) register(t *testing.T, metadata fields) answer {
	t.Helper()
	return o.visitor(t).post("/oauth2/register", metadata)
}

// registered is a relying party that has just registered itself. It uses PKCE,
// as all have to whom the operator has not excused from it.
func (o *op) registered(t *testing.T, metadata fields) *party {
	t.Helper()
	said := fields{"redirect_uris": []string{away}, "client_name": "Relying Party"}
	maps.Copy(said, metadata)
	var got struct {
		ID     string   `json:"client_id"`
		Secret string   `json:"client_secret"`
		Method string   `json:"token_endpoint_auth_method"`
		URIs   []string `json:"redirect_uris"`
		Token  string   `json:"registration_access_token"`
		Manage string   `json:"registration_client_uri"`
	}
	a := o.register(t, said)
	a.json(http.StatusCreated, &got)
	if got.ID == "" || got.Token == "" || !strings.HasPrefix(got.Manage, rig.Base+"/") || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %s with %v", a.body, a.header)
	}
	p := &party{op: o, t: t, secret: got.Secret, pkce: true, redirect: got.URIs[0]}
	p.client = client.Client{ID: client.ID(got.ID)}
	p.client.Policy.OAuth.TokenEndpointAuth = got.Method
	return p
}

// documented is a client that is known by its metadata document alone.
func (o *op) documented(t *testing.T) *party {
	t.Helper()
	id := o.web.URL + "/client.json"
	o.publish("/client.json", `{"client_id":`+quote(id)+`,"client_name":"Documented","redirect_uris":[`+quote(away)+`],"token_endpoint_auth_method":"none"}`)
	p := &party{op: o, t: t, client: client.Client{ID: client.ID(id)}, pkce: true, redirect: away}
	p.signIn(o.visitor(t), o.person())
	return p
}

func TestRegisteredClientSignsPeopleIn(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		key := newKey(t, "k1", gojose.RS256)
		for name, metadata := range map[string]fields{
			"nothing but a redirect URI":  {},
			"client_secret_post":          {"token_endpoint_auth_method": "client_secret_post"},
			"a public client":             {"token_endpoint_auth_method": "none"},
			"private_key_jwt by jwks":     {"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(t, key)},
			"private_key_jwt by jwks_uri": {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": o.publish("/jwks", string(keySet(t, key)))},
			"ID tokens by RS256":          {"id_token_signed_response_alg": "RS256"},
			"ID tokens by ES256":          {"id_token_signed_response_alg": "ES256"},
		} {
			p := o.registered(t, metadata)
			p.key = &key
			tr := p.authorize(o.visitor(t), o.person(), p.ask())
			tr.saw(t, "login", "consent") // nobody has checked who this is
			want, ok := metadata["id_token_signed_response_alg"]
			if !ok {
				want = "RS256"
			}
			if tk := p.redeem(p.code(tr)).tokenSet(p); tk.alg != want {
				t.Errorf("%s: got an ID token by %s, want %v", name, tk.alg, want)
			}
		}
	})
}

func TestIDTokensAreNeverUnsigned(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, name := range []string{"id_token_signed_response_alg", "userinfo_signed_response_alg", "request_object_signing_alg", "token_endpoint_auth_signing_alg"} {
			o.register(t, fields{"redirect_uris": []string{away}, name: "none"}).oauthError(http.StatusBadRequest, "invalid_client_metadata")
		}
		for name, value := range o.metadata(o.visitor(t)) {
			list, _ := json.Marshal(value)
			if strings.Contains(name, "alg_values_supported") && strings.Contains(string(list), `"none"`) {
				t.Errorf("%s is %s", name, list)
			}
		}
	})
}

func TestUserinfoIsSignedWhenAskedFor(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.registered(t, fields{"userinfo_signed_response_alg": "RS256"}), o.person()
		tk := p.signIn(o.visitor(t), who, "scope", "openid email")
		a := p.userinfo(tk.Access).want(http.StatusOK)
		claims, alg := p.verified(string(a.body))
		if alg != "RS256" || claims["iss"] != rig.Base || claims["aud"] != string(p.client.ID) || claims["sub"] != tk.text("sub") || claims["email"] != who.email ||
			!strings.HasPrefix(a.header.Get("Content-Type"), "application/jwt") {
			t.Errorf("got %s by %s with %v", claims, alg, a.header)
		}
	})
}

func TestRedirectURIIsSaidWhereThereAreTwo(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p := o.registered(t, fields{"redirect_uris": []string{away, away + "/other"}})
		p.authorize(o.visitor(t), account{}, p.ask("redirect_uri", "")).stopped(t)
		p.authorize(o.visitor(t), account{}, p.ask("redirect_uri", "", "scope", "")).stopped(t)
	})
}

func TestQueryOfARedirectURICounts(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.registered(t, fields{"redirect_uris": []string{away + "?foo=bar"}}), o.person()
		tr := p.authorize(o.visitor(t), who, p.ask())
		if tr.to != away || tr.reply.Get("foo") != "bar" || tr.reply.Get("code") == "" {
			t.Fatalf("got %s %v", tr.to, tr.reply)
		}
		p.redeem(tr.reply.Get("code")).tokenSet(p)
		for _, other := range []string{away + "?foo=baz", away, away + "?foo=bar&more=1", away + "?foo=bar&"} {
			p.authorize(o.visitor(t), who, p.ask("redirect_uri", other)).stopped(t)
		}
		p = o.registered(t, nil)
		p.authorize(o.visitor(t), who, p.ask("redirect_uri", away+"?foo=bar")).stopped(t)
	})
}

func TestRegistrationRefusesBadRedirectURIs(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		for _, uri := range []string{away + "#fragment", away + "#", "http://app.example.com/callback", "https://*.example.com/", "javascript:alert(1)", "/callback", "https://"} {
			o.register(t, fields{"redirect_uris": []string{uri}}).oauthError(http.StatusBadRequest, "invalid_redirect_uri")
		}
		o.register(t, fields{"client_name": "No address"}).oauthError(http.StatusBadRequest, "invalid_redirect_uri")
	})
}

// The person sees whom they sign in for, and where to read on. Nobody's picture
// is shown whom nobody has checked: it could be another's.
func TestRegisteredClientIsShownWithItsLinks(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		p, who := o.registered(t, fields{
			"client_name": "Some Shop", "logo_uri": "https://app.example.com/logo.png",
			"policy_uri": "https://app.example.com/policy", "tos_uri": "https://app.example.com/terms",
		}), o.person()
		v := o.visitor(t)
		login := p.authorize(v, account{}, p.ask())
		if _, ok := login.last.form("/login"); !ok || !strings.Contains(string(login.last.body), "Some Shop") ||
			strings.Contains(string(login.last.body), "logo.png") {
			t.Errorf("got %d %s", login.last.status, login.last.body)
		}
		f, _, _ := v.fill(login.last, who, true)
		consent := v.walk(v.submit("/login", f.values), account{}, true)
		for _, want := range []string{"Some Shop", "https://app.example.com/policy", "https://app.example.com/terms"} {
			if !strings.Contains(string(consent.last.body), want) {
				t.Errorf("no %s in %s", want, consent.last.body)
			}
		}
	})
}

func TestSectorIsWhatItsOwnerSays(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		sector := o.publish("/sector", `["https://app.example.com/callback","https://other.example.com/callback"]`)
		pairwise := func(uri string) fields {
			return fields{"redirect_uris": []string{uri}, "subject_type": "pairwise", "sector_identifier_uri": sector}
		}
		who := o.person()
		sub := func(p *party) string { return p.signIn(o.visitor(t), who).text("sub") }
		one, two := sub(o.registered(t, pairwise(away))), sub(o.registered(t, pairwise("https://other.example.com/callback")))
		alone := sub(o.registered(t, fields{"subject_type": "pairwise"}))
		if one != two || one == alone || one == who.id {
			t.Errorf("got sub %s and %s in the sector, %s outside, of user %s", one, two, alone, who.id)
		}
		for name, metadata := range map[string]fields{
			"not in the list": pairwise("https://app.example.com/another"),
			"no such list":    {"redirect_uris": []string{away}, "sector_identifier_uri": o.web.URL + "/nothing", "subject_type": "pairwise"},
			"not a list":      {"redirect_uris": []string{away}, "sector_identifier_uri": o.publish("/bad", `{"a":1}`), "subject_type": "pairwise"},
			"two hosts":       {"redirect_uris": []string{away, "https://other.example.com/callback"}, "subject_type": "pairwise"},
		} {
			t.Log(name)
			o.register(t, metadata).oauthError(http.StatusBadRequest, "invalid_client_metadata", "invalid_redirect_uri")
		}
	})
}

func TestClientChangesItsKeys(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		first, second := newKey(t, "first", gojose.ES256), newKey(t, "second", gojose.ES256)
		uri := o.publish("/rotating", string(keySet(t, first)))
		p := o.registered(t, fields{
			"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri, "grant_types": []string{"authorization_code", "refresh_token"},
		})
		p.key = &first
		tk := p.signIn(o.visitor(t), o.person(), "scope", "openid offline_access")
		o.publish("/rotating", string(keySet(t, second)))
		p.key = &second
		o.Advance(time.Minute)
		p.refresh(tk.Refresh).tokenSet(p)
	})
}

func TestRequestObjectIsFetched(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		key := newKey(t, "k1", gojose.RS256)
		uri := o.web.URL + "/request.jwt"
		p := o.registered(t, fields{"jwks": keySet(t, key), "request_uris": []string{uri}})
		o.publish("/request.jwt", signed(t, key, nil, p.object("state", "inside")))
		short := url.Values{"client_id": {string(p.client.ID)}, "response_type": {"code"}, "scope": {"openid"}, "request_uri": {uri}}
		tr := p.authorize(o.visitor(t), o.person(), short)
		if p.redeem(p.code(tr)).tokenSet(p); tr.reply.Get("state") != "inside" {
			t.Errorf("got %v", tr.reply)
		}
		// No address but a registered one is called.
		other := o.publish("/other.jwt", signed(t, key, nil, p.object()))
		if tr := p.authorize(o.visitor(t), account{}, with(p.ask(), "request_uri", other)); tr.reply.Has("code") || len(tr.pages) > 0 {
			t.Errorf("got %s %v %v", tr.to, tr.reply, tr.pages)
		}
	})
}

func TestAssertionIsForUs(t *testing.T) {
	t.Parallel()
	eachOP(t, func(t *testing.T, o *op) {
		key := newKey(t, "k1", gojose.RS256)
		p := o.registered(t, fields{"token_endpoint_auth_method": "private_key_jwt", "jwks": keySet(t, key)})
		p.key = &key
		v := o.visitor(t)
		p.signIn(v, o.person())
		for _, aud := range []any{rig.Base, rig.Base + "/oauth2/token", []string{rig.Base, "https://other.example.com"}} {
			p.aud = aud
			p.redeem(p.code(p.authorize(v, account{}, p.ask()))).tokenSet(p)
		}
		for _, aud := range []any{"https://other.example.com", rig.Base + ".evil.example", []string{}, ""} {
			p.aud = aud
			p.redeem(p.code(p.authorize(v, account{}, p.ask()))).oauthError(http.StatusUnauthorized, "invalid_client")
		}
	})
}
