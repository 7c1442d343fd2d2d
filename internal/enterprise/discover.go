package enterprise

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/outbound"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
)

// Why what a provider publishes does not fit, as the first parameter of
// fault.IssuerInvalid; what is specific about it follows.
const (
	IssuerUnreachable = "unreachable"     // nobody answers there
	IssuerTLS         = "tls"             // its certificate for the web is not to be trusted
	IssuerStatus      = "status"          // and the status
	IssuerTooLarge    = "too_large"       // more than we read
	IssuerNotJSON     = "not_json"        //
	IssuerDiffers     = "issuer_differs"  // and what it calls itself
	IssuerEndpoints   = "no_endpoints"    // and which one it lacks, or has where it cannot be
	IssuerPrivate     = "private_address" // in a network that we do not ask in
	IssuerNotHTTPS    = "not_https"       //
	IssuerBadURL      = "bad_url"         //
	IssuerShared      = "shared_issuer"   // of everybody's accounts and not of one customer's
	IssuerKeys        = "no_keys"         // its keys cannot be read
	IssuerSAML        = "saml"            // and saml.Reason, and the sentence for it
	IssuerExpired     = "expired_certificate"
)

func issuerInvalid(field, why string, params ...string) *fault.Error {
	return &fault.Error{Code: fault.IssuerInvalid, Field: field, Params: append([]string{why}, params...)}
}

const googleIssuer = "https://accounts.google.com"

var providers = []string{sso.Okta, sso.AzureAD, sso.Google, sso.Generic}

// nextOIDC completes a connection that speaks OpenID Connect.
func (c *Core) nextOIDC(ctx context.Context, n *sso.Connection, in ConnectionIn) error {
	issuer := strings.TrimSpace(in.Issuer)
	clientID := strings.TrimSpace(in.ClientID)
	switch {
	case !slices.Contains(providers, in.Provider):
		return invalid("provider")
	case issuer == "":
		return invalid("issuer")
	case clientID == "" || len(clientID) > maxClientID || !printable(clientID):
		return invalid("client_id")
	case len(in.Secret) > maxSecret || !printable(in.Secret.Reveal()):
		return invalid("client_secret")
	}
	// A secret proves us to the provider that it is of: it is not kept for another,
	// who would read it in our first request.
	if in.Secret == "" && (n.Secret == "" || n.Issuer != issuer || n.ClientID != clientID) {
		return invalid("client_secret")
	}
	if in.Secret != "" {
		n.Secret = in.Secret
	}
	if err := scopesOf(n, in.Scopes); err != nil {
		return err
	}
	if err := c.issuer(n, issuer); err != nil {
		return err
	}
	n.Issuer, n.ClientID = issuer, clientID
	if err := c.discover(ctx, issuer); err != nil {
		return err
	}
	// By the way that a sign-in takes, too, with the keys.
	if err := c.Broker.Check(ctx, n.Upstream()); err != nil {
		return unreadable("issuer", IssuerKeys, err)
	}
	return nil
}

// printable reports whether s is of what credentials are made (RFC 6749 §A).
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func scopesOf(n *sso.Connection, want []string) error {
	if want == nil {
		if len(n.Scopes) == 0 {
			n.Scopes = []string{"openid", "profile", "email"}
		}
		return nil
	}
	for _, s := range want {
		if s == "" || len(s) > maxWord || !printable(s) || strings.ContainsAny(s, ` "\`) {
			return invalid("scopes")
		}
	}
	if len(want) > maxScopes || !slices.Contains(want, "openid") {
		return invalid("scopes")
	}
	n.Scopes = slices.Clone(want)
	return nil
}

// issuer judges the name of an issuer before anybody is asked. One of Microsoft's or
// Google's is that, whatever the connection calls it: both sign in people of everybody,
// and there is more to be judged by.
func (c *Core) issuer(n *sso.Connection, issuer string) error {
	u, err := outbound.CheckURL(issuer, c.Outbound)
	if err != nil {
		return refusedURL("issuer", err)
	}
	if u.RawQuery != "" || u.ForceQuery {
		return issuerInvalid("issuer", IssuerBadURL)
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case strings.HasPrefix(host, "login.microsoftonline.") || strings.HasPrefix(host, "login.partner.microsoftonline.") || host == "sts.windows.net" || n.Provider == sso.AzureAD:
		n.Provider = sso.AzureAD
		if !tenantIssuer(u) {
			return issuerInvalid("issuer", IssuerShared)
		}
	case strings.TrimSuffix(issuer, "/") == googleIssuer, n.Provider == sso.Google:
		n.Provider = sso.Google
		if strings.HasSuffix(host, ".google.com") && issuer != googleIssuer {
			return issuerInvalid("issuer", IssuerDiffers, googleIssuer)
		}
	}
	return nil
}

// personalTenant is the one of Microsoft's that all personal accounts are in.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenantIssuer reports whether an issuer of Entra's is one tenant's: …/{tenant}/v2.0.
func tenantIssuer(u *url.URL) bool {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	tenant, isID := identity.ParseID(parts[0])
	return len(parts) == 2 && parts[1] == "v2.0" && isID && tenant != personalTenant
}

// maxDiscovery bounds the metadata of an issuer.
const maxDiscovery = 256 << 10

// discover reads what an issuer publishes about itself, and says what is wrong with it
// more exactly than a sign-in needs to know (OpenID Connect Discovery §4.3).
func (c *Core) discover(ctx context.Context, issuer string) error {
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	body, err := c.Documents.Get(ctx, at, outbound.Fetch{MaxBytes: maxDiscovery, Accept: "application/json", Fresh: true})
	if err != nil {
		return unreadable("issuer", IssuerUnreachable, err)
	}
	var m openid.Metadata
	if json.Unmarshal(body, &m) != nil {
		return issuerInvalid("issuer", IssuerNotJSON)
	}
	if m.Issuer != issuer {
		return issuerInvalid("issuer", IssuerDiffers, clean(m.Issuer))
	}
	for _, one := range []struct{ name, at string }{{"authorization_endpoint", m.Authorization}, {"token_endpoint", m.Token}, {"jwks_uri", m.Keys}} {
		if one.at == "" {
			return issuerInvalid("issuer", IssuerEndpoints, one.name)
		}
		if _, err := outbound.CheckURL(one.at, c.Outbound); err != nil {
			return issuerInvalid("issuer", IssuerEndpoints, one.name)
		}
	}
	return nil
}

// refusedURL says why an address is not asked.
func refusedURL(field string, err error) *fault.Error {
	if _, ok := errors.AsType[*outbound.Refused](err); ok {
		return issuerInvalid(field, IssuerPrivate)
	}
	if bad, ok := errors.AsType[*outbound.BadURL](err); ok && bad.Reason == "is not https" {
		return issuerInvalid(field, IssuerNotHTTPS)
	}
	return issuerInvalid(field, IssuerBadURL)
}

// unreadable says why a document could not be read; instead is the word where nothing
// better is known.
func unreadable(field, instead string, err error) *fault.Error {
	out := whyUnreadable(field, instead, err)
	out.Err = err
	return out
}

func whyUnreadable(field, instead string, err error) *fault.Error {
	if _, ok := errors.AsType[*outbound.Refused](err); ok {
		return issuerInvalid(field, IssuerPrivate)
	}
	if _, ok := errors.AsType[*outbound.BadURL](err); ok {
		return refusedURL(field, err)
	}
	if no, ok := errors.AsType[*outbound.NoDocument](err); ok {
		return issuerInvalid(field, IssuerStatus, strconv.Itoa(no.Status))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return issuerInvalid(field, IssuerTLS)
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, outbound.ErrBusy) {
		return &fault.Error{Code: fault.UpstreamUnreachable, Field: field}
	}
	if errors.Is(err, outbound.ErrTooLarge) {
		return issuerInvalid(field, IssuerTooLarge)
	}
	return issuerInvalid(field, instead)
}

// nextSAML completes a connection that speaks SAML.
func (c *Core) nextSAML(ctx context.Context, n *sso.Connection, in ConnectionIn) error {
	if !word(in.Provider, 1) {
		return invalid("provider")
	}
	assign(&n.IdPInitiated, in.IdPInitiated)
	assign(&n.SignRequests, in.SignRequests)
	assign(&n.WantEncrypted, in.WantEncrypted)
	assign(&n.NameIDFormat, in.NameIDFormat)
	if f := n.NameIDFormat; f != "" && f != saml.FormatPersistent && f != saml.FormatEmail && f != saml.FormatUnspecified {
		return invalid("name_id_format")
	}
	if err := c.described(ctx, n, in); err != nil {
		return err
	}
	if n.Issuer == "" || n.SignOnURL == "" || len(n.Certificates) == 0 {
		return invalid(cmp.Or(lacking(n), "metadata"))
	}
	if end, err := lastEnd(n.Certificates); err != nil || !c.Now().Before(end) {
		return &fault.Error{Code: fault.IssuerInvalid, Field: "metadata", Params: []string{IssuerExpired, end.Format("2006-01-02")}, Err: err}
	}
	if len(n.Keys) > 0 {
		return nil
	}
	pair, err := saml.NewKeyPair("Sallyport "+string(n.OrgID), c.Now())
	n.Keys = []sso.KeyPair{pair}
	return err
}

// lacking is the field that a connection by hand has not got.
func lacking(n *sso.Connection) string {
	switch {
	case n.Issuer == "" && n.SignOnURL == "" && len(n.Certificates) == 0:
		return ""
	case n.Issuer == "":
		return "issuer"
	case n.SignOnURL == "":
		return "sign_on_url"
	}
	return "certificate"
}

// described takes over what metadata say, or what was written by hand.
func (c *Core) described(ctx context.Context, n *sso.Connection, in ConnectionIn) error {
	body := in.Metadata
	switch {
	case in.MetadataURL != "":
		at := strings.TrimSpace(in.MetadataURL)
		var err error
		if body, err = c.metadataAt(ctx, at); err != nil {
			return err
		}
		n.MetadataURL = at
	case len(body) > 0:
		n.MetadataURL = ""
	default:
		return byHand(n, in)
	}
	d, err := saml.ParseMetadata(body, strings.TrimSpace(in.Issuer), c.Now())
	if err != nil {
		return refusedSAML("metadata", err)
	}
	describe(n, d)
	return nil
}

func (c *Core) metadataAt(ctx context.Context, at string) ([]byte, error) {
	if _, err := outbound.CheckURL(at, c.Outbound); err != nil {
		return nil, refusedURL("metadata", err)
	}
	body, err := c.Documents.Get(ctx, at, outbound.Fetch{MaxBytes: saml.MaxMetadata, Accept: "application/samlmetadata+xml, application/xml, text/xml", Fresh: true})
	if err != nil {
		return nil, unreadable("metadata", IssuerUnreachable, err)
	}
	return body, nil
}

// describe takes over what metadata say: keys that they do not have any more are not
// believed any more.
func describe(n *sso.Connection, d saml.Described) {
	n.Issuer, n.SignOnURL, n.SignOnBinding, n.LogoutURL, n.Certificates = d.EntityID, d.SignOnURL, d.SignOnBinding, d.LogoutURL, d.Certificates
	n.LogoutBinding = d.LogoutBinding
	n.SignRequests = n.SignRequests || d.RequestsSigned
}

// byHand takes over what was written without metadata. What is left out stays.
func byHand(n *sso.Connection, in ConnectionIn) error {
	issuer := strings.TrimSpace(in.Issuer)
	if issuer == "" && in.SignOnURL == "" && len(in.Certificates) == 0 {
		return nil
	}
	certificates, err := certificatesOf(in.Certificates)
	if err != nil {
		return err
	}
	n.MetadataURL, n.SignOnBinding, n.LogoutBinding = "", saml.Redirect, saml.Redirect
	n.Issuer = cmp.Or(issuer, n.Issuer)
	n.SignOnURL, n.LogoutURL = cmp.Or(strings.TrimSpace(in.SignOnURL), n.SignOnURL), strings.TrimSpace(in.LogoutURL)
	if len(certificates) > 0 {
		n.Certificates = certificates
	}
	if !word(n.Issuer, 1) && len(n.Issuer) <= 1024 {
		return invalid("issuer")
	}
	for field, at := range map[string]string{"sign_on_url": n.SignOnURL, "logout_url": n.LogoutURL} {
		if at != "" && saml.CheckAddress(at) != nil {
			return invalid(field)
		}
	}
	return nil
}

func refusedSAML(field string, err error) error {
	f, ok := errors.AsType[*saml.Failure](err)
	if !ok {
		return err
	}
	return &fault.Error{Code: fault.IssuerInvalid, Field: field, Params: []string{IssuerSAML, string(f.Reason), f.Words()}, Err: err}
}
