package oauth

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/outbound"
	"sallyport/internal/token"
)

// registrant is what somebody who describes a client may have. A trusted one
// holds a token for registering clients; a document is public, so that no secret
// can belong to it. keeps are the grant types that the client has already, and
// scopes those that it may get besides OpenID Connect's.
type registrant struct {
	trusted  bool
	document bool
	keeps    []string
	scopes   []string
}

// describe reads client metadata, fills in defaults and checks that all of it
// may be registered by who. It may read the sector identifier from its owner, so
// it is not called in a transaction. Fails with an *Error.
func (c *Core) describe(ctx context.Context, m *members, who registrant) (Metadata, error) {
	md := m.metadata()
	if m.err != nil {
		return Metadata{}, m.err
	}
	if who.document && md.TokenEndpointAuth == "" {
		md.TokenEndpointAuth = client.AuthNone
	} else if md.TokenEndpointAuth == "" {
		md.TokenEndpointAuth = client.AuthSecretBasic // RFC 7591 §2
	}
	md.defaults()
	md.Scope = registrable(md.Scope, who.scopes)
	for _, check := range []func(*Metadata, registrant) error{checkGrants, checkRedirects, checkAuthentication, checkRequests} {
		if err := check(&md, who); err != nil {
			return Metadata{}, err
		}
	}
	if err := c.checkEndpoints(&md); err != nil {
		return Metadata{}, err
	}
	return md, c.checkSector(ctx, &md)
}

func badMetadata(description string) error { return refuse(InvalidClientMetadata, description) }

// registrable are the scopes that a client gets of those it asks for, all of
// them if it names none (RFC 7591 §2).
func registrable(asked string, extra []string) string {
	all := without(slices.Concat(Scopes, extra), []string{ScopeRegister}) // or it could register more
	if names := strings.Fields(asked); len(names) > 0 {
		all = slices.DeleteFunc(all, func(s string) bool { return !slices.Contains(names, s) })
	}
	return strings.Join(all, " ")
}

// checkGrants: a client of a stranger acts for people only; what acts for itself
// or passes tokens on is somebody's whom the operator trusts.
func checkGrants(md *Metadata, who registrant) error {
	known := append([]string{client.GrantCode, client.GrantRefresh, client.GrantDevice}, who.keeps...)
	if who.trusted {
		known = append(known, client.GrantClientCredentials, client.GrantTokenExchange)
	}
	md.GrantTypes = without(md.GrantTypes, nil)
	for _, g := range md.GrantTypes {
		if !slices.Contains(known, g) {
			return badMetadata("grant_types has " + g + ", which this client cannot have")
		}
	}
	if len(md.GrantTypes) == 0 || slices.Equal(md.GrantTypes, []string{client.GrantRefresh}) {
		return badMetadata("grant_types has none that gives tokens")
	}
	md.ResponseTypes = append([]string{}, without(md.ResponseTypes, nil)...) // a list, if an empty one
	code := slices.Contains(md.GrantTypes, client.GrantCode)
	if slices.ContainsFunc(md.ResponseTypes, func(s string) bool { return s != "code" }) {
		return badMetadata("response_types has another than code (OAuth 2.1)")
	}
	if code != (len(md.ResponseTypes) == 1) {
		return badMetadata("response_types does not fit grant_types")
	}
	if slices.Contains(md.GrantTypes, client.GrantClientCredentials) && md.TokenEndpointAuth == client.AuthNone {
		return badMetadata("grant_types has client_credentials, but the client does not authenticate")
	}
	return nil
}

// ofWeb reports whether a redirect URI is one that only the application's own
// site receives: https, and not at the user's machine.
func ofWeb(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && !client.Loopback(u.Hostname())
}

// checkRedirects holds the URIs to the application's type (OpenID Connect
// Registration §2, RFC 8252 §7, §8.4): those of a web application are of the
// web. A wildcard would be taken literally, and never fit.
func checkRedirects(md *Metadata, _ registrant) error {
	if len(md.RedirectURIs) == 0 && slices.Contains(md.GrantTypes, client.GrantCode) {
		return refuse(InvalidRedirectURI, "redirect_uris is missing")
	}
	for _, list := range []struct {
		name string
		uris []string
	}{{"redirect_uris", md.RedirectURIs}, {"post_logout_redirect_uris", md.PostLogoutRedirectURIs}} {
		for _, raw := range list.uris {
			why := ""
			switch u, err := url.Parse(raw); {
			case err != nil || client.CheckRedirectURI(raw) != nil:
				why = "an address that is not https, http on a loopback host, or an application's own scheme with a dot"
			case strings.Contains(u.Host, "*"):
				why = "a wildcard"
			case md.ApplicationType == "web" && !ofWeb(raw):
				why = "an address that only a native application may have"
			default:
				continue
			}
			code := InvalidRedirectURI
			if list.name != "redirect_uris" {
				code = InvalidClientMetadata
			}
			return refuse(code, list.name+" has "+why)
		}
	}
	return nil
}

// secretMethods are the methods by a secret. client_secret_jwt is left to the
// operator's clients: its secret cannot be kept as a hash.
var secretMethods = []string{client.AuthSecretBasic, client.AuthSecretPost}

func usesSecret(method string) bool { return slices.Contains(secretMethods, method) }

// checkAuthentication: a method has what it needs, and keys are public and given
// in one way (RFC 7591 §2).
func checkAuthentication(md *Metadata, who registrant) error {
	known := []string{client.AuthNone, client.AuthPrivateKeyJWT, client.AuthTLS, client.AuthSelfSignedTLS}
	if !who.document {
		known = append(known, secretMethods...)
	}
	if !slices.Contains(known, md.TokenEndpointAuth) {
		return badMetadata("token_endpoint_auth_method is none of " + strings.Join(known, ", "))
	}
	if md.JWKS != nil && md.JWKSURI != "" {
		return badMetadata("jwks and jwks_uri are both given")
	}
	var keys token.KeySet
	if md.JWKS != nil {
		var err error
		if keys, err = token.ParseKeySet(md.JWKS); err != nil {
			return &Error{Code: InvalidClientMetadata, Description: "jwks is not a set of public keys: " + keyReason(err), Err: err}
		}
	}
	switch md.TokenEndpointAuth {
	case client.AuthPrivateKeyJWT, client.AuthSelfSignedTLS:
		if md.JWKSURI == "" && keys.Len() == 0 {
			return badMetadata("token_endpoint_auth_method needs jwks or jwks_uri with a key for signatures")
		}
	case client.AuthTLS:
		if md.TLSSubjectDN == "" {
			return badMetadata("token_endpoint_auth_method needs tls_client_auth_subject_dn")
		}
	}
	if alg := md.TokenEndpointAuthAlg; alg != "" && keys.Len() > 0 && md.TokenEndpointAuth == client.AuthPrivateKeyJWT && !keys.Signs(alg) {
		return badMetadata("jwks has no key for token_endpoint_auth_signing_alg")
	}
	return nil
}

// keyReason is what a client's developer may read of a refused key set.
func keyReason(err error) string {
	_, why, _ := strings.Cut(err.Error(), token.ErrKeySet.Error()+": ")
	return why
}

// checkRequests: signed requests have keys to be verified by, and are found at
// addresses that are known (OpenID Connect Core §6.2).
func checkRequests(md *Metadata, _ registrant) error {
	if (md.RequireSignedRequest || md.RequestObjectAlg != "") && md.JWKS == nil && md.JWKSURI == "" {
		return badMetadata("signed requests need jwks or jwks_uri")
	}
	return nil
}

// checkEndpoints holds addresses that we are to call to what we call (package
// outbound). Where a name leads is judged when it is called.
func (c *Core) checkEndpoints(md *Metadata) error {
	all := map[string][]string{"request_uris": md.RequestURIs}
	for name, raw := range map[string]string{
		"jwks_uri": md.JWKSURI, "sector_identifier_uri": md.SectorIdentifierURI, "backchannel_logout_uri": md.BackchannelLogoutURI,
	} {
		if raw != "" {
			all[name] = []string{raw}
		}
	}
	for name, uris := range all {
		for _, raw := range uris {
			if name == "request_uris" {
				raw, _, _ = strings.Cut(raw, "#") // a hash of what is there (OpenID Connect Core §6.2)
			}
			if err := c.Documents.Check(raw); err != nil {
				return &Error{Code: InvalidClientMetadata, Description: name + " is not an https URL that may be called", Err: err}
			}
		}
	}
	return nil
}

// maxSector bounds a sector's document.
const maxSector = 32 << 10

// checkSector: whoever knows people by a name of a sector is of that sector. The
// sector's host says so itself, in a list that holds all of the client's
// redirect URIs (OpenID Connect Core §8.1, Registration §5).
func (c *Core) checkSector(ctx context.Context, md *Metadata) error {
	if md.SectorIdentifierURI == "" {
		if md.SubjectType == client.SubjectPairwise && len(hosts(md.RedirectURIs)) > 1 {
			return badMetadata("redirect_uris has several hosts, so that subject_type pairwise needs sector_identifier_uri")
		}
		return nil
	}
	raw, err := c.Documents.Get(ctx, md.SectorIdentifierURI, outbound.Fetch{MaxBytes: maxSector, Accept: "application/json", Fresh: true})
	if err != nil {
		return &Error{Code: InvalidClientMetadata, Description: "sector_identifier_uri could not be read", Err: err}
	}
	var listed []string
	if err := json.Unmarshal(raw, &listed); err != nil {
		return badMetadata("sector_identifier_uri is not a list of URIs")
	}
	for _, uri := range md.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return badMetadata("sector_identifier_uri does not list all of redirect_uris")
		}
	}
	return nil
}

func hosts(uris []string) []string {
	var all []string
	for _, raw := range uris {
		if u, err := url.Parse(raw); err == nil && !slices.Contains(all, u.Host) {
			all = append(all, u.Host)
		}
	}
	return all
}
