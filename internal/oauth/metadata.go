package oauth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/jwks"
	"sallyport/internal/token"
)

// SigningAlgs are the algorithms that our own keys sign with.
var SigningAlgs = []string{jwks.RS256, jwks.ES256, jwks.EdDSA}

// Metadata is what a client says of itself, in the words of the registered
// client metadata (RFC 7591 §2, OpenID Connect Registration §2). It is read from
// a registration or a client's document, and written as an answer.
type Metadata struct {
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	TokenEndpointAuth      string          `json:"token_endpoint_auth_method"`
	TokenEndpointAuthAlg   string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	TLSSubjectDN           string          `json:"tls_client_auth_subject_dn,omitempty"`
	GrantTypes             []string        `json:"grant_types"`
	ResponseTypes          []string        `json:"response_types"`
	ApplicationType        string          `json:"application_type"`
	Name                   string          `json:"client_name"`
	ClientURI              string          `json:"client_uri,omitempty"`
	LogoURI                string          `json:"logo_uri,omitempty"`
	PolicyURI              string          `json:"policy_uri,omitempty"`
	TermsURI               string          `json:"tos_uri,omitempty"`
	Contacts               []string        `json:"contacts,omitempty"`
	Scope                  string          `json:"scope,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	SoftwareID             string          `json:"software_id,omitempty"`
	SoftwareVersion        string          `json:"software_version,omitempty"`
	SubjectType            string          `json:"subject_type"`
	SectorIdentifierURI    string          `json:"sector_identifier_uri,omitempty"`
	IDTokenAlg             string          `json:"id_token_signed_response_alg"`
	UserinfoAlg            string          `json:"userinfo_signed_response_alg,omitempty"`
	AuthorizationAlg       string          `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionAlg       string          `json:"introspection_signed_response_alg,omitempty"`
	RequestObjectAlg       string          `json:"request_object_signing_alg,omitempty"`
	RequestURIs            []string        `json:"request_uris,omitempty"`
	RequireSignedRequest   bool            `json:"require_signed_request_object,omitempty"`
	RequirePAR             bool            `json:"require_pushed_authorization_requests,omitempty"`
	DPoPBound              bool            `json:"dpop_bound_access_tokens,omitempty"`
	TLSBound               bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DefaultMaxAge          *int64          `json:"default_max_age,omitempty"`
	RequireAuthTime        bool            `json:"require_auth_time,omitempty"`
	DefaultACR             []string        `json:"default_acr_values,omitempty"`
	InitiateLoginURI       string          `json:"initiate_login_uri,omitempty"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	BackchannelNeedsSID    bool            `json:"backchannel_logout_session_required,omitempty"`
}

// read takes over what the members say. What is wrong with one alone is found
// here; what does not fit together, by check.
func (m *members) metadata() Metadata {
	md := Metadata{
		RedirectURIs:           m.texts("redirect_uris"),
		PostLogoutRedirectURIs: m.texts("post_logout_redirect_uris"),
		TokenEndpointAuth:      m.text("token_endpoint_auth_method"),
		TokenEndpointAuthAlg:   m.oneOf("token_endpoint_auth_signing_alg", token.ClientAlgs...),
		TLSSubjectDN:           m.text("tls_client_auth_subject_dn"),
		GrantTypes:             m.texts("grant_types"),
		ResponseTypes:          m.texts("response_types"),
		ApplicationType:        m.oneOf("application_type", "web", "native"),
		Name:                   m.words("client_name"),
		ClientURI:              m.page("client_uri"),
		LogoURI:                m.page("logo_uri"),
		PolicyURI:              m.page("policy_uri"),
		TermsURI:               m.page("tos_uri"),
		Contacts:               m.texts("contacts"),
		Scope:                  m.text("scope"),
		JWKSURI:                m.text("jwks_uri"),
		JWKS:                   m.raw("jwks"),
		SoftwareID:             m.words("software_id"),
		SoftwareVersion:        m.words("software_version"),
		SubjectType:            m.oneOf("subject_type", client.SubjectPublic, client.SubjectPairwise),
		SectorIdentifierURI:    m.text("sector_identifier_uri"),
		IDTokenAlg:             m.oneOf("id_token_signed_response_alg", SigningAlgs...),
		UserinfoAlg:            m.oneOf("userinfo_signed_response_alg", SigningAlgs...),
		AuthorizationAlg:       m.oneOf("authorization_signed_response_alg", SigningAlgs...),
		IntrospectionAlg:       m.oneOf("introspection_signed_response_alg", SigningAlgs...),
		RequestObjectAlg:       m.oneOf("request_object_signing_alg", token.ClientAlgs...),
		RequestURIs:            m.texts("request_uris"),
		RequireSignedRequest:   m.truth("require_signed_request_object"),
		RequirePAR:             m.truth("require_pushed_authorization_requests"),
		DPoPBound:              m.truth("dpop_bound_access_tokens"),
		TLSBound:               m.truth("tls_client_certificate_bound_access_tokens"),
		DefaultMaxAge:          m.seconds("default_max_age"),
		RequireAuthTime:        m.truth("require_auth_time"),
		DefaultACR:             m.texts("default_acr_values"),
		InitiateLoginURI:       m.page("initiate_login_uri"),
		BackchannelLogoutURI:   m.text("backchannel_logout_uri"),
		BackchannelNeedsSID:    m.truth("backchannel_logout_session_required"),
	}
	for _, name := range unsupported {
		if m.has(name) {
			m.wrong(name, "is not supported")
		}
	}
	return md
}

// unsupported are members whose value we would have to act on, but cannot: to
// leave them out in silence would send in the clear what is to be encrypted, or
// take any certificate for the right one.
var unsupported = []string{
	"id_token_encrypted_response_alg", "userinfo_encrypted_response_alg", "request_object_encryption_alg",
	"authorization_encrypted_response_alg", "introspection_encrypted_response_alg",
	"tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
}

// defaults fills in what was left out (RFC 7591 §2, OpenID Connect Registration
// §2). An application that names no type is what its redirect URIs are: clients
// on somebody's machine seldom say that they are native.
func (md *Metadata) defaults() {
	if md.GrantTypes == nil {
		md.GrantTypes = []string{client.GrantCode}
	}
	if md.ResponseTypes == nil && slices.Contains(md.GrantTypes, client.GrantCode) {
		md.ResponseTypes = []string{"code"}
	}
	if md.ApplicationType == "" {
		md.ApplicationType = "web"
		if slices.ContainsFunc(md.RedirectURIs, func(s string) bool { return !ofWeb(s) }) {
			md.ApplicationType = "native"
		}
	}
	if md.SubjectType == "" {
		md.SubjectType = client.SubjectPublic
	}
	if md.IDTokenAlg == "" {
		md.IDTokenAlg = jwks.RS256
	}
	if md.Name == "" {
		md.Name = md.host()
	}
}

// host is what an application is called that gives itself no name: the host
// that people come from, or end at.
func (md *Metadata) host() string {
	for _, s := range slices.Concat([]string{md.ClientURI}, md.RedirectURIs) {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			return u.Hostname()
		}
	}
	return "Application"
}

// newPolicy is that of a client nobody has decided anything about yet: whoever
// has an account may use it, once they agreed.
func newPolicy() client.Policy {
	return client.Policy{
		Registration: client.Open, Methods: []string{client.MethodPassword, client.MethodMagicLink},
		OAuth: client.OAuth{Consent: client.ConsentRequired},
	}
}

// policy is was with what the client says of itself in the place of what it said
// before. The rest is what others have decided about it, and stays: a client does
// not get rid of it by describing itself anew.
func (md Metadata) policy(was client.Policy) client.Policy {
	p := was
	p.RedirectURIs, p.PostLogoutRedirectURIs, p.Grants = md.RedirectURIs, md.PostLogoutRedirectURIs, md.GrantTypes
	p.JWKSURI, p.BackchannelLogoutURI, p.Branding.LogoURL = md.JWKSURI, md.BackchannelLogoutURI, md.LogoURI
	p.OAuth = client.OAuth{
		TokenEndpointAuth: md.TokenEndpointAuth, TokenEndpointAuthAlg: md.TokenEndpointAuthAlg, TLSSubjectDN: md.TLSSubjectDN,
		JWKS: md.JWKS, Scopes: without(strings.Fields(md.Scope), Scopes), Consent: was.OAuth.Consent,
		IDTokenAlg: md.IDTokenAlg, UserinfoAlg: md.UserinfoAlg, AuthorizationAlg: md.AuthorizationAlg,
		IntrospectionAlg: md.IntrospectionAlg, RequestObjectAlg: md.RequestObjectAlg,
		RequireSignedRequest: md.RequireSignedRequest, RequirePAR: md.RequirePAR, RequestURIs: md.RequestURIs,
		SubjectType: md.SubjectType, SectorIdentifierURI: md.SectorIdentifierURI, DPoPBound: md.DPoPBound, TLSBound: md.TLSBound,
		DefaultMaxAge: md.DefaultMaxAge, RequireAuthTime: md.RequireAuthTime, DefaultACR: md.DefaultACR,
		BackchannelNeedsSID: md.BackchannelNeedsSID, ApplicationType: md.ApplicationType,
		ClientURI: md.ClientURI, PolicyURI: md.PolicyURI, TermsURI: md.TermsURI, InitiateLoginURI: md.InitiateLoginURI,
		SoftwareID: md.SoftwareID, SoftwareVersion: md.SoftwareVersion, Contacts: md.Contacts,
	}
	return p.WithDefaults()
}

// metadataOf is the reverse of policy: what is registered of a client.
func metadataOf(cl client.Client) Metadata {
	p, o := cl.Policy, cl.Policy.OAuth
	md := Metadata{
		RedirectURIs: p.RedirectURIs, PostLogoutRedirectURIs: p.PostLogoutRedirectURIs,
		TokenEndpointAuth: o.TokenEndpointAuth, TokenEndpointAuthAlg: o.TokenEndpointAuthAlg, TLSSubjectDN: o.TLSSubjectDN,
		GrantTypes: p.Grants, ResponseTypes: []string{}, ApplicationType: o.ApplicationType, Name: cl.Name,
		ClientURI: o.ClientURI, LogoURI: p.Branding.LogoURL, PolicyURI: o.PolicyURI, TermsURI: o.TermsURI, Contacts: o.Contacts,
		Scope: strings.Join(slices.Concat(Scopes, o.Scopes), " "), JWKSURI: p.JWKSURI, JWKS: o.JWKS,
		SoftwareID: o.SoftwareID, SoftwareVersion: o.SoftwareVersion,
		SubjectType: o.SubjectType, SectorIdentifierURI: o.SectorIdentifierURI,
		IDTokenAlg: o.IDTokenAlg, UserinfoAlg: o.UserinfoAlg, AuthorizationAlg: o.AuthorizationAlg,
		IntrospectionAlg: o.IntrospectionAlg, RequestObjectAlg: o.RequestObjectAlg, RequestURIs: o.RequestURIs,
		RequireSignedRequest: o.RequireSignedRequest, RequirePAR: o.RequirePAR, DPoPBound: o.DPoPBound, TLSBound: o.TLSBound,
		DefaultMaxAge: o.DefaultMaxAge, RequireAuthTime: o.RequireAuthTime, DefaultACR: o.DefaultACR,
		InitiateLoginURI: o.InitiateLoginURI, BackchannelLogoutURI: p.BackchannelLogoutURI, BackchannelNeedsSID: o.BackchannelNeedsSID,
	}
	if slices.Contains(p.Grants, client.GrantCode) {
		md.ResponseTypes = []string{"code"}
	}
	return md
}

// without is list without those that are in others, each once.
func without(list, others []string) []string {
	var rest []string
	for _, s := range list {
		if !slices.Contains(others, s) && !slices.Contains(rest, s) {
			rest = append(rest, s)
		}
	}
	return rest
}
