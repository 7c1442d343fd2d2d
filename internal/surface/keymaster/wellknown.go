package keymaster

import (
	"encoding/json"
	"net/http"

	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// publicFor is how long clients may keep the documents (contract §5.5). A new
// key is published for at least as long before it signs.
const publicFor = "public, max-age=3600"

// jwks is GET /.well-known/jwks.json (contract §5.5), from memory.
func (a *API) jwks(w http.ResponseWriter, r *http.Request) {
	body, etag := a.Keys.Document()
	wire.WriteDocument(w, r, "application/json", publicFor, etag, body)
}

type discovery struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	TokenEndpointAuth     []string `json:"token_endpoint_auth_methods_supported"`
	Scopes                []string `json:"scopes_supported"`
	Claims                []string `json:"claims_supported"`
}

// discovery is GET /.well-known/openid-configuration (contract §5.6).
func (a *API) discovery(w http.ResponseWriter, r *http.Request) {
	iss := base(r.Context())
	body, err := json.Marshal(discovery{
		Issuer: iss, AuthorizationEndpoint: iss + "/login", TokenEndpoint: iss + "/auth/token", JWKSURI: iss + "/.well-known/jwks.json",
		ResponseTypes: []string{"token"}, GrantTypes: []string{"client_credentials"}, SubjectTypes: []string{"public"},
		IDTokenAlgs: []string{"RS256"}, TokenEndpointAuth: []string{"client_secret_post", "client_secret_basic"},
		Scopes: scopes, Claims: []string{"sub", "email", "name", "roles", "aud", "iss", "iat", "exp"},
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteDocument(w, r, "application/json", publicFor, `"`+secret.Fingerprint(body)+`"`, body)
}

// scopes are those that a service token may hold (contract §5.4). Push is not
// among our APIs, but the scope is: an app may ask for it.
var scopes = []string{"push:send", "invites:create", "users:read", "users:create"}
