package upstreamtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// endpoints are a provider's paths; people are those that tell who it is.
type endpoints struct {
	authorize, token, metadata, keys, issuer string
	people                                   []string
	ssoAuthorize, ssoToken                   string // WorkOS has two products
}

func (f *Fake) endpoints() endpoints {
	const wellKnown = "/.well-known/openid-configuration"
	switch f.kind {
	case upstream.Google:
		return endpoints{authorize: "/o/oauth2/v2/auth", token: "/token", metadata: wellKnown, keys: "/oauth2/v3/certs", people: []string{"/v1/userinfo"}}
	case upstream.GitHub:
		return endpoints{authorize: "/login/oauth/authorize", token: "/login/oauth/access_token", people: []string{"/user", "/user/emails"}}
	case upstream.LinkedIn:
		return endpoints{authorize: "/oauth/v2/authorization", token: "/oauth/v2/accessToken", metadata: "/oauth" + wellKnown, keys: "/oauth/openid/jwks",
			issuer: "/oauth", people: []string{"/v2/userinfo", "/v2/me", "/v2/emailAddress"}}
	case upstream.Microsoft:
		return endpoints{authorize: "/common/oauth2/v2.0/authorize", token: "/common/oauth2/v2.0/token", metadata: "/common/v2.0" + wellKnown,
			keys: "/common/discovery/v2.0/keys", issuer: "/{tenantid}/v2.0", people: []string{"/oidc/userinfo"}}
	case upstream.Apple:
		return endpoints{authorize: "/auth/authorize", token: "/auth/token", metadata: wellKnown, keys: "/auth/keys"}
	case upstream.Okta:
		return endpoints{authorize: "/oauth2/v1/authorize", token: "/oauth2/v1/token", metadata: wellKnown, keys: "/oauth2/v1/keys", people: []string{"/oauth2/v1/userinfo"}}
	case upstream.WorkOS:
		return endpoints{authorize: "/user_management/authorize", token: "/user_management/authenticate", keys: "/sso/jwks/" + ClientID,
			ssoAuthorize: "/sso/authorize", ssoToken: "/sso/token"}
	case upstream.OAuth2:
		return endpoints{authorize: "/authorize", token: "/token", people: []string{"/me"}}
	}
	return endpoints{authorize: "/auth", token: "/token", metadata: wellKnown, keys: "/jwks", people: []string{"/me"}}
}

func (f *Fake) metadata(w http.ResponseWriter) {
	e := f.endpoints()
	m := map[string]any{
		"issuer": f.base + e.issuer, "authorization_endpoint": f.base + e.authorize, "token_endpoint": f.base + e.token, "jwks_uri": f.base + e.keys,
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	}
	if len(e.people) > 0 {
		m["userinfo_endpoint"] = f.base + e.people[0]
	}
	switch f.kind {
	case upstream.Okta, upstream.OIDC:
		m["end_session_endpoint"] = f.base + "/logout"
		m["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post"}
		m["authorization_response_iss_parameter_supported"] = f.kind == upstream.OIDC
	case upstream.Microsoft:
		m["end_session_endpoint"] = f.base + "/common/oauth2/v2.0/logout"
	}
	if f.is(OtherMetadata) {
		m["issuer"] = "https://accounts.evil.example"
	}
	writeJSON(w, http.StatusOK, m)
}

// answer is what the browser is sent back with.
func (f *Fake) answer(q url.Values, id string, deny bool) (back string, form url.Values, problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.Get("client_id") != ClientID {
		return "", nil, "unknown client"
	}
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !redirect.IsAbs() && redirect.String() != "postmessage" { // Google's popup has no redirect URI
		return "", nil, "no redirect URI"
	}
	i := slices.IndexFunc(f.people, func(p Person) bool { return id == "" || p.ID == id })
	if i < 0 {
		return "", nil, "nobody of that id"
	}
	out := url.Values{}
	if q.Has("state") {
		out.Set("state", q.Get("state"))
	}
	if deny {
		out.Set("error", map[upstream.Kind]string{upstream.Apple: "user_cancelled_authorize", upstream.LinkedIn: "user_cancelled_login"}[f.kind])
		if out.Get("error") == "" {
			out.Set("error", "access_denied")
		}
	} else {
		code := "4/" + secret.Hex(16)
		f.codes[code] = visit{f.people[i], q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("scope"),
			q.Get("access_type") == "offline" || strings.Contains(q.Get("scope"), "offline_access")}
		out.Set("code", code)
	}
	if f.kind == upstream.OIDC && f.trouble != NoIss {
		out.Set("iss", f.base)
	}
	if f.trouble == WrongIss {
		out.Set("iss", "https://accounts.evil.example")
	}
	if q.Get("response_mode") == "form_post" {
		f.name(out, f.people[i])
		return redirect.String(), out, ""
	}
	whole := redirect.Query()
	for name := range out {
		whole.Set(name, out.Get(name))
	}
	redirect.RawQuery = whole.Encode()
	return redirect.String(), nil, ""
}

// name adds the name as Apple does: the first time, and never again.
func (f *Fake) name(out url.Values, p Person) {
	if f.named[p.ID] || !out.Has("code") {
		return
	}
	f.named[p.ID] = true
	user, err := json.Marshal(map[string]any{"name": map[string]string{"firstName": p.GivenName, "lastName": p.FamilyName}, "email": p.Email})
	if err == nil {
		out.Set("user", string(user))
	}
}

// token redeems a code, once, or a refresh token, once.
func (f *Fake) token(w http.ResponseWriter, r *http.Request, path string) {
	p := params(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if problem := f.client(r, p); problem != "" || f.trouble == BadSecret {
		f.refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if f.trouble == Unfinished {
		writeJSON(w, http.StatusForbidden, map[string]any{"code": "mfa_challenge", "message": "…", "pending_authentication_token": "tok_hush",
			"user": map[string]any{"id": "user_1"}, "authentication_factors": []any{}})
		return
	}
	v, ok := f.visit(p)
	if !ok {
		f.refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	access := "at_" + secret.Hex(16)
	f.access[access] = v
	switch {
	case path == "/sso/token":
		writeJSON(w, http.StatusOK, f.ssoAnswer(v, access))
	case f.kind == upstream.WorkOS:
		writeJSON(w, http.StatusOK, f.workOSAnswer(v))
	default:
		writeJSON(w, http.StatusOK, f.tokens(v, access))
	}
}

// visit is what a code or a refresh token was made for; it is good no more.
func (f *Fake) visit(p url.Values) (v visit, ok bool) {
	if p.Get("grant_type") == "refresh_token" {
		v, ok = f.refresh[p.Get("refresh_token")]
		delete(f.refresh, p.Get("refresh_token"))
		v.nonce = ""
		return v, ok
	}
	v, ok = f.codes[p.Get("code")]
	delete(f.codes, p.Get("code"))
	if p.Has("redirect_uri") && p.Get("redirect_uri") != v.redirect {
		return v, false
	}
	if f.trouble == NoPKCE {
		return v, ok
	}
	return v, ok && (v.challenge == "" || upstream.Challenge(p.Get("code_verifier")) == v.challenge) && (v.challenge != "" || p.Get("code_verifier") == "")
}

// tokens are the answer of a token endpoint (RFC 6749 §5.1).
func (f *Fake) tokens(v visit, access string) map[string]any {
	out := map[string]any{"access_token": access, "token_type": "Bearer"}
	if f.kind == upstream.GitHub {
		out["scope"] = strings.ReplaceAll(v.scope, " ", ",")
		return out
	}
	out["expires_in"], out["scope"] = 3600, v.scope
	if v.offline {
		out["refresh_token"] = "rt_" + secret.Hex(16)
		f.refresh[out["refresh_token"].(string)] = v
	}
	asked := f.kind == upstream.Apple || strings.Contains(v.scope, "openid") || v.scope == ""
	if f.kind != upstream.OAuth2 && asked && f.trouble != NoIDToken {
		out["id_token"] = f.idToken(v, access)
	}
	return out
}

// refuse is an error in the provider's own way.
func (f *Fake) refuse(w http.ResponseWriter, status int, code string) {
	switch {
	case f.kind == upstream.GitHub && code == "invalid_grant":
		status, code = http.StatusOK, "bad_verification_code"
	case f.kind == upstream.GitHub:
		status, code = http.StatusOK, "incorrect_client_credentials"
	case f.kind == upstream.LinkedIn && code == "invalid_grant":
		code = "invalid_request"
	}
	writeJSON(w, status, map[string]string{"error": code, "error_description": "The code has expired or is invalid."})
}

// params are the parameters of a form, or of WorkOS' JSON.
func params(r *http.Request) url.Values {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := r.ParseForm(); err != nil {
			return url.Values{}
		}
		return r.PostForm
	}
	var m map[string]any
	p := url.Values{}
	if err := json.NewDecoder(r.Body).Decode(&m); err == nil {
		for name, v := range m {
			p.Set(name, fmt.Sprint(v))
		}
	}
	return p
}

// client says what is wrong with the client's credentials.
func (f *Fake) client(r *http.Request, p url.Values) string {
	id, password := p.Get("client_id"), p.Get("client_secret")
	if basicID, basicPassword, ok := r.BasicAuth(); ok {
		if p.Has("client_secret") {
			return "credentials twice" // RFC 6749 §2.3
		}
		id, password = basicID, basicPassword
	}
	if f.kind == upstream.Apple {
		return f.appleClient(id, password)
	}
	if id != ClientID || password != ClientSecret {
		return "wrong credentials"
	}
	return ""
}

// person tells who an access token is of.
func (f *Fake) person(w http.ResponseWriter, r *http.Request, path string) {
	_, access, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.access[access]
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	p := v.person
	if f.trouble == Somebody {
		p.ID += "0"
	}
	if f.trouble == NoSubject {
		p.ID = ""
	}
	name := map[string]any{"localized": map[string]string{"en_US": p.GivenName}, "preferredLocale": map[string]string{"country": "US", "language": "en"}}
	family := map[string]any{"localized": map[string]string{"de_DE": p.FamilyName}}
	switch path {
	case "/user":
		writeJSON(w, http.StatusOK, map[string]any{"id": json.RawMessage(or(p.ID, "0")), "login": p.Username, "name": p.GivenName + " " + p.FamilyName, "email": "anything@example.com"})
	case "/user/emails":
		list := []map[string]any{
			{"email": "old@example.com", "primary": false, "verified": true},
			{"email": p.Email, "primary": true, "verified": p.EmailVerified},
		}
		if f.trouble == TwoPrimary {
			list = append(list, map[string]any{"email": "second@example.com", "primary": true, "verified": false})
		}
		writeJSON(w, http.StatusOK, list)
	case "/v2/me":
		writeJSON(w, http.StatusOK, map[string]any{"id": p.ID, "firstName": name, "lastName": family})
	case "/v2/emailAddress":
		writeJSON(w, http.StatusOK, map[string]any{"elements": []any{map[string]any{"handle~": map[string]string{"emailAddress": p.Email}}}})
	case "/me":
		if f.kind == upstream.OAuth2 {
			writeJSON(w, http.StatusOK, map[string]any{"account": map[string]any{"number": json.RawMessage(or(p.ID, "null"))},
				"mail": p.Email, "mail_confirmed": p.EmailVerified, "name": p.GivenName + " " + p.FamilyName})
			return
		}
		fallthrough
	default:
		c := f.profile(p)
		c["sub"] = p.ID
		writeJSON(w, http.StatusOK, c)
	}
}

func or(v, instead string) string {
	if v == "" {
		return instead
	}
	return v
}
