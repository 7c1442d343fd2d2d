package resource

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/token"
)

// OAuth is client.OAuth as the file writes it, between the client's other keys.
// What only clients that register themselves have is left as it is.
type OAuth struct {
	TokenEndpointAuth    string   `yaml:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthAlg string   `yaml:"token_endpoint_auth_signing_alg,omitempty"`
	TLSSubjectDN         string   `yaml:"tls_client_auth_subject_dn,omitempty"`
	JWKS                 any      `yaml:"jwks,omitempty"`
	Scopes               []string `yaml:"scopes,omitempty"`
	Consent              string   `yaml:"consent,omitempty"`
	IDTokenAlg           string   `yaml:"id_token_signed_response_alg,omitempty"`
	UserinfoAlg          string   `yaml:"userinfo_signed_response_alg,omitempty"`
	AuthorizationAlg     string   `yaml:"authorization_signed_response_alg,omitempty"`
	IntrospectionAlg     string   `yaml:"introspection_signed_response_alg,omitempty"`
	RequestObjectAlg     string   `yaml:"request_object_signing_alg,omitempty"`
	RequireSignedRequest bool     `yaml:"require_signed_request_object,omitempty"`
	RequirePAR           bool     `yaml:"require_pushed_authorization_requests,omitempty"`
	RequestURIs          []string `yaml:"request_uris,omitempty"`
	SubjectType          string   `yaml:"subject_type,omitempty"`
	SectorIdentifierURI  string   `yaml:"sector_identifier_uri,omitempty"`
	DPoPBound            bool     `yaml:"dpop_bound_access_tokens,omitempty"`
	TLSBound             bool     `yaml:"tls_client_certificate_bound_access_tokens,omitempty"`
	DefaultMaxAge        *int64   `yaml:"default_max_age,omitempty"`
	RequireAuthTime      bool     `yaml:"require_auth_time,omitempty"`
	DefaultACR           []string `yaml:"default_acr_values,omitempty"`
	BackchannelNeedsSID  bool     `yaml:"backchannel_logout_session_required,omitempty"`
	ApplicationType      string   `yaml:"application_type,omitempty"`
	ClientURI            string   `yaml:"client_uri,omitempty"`
	PolicyURI            string   `yaml:"policy_uri,omitempty"`
	TermsURI             string   `yaml:"tos_uri,omitempty"`
	InitiateLoginURI     string   `yaml:"initiate_login_uri,omitempty"`
}

func (o OAuth) policy(was client.OAuth) client.OAuth {
	return client.OAuth{
		TokenEndpointAuth: o.TokenEndpointAuth, TokenEndpointAuthAlg: o.TokenEndpointAuthAlg, TLSSubjectDN: o.TLSSubjectDN, JWKS: o.keys(),
		Scopes: o.Scopes, Consent: o.Consent, IDTokenAlg: o.IDTokenAlg, UserinfoAlg: o.UserinfoAlg, AuthorizationAlg: o.AuthorizationAlg,
		IntrospectionAlg: o.IntrospectionAlg, RequestObjectAlg: o.RequestObjectAlg, RequireSignedRequest: o.RequireSignedRequest,
		RequirePAR: o.RequirePAR, RequestURIs: o.RequestURIs, SubjectType: o.SubjectType, SectorIdentifierURI: o.SectorIdentifierURI,
		DPoPBound: o.DPoPBound, TLSBound: o.TLSBound, DefaultMaxAge: o.DefaultMaxAge, RequireAuthTime: o.RequireAuthTime,
		DefaultACR: o.DefaultACR, BackchannelNeedsSID: o.BackchannelNeedsSID, ApplicationType: o.ApplicationType,
		ClientURI: o.ClientURI, PolicyURI: o.PolicyURI, TermsURI: o.TermsURI, InitiateLoginURI: o.InitiateLoginURI,
		SoftwareID: was.SoftwareID, SoftwareVersion: was.SoftwareVersion, Contacts: was.Contacts,
	}
}

func describeOAuth(p client.OAuth) OAuth {
	o := OAuth{
		TokenEndpointAuth: p.TokenEndpointAuth, TokenEndpointAuthAlg: p.TokenEndpointAuthAlg, TLSSubjectDN: p.TLSSubjectDN,
		Scopes: p.Scopes, Consent: p.Consent, IDTokenAlg: p.IDTokenAlg, UserinfoAlg: p.UserinfoAlg, AuthorizationAlg: p.AuthorizationAlg,
		IntrospectionAlg: p.IntrospectionAlg, RequestObjectAlg: p.RequestObjectAlg, RequireSignedRequest: p.RequireSignedRequest,
		RequirePAR: p.RequirePAR, RequestURIs: p.RequestURIs, SubjectType: p.SubjectType, SectorIdentifierURI: p.SectorIdentifierURI,
		DPoPBound: p.DPoPBound, TLSBound: p.TLSBound, DefaultMaxAge: p.DefaultMaxAge, RequireAuthTime: p.RequireAuthTime,
		DefaultACR: p.DefaultACR, BackchannelNeedsSID: p.BackchannelNeedsSID, ApplicationType: p.ApplicationType,
		ClientURI: p.ClientURI, PolicyURI: p.PolicyURI, TermsURI: p.TermsURI, InitiateLoginURI: p.InitiateLoginURI,
	}
	if len(p.JWKS) > 0 && json.Unmarshal(p.JWKS, &o.JWKS) != nil {
		o.JWKS = nil // not what a file could say
	}
	return o
}

// keys is the key set as it is stored, members in alphabetical order.
func (o OAuth) keys() json.RawMessage {
	if o.JWKS == nil {
		return nil
	}
	return json.RawMessage(marshal(o.JWKS))
}

func (o OAuth) attrs() []attr {
	age := ""
	if o.DefaultMaxAge != nil {
		age = strconv.FormatInt(*o.DefaultMaxAge, 10)
	}
	return []attr{
		{"token_endpoint_auth_method", o.TokenEndpointAuth},
		{"token_endpoint_auth_signing_alg", o.TokenEndpointAuthAlg},
		{"tls_client_auth_subject_dn", o.TLSSubjectDN},
		{"jwks", string(o.keys())},
		{"scopes", joined(o.Scopes)},
		{"consent", o.Consent},
		{"id_token_signed_response_alg", o.IDTokenAlg},
		{"userinfo_signed_response_alg", o.UserinfoAlg},
		{"authorization_signed_response_alg", o.AuthorizationAlg},
		{"introspection_signed_response_alg", o.IntrospectionAlg},
		{"request_object_signing_alg", o.RequestObjectAlg},
		{"require_signed_request_object", yesNo(o.RequireSignedRequest)},
		{"require_pushed_authorization_requests", yesNo(o.RequirePAR)},
		{"request_uris", joined(o.RequestURIs)},
		{"subject_type", o.SubjectType},
		{"sector_identifier_uri", o.SectorIdentifierURI},
		{"dpop_bound_access_tokens", yesNo(o.DPoPBound)},
		{"tls_client_certificate_bound_access_tokens", yesNo(o.TLSBound)},
		{"default_max_age", age},
		{"require_auth_time", yesNo(o.RequireAuthTime)},
		{"default_acr_values", joined(o.DefaultACR)},
		{"backchannel_logout_session_required", yesNo(o.BackchannelNeedsSID)},
		{"application_type", o.ApplicationType},
		{"client_uri", o.ClientURI},
		{"policy_uri", o.PolicyURI},
		{"tos_uri", o.TermsURI},
		{"initiate_login_uri", o.InitiateLoginURI},
	}
}

// provider checks what only the provider asks of a client.
func (c *checker) provider(path string, cl *Client) {
	o := &cl.OAuth
	keys := c.keys(path, cl)
	c.clientAuth(path, cl, keys)
	for name, v := range map[string]string{
		"id_token_signed_response_alg": o.IDTokenAlg, "userinfo_signed_response_alg": o.UserinfoAlg,
		"authorization_signed_response_alg": o.AuthorizationAlg, "introspection_signed_response_alg": o.IntrospectionAlg,
	} {
		c.oneOf(path+"."+name, v, jwks.RS256, jwks.ES256, jwks.EdDSA)
	}
	c.oneOf(path+".token_endpoint_auth_signing_alg", o.TokenEndpointAuthAlg, token.ClientAlgs...)
	c.oneOf(path+".request_object_signing_alg", o.RequestObjectAlg, token.ClientAlgs...)
	c.oneOf(path+".access_token.format", cl.AccessToken.Format, client.FormatJWT, client.FormatOpaque)
	c.oneOf(path+".consent", o.Consent, client.ConsentRequired, client.ConsentImplicit)
	c.oneOf(path+".application_type", o.ApplicationType, "web", "native")
	c.scopes(path+".scopes", o.Scopes)
	if takes := slices.Contains(o.Scopes, client.ScopeUpstream); takes != cl.KeepUpstreamTokens {
		c.warn(path+".keep_upstream_tokens", "tokens of upstreams are kept with keep_upstream_tokens and fetched with the scope %s: one is of no use without the other", client.ScopeUpstream)
	}
	if (o.RequireSignedRequest || o.RequestObjectAlg != "") && !keys {
		c.wrong(path, "signed requests need jwks or jwks_uri")
	}
	c.list(path+".request_uris", o.RequestURIs, func(p, v string) {
		v, _, _ = strings.Cut(v, "#") // a hash of what is there
		c.endpoint(p, v)
	})
	c.subjects(path, cl)
	if o.DefaultMaxAge != nil && *o.DefaultMaxAge < 0 {
		c.wrong(path+".default_max_age", "must be a number of seconds")
	}
	c.list(path+".default_acr_values", o.DefaultACR, c.text)
	for name, v := range map[string]string{"client_uri": o.ClientURI, "policy_uri": o.PolicyURI, "tos_uri": o.TermsURI, "initiate_login_uri": o.InitiateLoginURI} {
		if v != "" && !webURL(v) {
			c.wrong(path+"."+name, "must be an https URL without fragment (http on a loopback host)")
		}
	}
}

// keys checks a client's key set, and reports whether it publishes keys.
func (c *checker) keys(path string, cl *Client) bool {
	if cl.JWKS == nil {
		return cl.JWKSURI != ""
	}
	if cl.JWKSURI != "" {
		c.wrong(path+".jwks", "jwks_uri names the keys already")
	}
	if _, err := token.ParseKeySet(cl.keys()); err != nil {
		_, why, _ := strings.Cut(err.Error(), token.ErrKeySet.Error()+": ")
		c.wrong(path+".jwks", "must be a set of public keys: %s", why)
	}
	return true
}

// fapiAuth are the methods that the profile fapi2 takes (FAPI 2.0 §5.3.2.1).
var fapiAuth = []string{client.AuthPrivateKeyJWT, client.AuthTLS, client.AuthSelfSignedTLS}

// clientAuth checks that the client has what its way of authentication takes.
func (c *checker) clientAuth(path string, cl *Client, keys bool) {
	method, p := cl.TokenEndpointAuth, path+".token_endpoint_auth_method"
	c.oneOf(p, method, client.AuthNone, client.AuthSecretBasic, client.AuthSecretPost, client.AuthSecretJWT,
		client.AuthPrivateKeyJWT, client.AuthTLS, client.AuthSelfSignedTLS)
	switch method {
	case client.AuthNone:
		if !cl.Secret.IsZero() {
			c.wrong(p, "the client has a secret; leave one of the two out")
		}
	case client.AuthSecretBasic, client.AuthSecretPost, client.AuthSecretJWT:
		if cl.Secret.IsZero() {
			c.wrong(p, "needs a secret")
		}
	case client.AuthPrivateKeyJWT, client.AuthSelfSignedTLS:
		if !keys {
			c.wrong(p, "needs jwks or jwks_uri")
		}
	case client.AuthTLS:
		if cl.TLSSubjectDN == "" {
			c.wrong(p, "needs tls_client_auth_subject_dn")
		}
	}
	if method == client.AuthSecretJWT {
		if cl.AccessToken.Alg == jwks.HS256 {
			c.wrong(p, "cannot stand beside access tokens by HS256: both would sign with one secret")
		}
		if cl.Secret.Given() && cl.Secret.Reveal() != "" && len(cl.Secret.Reveal()) < jwks.MinSecret {
			c.wrong(path+".secret", "must have at least %d bytes to sign with HS256", jwks.MinSecret)
		}
	}
	if cl.Profile == client.ProfileFAPI2 && !slices.Contains(fapiAuth, method) {
		c.wrong(path+".profile", "the profile fapi2 needs token_endpoint_auth_method %s", orList(fapiAuth))
	}
}

// provesItself reports whether a client authenticates: published keys alone may
// be for its signed requests.
func (cl *Client) provesItself() bool {
	return !cl.Secret.IsZero() || slices.Contains(fapiAuth, cl.TokenEndpointAuth)
}

// scopes wants names as RFC 6749 §3.3 has them.
func (c *checker) scopes(path string, list []string) {
	c.list(path, list, func(p, v string) {
		if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			c.wrong(p, "must be the name of a scope: printable characters without space, quote and backslash")
		}
	})
}

// subjects checks by what names the client knows people (OpenID Connect Core §8.1).
func (c *checker) subjects(path string, cl *Client) {
	c.oneOf(path+".subject_type", cl.SubjectType, client.SubjectPublic, client.SubjectPairwise)
	c.endpoint(path+".sector_identifier_uri", cl.SectorIdentifierURI)
	if cl.SubjectType != client.SubjectPairwise || cl.SectorIdentifierURI != "" {
		return
	}
	hosts := map[string]bool{}
	for _, raw := range cl.RedirectURIs {
		if u, err := url.Parse(raw); err == nil {
			hosts[u.Host] = true
		}
	}
	if len(hosts) > 1 {
		c.wrong(path+".subject_type", "pairwise needs sector_identifier_uri, since redirect_uris has several hosts")
	}
}
