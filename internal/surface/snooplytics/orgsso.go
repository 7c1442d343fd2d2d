package snooplytics

import (
	"net/http"
	"strings"

	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
	"sallyport/internal/wire"
)

// ssoSettingRoutes are an organization's own provider and its domains, for its owners
// (contract §9.1, §9.2).
func (a *API) ssoSettingRoutes() []route {
	const settings = tenantPath + "/settings/sso"
	const domain = settings + "/domains/{domain}"
	return []route{
		{method: "GET", path: settings, wants: byAny, scope: userWrite, do: tenant((*API).getSSO)},
		{method: "PUT", path: settings, wants: byAny, scope: userWrite, do: tenant((*API).putSSO)},
		{method: "DELETE", path: settings, wants: byAny, scope: userWrite, bare: true, do: tenant((*API).deleteSSO)},
		{method: "GET", path: settings + "/domains", wants: byAny, scope: userWrite, do: tenant((*API).listDomains)},
		{method: "POST", path: settings + "/domains", wants: byAny, scope: userWrite, do: tenant((*API).addDomain)},
		{method: "POST", path: domain + "/verify", wants: byAny, scope: userWrite, bare: true, do: tenant((*API).verifyDomain)},
		{method: "DELETE", path: domain, wants: byAny, scope: userWrite, bare: true, do: tenant((*API).removeDomain)},
	}
}

// connection is an organization's provider on the wire. One that speaks SAML was set up
// on our own pages; this API has OpenID Connect alone.
type connection struct {
	Enabled     bool         `json:"enabled"`
	Provider    string       `json:"provider"`
	Protocol    sso.Kind     `json:"protocol"`
	Issuer      string       `json:"issuer"`
	ClientID    string       `json:"clientId"`
	HasSecret   bool         `json:"hasClientSecret"`
	Scopes      []string     `json:"scopes"`
	JIT         bool         `json:"jitProvisioning"`
	TrustMFA    bool         `json:"trustIdpMfa"`
	RedirectURI string       `json:"redirectUri"`
	LoginURL    string       `json:"loginUrl"`
	Domains     []domainLine `json:"domains"`
	CreatedAt   stamp        `json:"createdAt"`
	UpdatedAt   stamp        `json:"updatedAt"`
}

// domainLine is a domain in the settings.
type domainLine struct {
	Domain     string                  `json:"domain"`
	Status     enterprise.DomainStatus `json:"status"`
	VerifiedAt stamp                   `json:"verifiedAt"`
}

// connectionOf is nil where there is none.
func connectionOf(r *http.Request, v enterprise.View) *connection {
	k := v.Connection
	if k == nil {
		return nil
	}
	return &connection{
		Enabled: k.Enabled, Provider: k.Provider, Protocol: k.Kind, Issuer: k.Issuer, ClientID: k.ClientID, HasSecret: v.HasSecret,
		Scopes: append([]string{}, k.Scopes...), JIT: k.JIT, TrustMFA: k.TrustMFA,
		RedirectURI: base(r.Context()) + callbackPath, LoginURL: loginURL(r, v.Org.Slug),
		Domains:   viewsOf(v.Domains, func(d enterprise.Domain) domainLine { return domainLine{d.Name, d.Status, stamp(d.VerifiedAt)} }),
		CreatedAt: stamp(k.CreatedAt), UpdatedAt: stamp(k.UpdatedAt),
	}
}

// getSSO is GET …/settings/sso: null without a provider.
func (a *API) getSSO(w http.ResponseWriter, r *http.Request, c *call) error {
	v, err := a.Enterprise.View(r.Context(), c.actor(r), c.org)
	if err != nil {
		return err
	}
	return done(w, connectionOf(r, v))
}

// Bounds of a provider's own words (contract §9.1).
const (
	maxClientID     = 512
	maxClientSecret = 4096
	maxScopes       = 20
)

// choice reads a boolean, nil where nothing is said.
func (in *input) choice(name string) *bool {
	if v, said := in.body.OptBool(name); said {
		return &v
	}
	return nil
}

// putSSO is PUT …/settings/sso. What the provider publishes is read before anything is
// stored.
func (a *API) putSSO(w http.ResponseWriter, r *http.Request, c *call) error {
	in := enterprise.ConnectionIn{
		Kind: sso.OIDC, Provider: c.text("provider", wire.Required, wire.Max(maxName)), Issuer: c.text("issuer", wire.Required, wire.Max(maxURL)),
		ClientID: c.text("clientId", wire.Required, wire.Max(maxClientID)), Secret: secret.Value(c.text("clientSecret", wire.Max(maxClientSecret))),
		Scopes: c.body.Strings("scopes", wire.Max(maxScopes)), Enabled: c.choice("enabled"), JIT: c.choice("jitProvisioning"), TrustMFA: c.choice("trustIdpMfa"),
		Confirm: c.body.Bool("confirmIssuerChange"),
	}
	switch in.Provider {
	case "", sso.Okta, sso.AzureAD, sso.Google, sso.Generic:
	default:
		c.wrong("provider", "Invalid provider")
	}
	if err := c.err(); err != nil {
		return err
	}
	v, err := a.Enterprise.SetConnection(r.Context(), c.actor(r), c.org, in)
	if err != nil {
		return connectionFault(err)
	}
	return done(w, connectionOf(r, v))
}

// connectionFault says what is wrong with a provider by the field's name on this wire.
func connectionFault(err error) error {
	f, ok := fault.From(err)
	switch {
	case !ok:
		return err
	case f.Code == fault.OrgHolds:
		return refuse("CONFLICT").saying("People are linked by this issuer: confirm that they are to be unlinked by confirmIssuerChange").because(err)
	case f.Code == fault.IssuerInvalid && len(f.Params) > 0:
		return badField("issuer", "Invalid issuer: "+strings.ReplaceAll(f.Params[0], "_", " ")).because(err)
	case f.Code == fault.FieldInvalid:
		name := map[string]string{"client_id": "clientId", "client_secret": "clientSecret"}[f.Field]
		if name == "" {
			name = f.Field
		}
		return badField(name, "Invalid "+name).because(err)
	}
	return err
}

// deleteSSO is DELETE …/settings/sso.
func (a *API) deleteSSO(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Enterprise.RemoveConnection(r.Context(), c.actor(r), c.org); err != nil {
		return err
	}
	return done(w, nil)
}

// record is what shows whose a domain is.
type record struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// domain is one that an organization claims (contract §9.2).
type domain struct {
	Domain       string                  `json:"domain"`
	Status       enterprise.DomainStatus `json:"status"`
	Verification record                  `json:"verification"`
	VerifiedAt   stamp                   `json:"verifiedAt"`
	ExpiresAt    stamp                   `json:"expiresAt"`
}

func domainOf(d enterprise.Domain) domain {
	v := domain{Domain: d.Name, Status: d.Status, Verification: record(d.Record), VerifiedAt: stamp(d.VerifiedAt)}
	if d.VerifiedAt.IsZero() {
		v.ExpiresAt = stamp(d.ExpiresAt)
	}
	return v
}

// listDomains is GET …/settings/sso/domains, all of them: there are few.
func (a *API) listDomains(w http.ResponseWriter, r *http.Request, c *call) error {
	all, err := a.Enterprise.Domains(r.Context(), c.actor(r), c.org)
	if err != nil {
		return err
	}
	return list(w, viewsOf(all, domainOf), len(all), page{limit: max(len(all), 20)})
}

// addDomain is POST …/settings/sso/domains. That another organization has a domain
// shows when it is to be verified.
func (a *API) addDomain(w http.ResponseWriter, r *http.Request, c *call) error {
	name := c.text("domain", wire.Required, wire.Max(maxEmail))
	if err := c.err(); err != nil {
		return err
	}
	d, err := a.Enterprise.AddDomain(r.Context(), c.actor(r), c.org, name)
	if err != nil {
		return err
	}
	return doneAs(w, http.StatusCreated, completed, domainOf(d))
}

// verifyDomain is POST …/settings/sso/domains/{domain}/verify.
func (a *API) verifyDomain(w http.ResponseWriter, r *http.Request, c *call) error {
	d, err := a.Enterprise.VerifyDomain(r.Context(), c.actor(r), c.org, r.PathValue("domain"))
	if f, ok := fault.From(err); ok && f.Code == fault.DomainUnproven && len(f.Params) > 0 {
		return refuse("DOMAIN_VERIFICATION_FAILED").with(unproven{f.Params[0], append([]string{}, f.Params[1:]...)}).because(err)
	} else if err != nil {
		return err
	}
	return done(w, domainOf(d))
}

// unproven says why a domain is not verified, and which records are there.
type unproven struct {
	Reason string   `json:"reason"`
	Found  []string `json:"found"`
}

// removeDomain is DELETE …/settings/sso/domains/{domain}.
func (a *API) removeDomain(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Enterprise.RemoveDomain(r.Context(), c.actor(r), c.org, r.PathValue("domain")); err != nil {
		return err
	}
	return done(w, nil)
}
