// Package sso owns how an organization signs its own people in: the one connection
// that it may have to an identity provider of its own, whom that may speak for, and
// which roles its words give. It asks nobody (package upstream does), judges no
// sign-in and links nothing; the domains, by which people find their organization,
// are package org's.
//
//	address ── domain, verified ──▶ organization, open ──▶ connection, enabled   Route
//	slug ──────────────────────────▶ organization, open ──▶ connection           BySlug
//
// To whoever asks a provider a connection is an upstream.Upstream like any other,
// but for three things. Its administrator is a stranger: what it names is fetched
// with the guard on (upstream.Upstream.Guarded). Its word counts in its organization
// alone: what it says of an account is kept under the organization's id (LinkIssuer),
// so that no two can ever assert each other's people, whatever they call themselves.
// And it speaks only for addresses in domains that its organization has proved.
package sso

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

// Kind is the protocol of a connection.
type Kind string

// The kinds.
const (
	OIDC Kind = "oidc"
	SAML Kind = "saml"
)

// The providers whose behaviour differs; all others are only called by their name.
const (
	Okta    = "okta"
	AzureAD = "azure_ad"
	Google  = "google"
	Generic = "oidc"
)

// Connection is an organization's own identity provider. Provider is what pages call
// it. Revision grows with every change of who is asked, and of what their words mean.
type Connection struct {
	OrgID    org.ID
	Kind     Kind
	Provider string
	Enabled  bool
	JIT      bool // somebody new with an address of the organization is taken in
	TrustMFA bool // whoever comes by it has proved two factors, whether or not it says so
	Revision int64

	Issuer   string // of OpenID Connect the issuer, of SAML the entity id
	ClientID string
	Secret   secret.Value
	Scopes   []string

	SignOnURL     string
	SignOnBinding string
	LogoutURL     string
	LogoutBinding string
	MetadataURL   string
	Certificates  [][]byte // DER
	IdPInitiated  bool
	SignRequests  bool
	WantEncrypted bool
	NameIDFormat  string
	Keys          []KeyPair // ours: the first signs, all decrypt

	Attributes Attributes
	Roles      []RoleRule

	CreatedAt time.Time
	UpdatedAt time.Time
}

// KeyPair is one that we sign SAML messages and open encrypted ones with.
type KeyPair = saml.KeyPair

// Attributes are the names of the claims or attributes that say who somebody is; an
// empty one is the usual.
type Attributes struct {
	Email      string `json:"email,omitempty" yaml:"email,omitempty"`
	GivenName  string `json:"given_name,omitempty" yaml:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty" yaml:"family_name,omitempty"`
	Name       string `json:"name,omitempty" yaml:"name,omitempty"`
	Groups     string `json:"groups,omitempty" yaml:"groups,omitempty"`
}

// Key is what the connection of an organization is called among upstreams, and so in
// links, sessions and the audit log. No upstream of the operator's can be named so.
func Key(id org.ID) string { return client.ConnectionPrefix + string(id) }

// OrgOf returns the organization whose connection has a key; false if it is none's.
func OrgOf(key string) (org.ID, bool) {
	id, ok := strings.CutPrefix(key, client.ConnectionPrefix)
	return org.ID(id), ok
}

// LinkIssuer is what accounts at the issuer of an organization's connection are kept
// under. An organization chooses what its provider calls itself: by that alone it
// could claim the accounts of another's.
func LinkIssuer(id org.ID, issuer string) string { return "org:" + string(id) + ":" + issuer }

// Upstream is the connection as a broker asks it. An address of which the provider
// says nothing counts as verified; whether it may speak for it at all is decided by
// the organization's domains.
func (c Connection) Upstream() upstream.Upstream {
	u := upstream.Upstream{
		Key: Key(c.OrgID), Kind: upstream.OIDC, Guarded: true, Secret: c.Secret,
		Settings:  upstream.Settings{Name: Title(c.Provider), ClientID: c.ClientID, Issuer: c.Issuer, Scopes: slices.Clone(c.Scopes), TrustEmail: true},
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if c.Kind == SAML {
		u.Kind = upstream.SAML
		u.SAML = saml.Peer{
			EntityID: c.Issuer, SignOnURL: c.SignOnURL, SignOnBinding: c.SignOnBinding, LogoutURL: c.LogoutURL, LogoutBinding: c.LogoutBinding,
			Certificates: c.Certificates, Keys: c.Keys, SignRequests: c.SignRequests, WantEncrypted: c.WantEncrypted, Unsolicited: c.IdPInitiated,
			NameIDFormat: c.NameIDFormat,
		}
	}
	return u
}

// Title is how pages call a provider.
func Title(provider string) string {
	switch provider {
	case Okta:
		return "Okta"
	case AzureAD:
		return "Microsoft Entra ID"
	case Google:
		return "Google Workspace"
	}
	return "Single sign-on"
}

// Changed reports whether a connection asks another provider than another one does, or
// takes its words for something else: what was begun by the one cannot end in the
// other. Its switches are none of that, because they are judged at the end as they
// stand then.
func (c Connection) Changed(was Connection) bool {
	return c.Kind != was.Kind || c.Issuer != was.Issuer || c.ClientID != was.ClientID || c.SignOnURL != was.SignOnURL ||
		c.NameIDFormat != was.NameIDFormat || c.Attributes != was.Attributes ||
		c.WantEncrypted != was.WantEncrypted || !slices.EqualFunc(c.Certificates, was.Certificates, slices.Equal[[]byte])
}
