package oidc

import (
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/oauth"
	"sallyport/internal/token"
)

// metadata is the authorization server metadata (RFC 8414 §2), which is also
// the provider metadata (OpenID Connect Discovery §3). Everything in it works,
// and everything that works and has a member is in it.
type metadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	UserinfoEndpoint         string   `json:"userinfo_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	RegistrationEndpoint     string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint"`
	DeviceEndpoint           string   `json:"device_authorization_endpoint"`
	PAREndpoint              string   `json:"pushed_authorization_request_endpoint"`
	EndSessionEndpoint       string   `json:"end_session_endpoint"`
	Scopes                   []string `json:"scopes_supported"`
	ResponseTypes            []string `json:"response_types_supported"`
	ResponseModes            []string `json:"response_modes_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	ACRs                     []string `json:"acr_values_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenAlgs              []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs             []string `json:"userinfo_signing_alg_values_supported"`
	RequestObjectAlgs        []string `json:"request_object_signing_alg_values_supported"`
	AuthorizationAlgs        []string `json:"authorization_signing_alg_values_supported"`
	IntrospectionAlgs        []string `json:"introspection_signing_alg_values_supported"`
	TokenEndpointAuth        []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthAlgs    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth           []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth        []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgs                 []string `json:"dpop_signing_alg_values_supported"`
	TLSBound                 bool     `json:"tls_client_certificate_bound_access_tokens"`
	ChallengeMethods         []string `json:"code_challenge_methods_supported"`
	Prompts                  []string `json:"prompt_values_supported"`
	ClaimTypes               []string `json:"claim_types_supported"`
	Claims                   []string `json:"claims_supported"`
	UILocales                []string `json:"ui_locales_supported"`
	ClaimsParameter          bool     `json:"claims_parameter_supported"`
	RequestParameter         bool     `json:"request_parameter_supported"`
	RequestURIParameter      bool     `json:"request_uri_parameter_supported"`
	RequireRequestURIs       bool     `json:"require_request_uri_registration"`
	RequireSignedRequest     bool     `json:"require_signed_request_object"`
	RequirePAR               bool     `json:"require_pushed_authorization_requests"`
	IssParameter             bool     `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout        bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool     `json:"backchannel_logout_session_supported"`
	ClientIDMetadataDocument bool     `json:"client_id_metadata_document_supported"`
	ProtectedResources       []string `json:"protected_resources,omitempty"`
}

// metadata tells clients where everything is and what it takes.
func (a *API) metadata(issuer string, s oauth.Settings) any {
	at := func(path string) string { return issuer + path }
	algs := a.signingAlgs()
	asserted := append(slices.Clone(token.ClientAlgs), jwks.HS256)
	methods := a.authMethods()
	known := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == client.AuthNone })
	m := metadata{
		Issuer: issuer, AuthorizationEndpoint: at("/oauth2/authorize"), TokenEndpoint: at("/oauth2/token"), UserinfoEndpoint: at("/oauth2/userinfo"),
		JWKSURI: at("/.well-known/jwks.json"), RevocationEndpoint: at("/oauth2/revoke"), IntrospectionEndpoint: at("/oauth2/introspect"),
		DeviceEndpoint: at("/oauth2/device_authorization"), PAREndpoint: at("/oauth2/par"), EndSessionEndpoint: at("/oauth2/end-session"),
		Scopes:        slices.Concat(oauth.Scopes, s.Scopes),
		ResponseTypes: []string{"code"},
		ResponseModes: []string{"query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"},
		GrantTypes:    []string{client.GrantCode, client.GrantRefresh, client.GrantClientCredentials, client.GrantDevice, client.GrantTokenExchange},
		ACRs:          oauth.ACRs, SubjectTypes: []string{client.SubjectPublic, client.SubjectPairwise},
		IDTokenAlgs: algs, UserinfoAlgs: algs, AuthorizationAlgs: algs, IntrospectionAlgs: algs, RequestObjectAlgs: token.ClientAlgs,
		TokenEndpointAuth: methods, TokenEndpointAuthAlgs: asserted, RevocationAuth: methods, RevocationAuthAlgs: asserted,
		IntrospectionAuth: known, IntrospectionAuthAlgs: asserted,
		DPoPAlgs: token.ProofAlgs, TLSBound: a.ClientCert != "", ChallengeMethods: []string{"S256"},
		Prompts: []string{"none", "login", "consent", "select_account", "create"}, ClaimTypes: []string{"normal"}, Claims: claimNames,
		UILocales: []string{"en"}, ClaimsParameter: true, RequestParameter: true, RequestURIParameter: true, RequireRequestURIs: true,
		IssParameter: true, BackchannelLogout: true, BackchannelLogoutSession: true, ClientIDMetadataDocument: s.ClientDocuments,
		ProtectedResources: s.Resources,
	}
	if s.Registration == oauth.RegistrationOpen || s.Registration == oauth.RegistrationToken {
		m.RegistrationEndpoint = at("/oauth2/register")
	}
	return m
}

// claimNames are those that an ID token or userinfo may hold.
var claimNames = []string{
	"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid", "at_hash",
	"name", "given_name", "family_name", "email", "email_verified", "roles",
}

// signingAlgs are those that we have a key of.
func (a *API) signingAlgs() []string {
	algs := []string{}
	for _, alg := range oauth.SigningAlgs {
		if _, err := a.Keys.Active(alg, ""); err == nil {
			algs = append(algs, alg)
		}
	}
	return algs
}

// authMethods are the ways in which a client may prove itself. Certificates
// need a proxy that tells us of them.
func (a *API) authMethods() []string {
	all := []string{client.AuthNone, client.AuthSecretBasic, client.AuthSecretPost, client.AuthSecretJWT, client.AuthPrivateKeyJWT}
	if a.ClientCert != "" {
		all = append(all, client.AuthTLS, client.AuthSelfSignedTLS)
	}
	return all
}

// protectedResource is the metadata of ourselves as what access tokens are good
// at (RFC 9728 §2): userinfo, and registration.
type protectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	JWKSURI              string   `json:"jwks_uri"`
	Scopes               []string `json:"scopes_supported"`
	Bearer               []string `json:"bearer_methods_supported"`
	SigningAlgs          []string `json:"resource_signing_alg_values_supported"`
	Name                 string   `json:"resource_name"`
	DPoPAlgs             []string `json:"dpop_signing_alg_values_supported"`
	TLSBound             bool     `json:"tls_client_certificate_bound_access_tokens"`
}

func (a *API) resource(issuer string, _ oauth.Settings) any {
	return protectedResource{
		Resource: issuer, AuthorizationServers: []string{issuer}, JWKSURI: issuer + "/.well-known/jwks.json",
		Scopes: oauth.Scopes, Bearer: []string{"header", "body"}, SigningAlgs: a.signingAlgs(), Name: "Sallyport",
		DPoPAlgs: token.ProofAlgs, TLSBound: a.ClientCert != "",
	}
}
