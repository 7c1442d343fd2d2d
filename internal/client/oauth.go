package client

import (
	"encoding/json"
	"slices"
)

// Source says how a client came to be here.
type Source string

// The sources of a client.
const (
	Operator Source = ""         // by the resource file or the admin API
	Dynamic  Source = "dynamic"  // it registered itself (RFC 7591)
	Document Source = "document" // by its client id metadata document, whose URL is its ID
)

// The security profiles of a client.
const (
	ProfileDefault = "default" // OAuth 2.1
	ProfileFAPI2   = "fapi2"   // FAPI 2.0 Security Profile
)

// How a client's PKCE is judged (OAuth 2.1 §7.6; RFC 9700 §2.1.1).
const (
	PKCERequired = "required"
	PKCEOptional = "optional" // a confidential client whose library has none
	PKCEPlain    = "plain"    // the plain method too, where a contract demands it
)

// The formats of access tokens.
const (
	FormatJWT    = "jwt" // RFC 9068
	FormatOpaque = "opaque"
)

// Whether a person is asked before a client gets what it wants.
const (
	ConsentRequired = "required" // the default of clients that registered themselves
	ConsentImplicit = "implicit" // the operator's own applications, their default
)

// Subject types (OpenID Connect Core §8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// The ways a client proves itself at the token endpoint (RFC 7591 §2, RFC 8705 §2).
const (
	AuthNone              = "none"
	AuthSecretBasic       = "client_secret_basic"
	AuthSecretPost        = "client_secret_post"
	AuthSecretJWT         = "client_secret_jwt"
	AuthPrivateKeyJWT     = "private_key_jwt"
	AuthTLS               = "tls_client_auth"
	AuthSelfSignedTLS     = "self_signed_tls_client_auth"
	AuthSecretBasicOrPost = "" // a confidential client of the operator's: either of the two
)

// The grant types, as a client's policy and a token request name them.
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, and no credential
)

// ScopeUpstream lets a client fetch the tokens that Policy.KeepUpstreamTokens
// keeps; like any other, it must be among the client's Scopes.
const ScopeUpstream = "upstream_token"

// OAuth is what only the provider asks of a client. The names are those of the
// registered client metadata (RFC 7591, OpenID Connect Registration 1.0), and
// the zero value is their default but where a comment says otherwise.
//
// Scopes are those it may ask for besides OpenID Connect's; nil is none, so that
// client credentials without a scope get a token that says nothing. Consent is
// ConsentRequired or ConsentImplicit; empty depends on the client's Source.
type OAuth struct {
	TokenEndpointAuth    string          `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthAlg string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	TLSSubjectDN         string          `json:"tls_client_auth_subject_dn,omitempty"`
	JWKS                 json.RawMessage `json:"jwks,omitempty"`
	Scopes               []string        `json:"scopes,omitempty"`
	Consent              string          `json:"consent,omitempty"`
	IDTokenAlg           string          `json:"id_token_signed_response_alg,omitempty"` // empty: RS256
	UserinfoAlg          string          `json:"userinfo_signed_response_alg,omitempty"` // empty: plain JSON
	AuthorizationAlg     string          `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionAlg     string          `json:"introspection_signed_response_alg,omitempty"`
	RequestObjectAlg     string          `json:"request_object_signing_alg,omitempty"`
	RequireSignedRequest bool            `json:"require_signed_request_object,omitempty"`
	RequirePAR           bool            `json:"require_pushed_authorization_requests,omitempty"`
	RequestURIs          []string        `json:"request_uris,omitempty"`
	SubjectType          string          `json:"subject_type,omitempty"`
	SectorIdentifierURI  string          `json:"sector_identifier_uri,omitempty"`
	DPoPBound            bool            `json:"dpop_bound_access_tokens,omitempty"`
	TLSBound             bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DefaultMaxAge        *int64          `json:"default_max_age,omitempty"`
	RequireAuthTime      bool            `json:"require_auth_time,omitempty"`
	DefaultACR           []string        `json:"default_acr_values,omitempty"`
	BackchannelNeedsSID  bool            `json:"backchannel_logout_session_required,omitempty"`
	ApplicationType      string          `json:"application_type,omitempty"` // "native" or "web"
	ClientURI            string          `json:"client_uri,omitempty"`
	PolicyURI            string          `json:"policy_uri,omitempty"`
	TermsURI             string          `json:"tos_uri,omitempty"`
	InitiateLoginURI     string          `json:"initiate_login_uri,omitempty"`
	SoftwareID           string          `json:"software_id,omitempty"`
	SoftwareVersion      string          `json:"software_version,omitempty"`
	Contacts             []string        `json:"contacts,omitempty"`
}

// MayUse reports whether the client's policy has the grant type; one that names
// none has authorization codes and refresh tokens.
func (p Policy) MayUse(grant string) bool {
	if len(p.Grants) == 0 {
		return grant == GrantCode || grant == GrantRefresh
	}
	return slices.Contains(p.Grants, grant)
}

// FAPI reports whether the client is held to the FAPI 2.0 Security Profile.
func (p Policy) FAPI() bool { return p.Profile == ProfileFAPI2 }

// IDTokenAlg is what the client's ID tokens and logout tokens are signed with:
// RS256 if it says nothing (OpenID Connect Registration §2), but not where FAPI
// 2.0 §5.4.1 forbids it.
func (p Policy) IDTokenAlg() string {
	switch alg := p.OAuth.IDTokenAlg; {
	case p.FAPI() && (alg == "" || alg == "RS256"):
		return "ES256"
	case alg == "":
		return "RS256"
	default:
		return alg
	}
}

// AsksConsent reports whether a person is asked before the client gets anything.
func (c Client) AsksConsent() bool {
	if c.Policy.OAuth.Consent != "" {
		return c.Policy.OAuth.Consent == ConsentRequired
	}
	return c.Source == Dynamic || c.Source == Document
}
