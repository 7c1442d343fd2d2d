package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sallyport/internal/admin"
	"sallyport/internal/enterprise"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/sso"
	"sallyport/internal/wire"
)

// orgRoutes are how organizations sign their own people in.
func (a *API) orgRoutes(api huma.API) {
	op := func(method, id, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: "/admin/v1/orgs" + path, Tags: []string{"Organizations"}, Summary: summary, Description: description,
			MaxBodyBytes: wire.MaxBody, Errors: []int{400, 401, 403, 404, 409, 422, 429, 502, 503},
		}
	}
	get, put, post, remove := http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	huma.Register(api, op(get, "list-orgs", "", "Organizations", "Oldest first."), a.orgs)
	huma.Register(api, op(get, "show-sso", "/{org}/sso", "The sign-in of an organization", "Its provider, domains, policy and directory. No secret is shown."), a.sso)
	huma.Register(api, op(put, "set-sso", "/{org}/sso", "Set its provider up, or change it",
		"What the provider publishes is read before anything is stored. What is left out stays. Another issuer, or of SAML none of the certificates that there were, drops the links to the one before: confirm that."), a.setSSO)
	huma.Register(api, op(remove, "remove-sso", "/{org}/sso", "Remove its provider", "Who was signed in by it is signed out."), a.removeSSO)
	huma.Register(api, op(post, "add-sso-key", "/{org}/sso/keys", "Make a new key pair for its SAML provider",
		"Beside the one that there is, which goes on signing until it is ended; both open what is encrypted to them, and the metadata of ours show both."), a.addKey)
	huma.Register(api, op(remove, "end-sso-key", "/{org}/sso/keys/{key}", "End a key pair of ours", "The other one signs from now on."), a.endKey)
	huma.Register(api, op(put, "set-sign-in", "/{org}/policy", "How its members must sign in", ""), a.setSignIn)
	huma.Register(api, op(post, "claim-domain", "/{org}/domains", "Claim a domain, or prove it",
		"Answers with the TXT record that proves the domain. With verify the record is looked for."), a.claim)
	huma.Register(api, op(remove, "remove-domain", "/{org}/domains/{domain}", "Take a claim back", "Nobody is sent to the organization's provider for an address there any more."), a.disclaim)
	huma.Register(api, op(get, "list-setup-links", "/{org}/setup-links", "Its set-up links", ""), a.setupLinks)
	huma.Register(api, op(post, "make-setup-link", "/{org}/setup-links", "Make a set-up link",
		"For the customer's administrator, who needs no account: it opens the page that sets all this up. Shown this once; the one before ends."), a.makeSetupLink)
	huma.Register(api, op(remove, "end-setup-link", "/{org}/setup-links/{link}", "End a set-up link", "Also for who has its page open."), a.endSetupLink)
	huma.Register(api, op(put, "set-directory", "/{org}/directory", "Switch its directory (SCIM) on or off",
		"On makes a token for it, shown this once, beside those that there are; off ends all of them."), a.setDirectory)
}

type orgShown struct {
	ID     org.ID     `json:"id" format:"uuid"`
	Slug   string     `json:"slug"`
	Name   string     `json:"name"`
	Status org.Status `json:"status"`
	SignIn org.SignIn `json:"sign_in" enum:"any,mfa,sso" doc:"How its members must sign in"`
	Glass  bool       `json:"break_glass" doc:"An owner with a second factor comes in without its provider"`
}

func orgOf(o org.Org) orgShown {
	return orgShown{ID: o.ID, Slug: o.Slug, Name: o.Name, Status: o.Status, SignIn: o.SignIn, Glass: o.BreakGlass}
}

type orgsIn struct {
	Search string `query:"search" maxLength:"200" doc:"In whose name or slug this is"`
	Page   int    `query:"page" minimum:"1" maximum:"1048576" default:"1"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type orgsOut struct {
	Body struct {
		Orgs  []orgShown `json:"orgs" nullable:"false"`
		Total int        `json:"total"`
		Page  int        `json:"page"`
		Limit int        `json:"limit"`
	}
}

func (a *API) orgs(ctx context.Context, in *orgsIn) (*orgsOut, error) {
	all, total, err := a.Admin.Orgs(ctx, caller(ctx), in.Search, admin.Page{Number: min(in.Page, maxPage), Size: in.Limit})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &orgsOut{}
	out.Body.Orgs = make([]orgShown, len(all))
	for i, o := range all {
		out.Body.Orgs[i] = orgOf(o)
	}
	out.Body.Total, out.Body.Page, out.Body.Limit = total, in.Page, in.Limit
	return out, nil
}

// orgIn names an organization.
type orgIn struct {
	Org string `path:"org" maxLength:"63" doc:"Its id or slug"`
}

// in runs fn for the operator in an organization.
func (a *API) in(ctx context.Context, name string, fn func(enterprise.Actor, org.ID) error) error {
	who := caller(ctx)
	o, err := a.Admin.Org(ctx, who, name)
	if err == nil {
		err = fn(enterprise.Actor{Operator: "admin:" + string(who.UserID), IP: who.IP, RequestID: who.RequestID, Base: who.Base}, o.ID)
	}
	if err != nil {
		return a.problem(ctx, err)
	}
	return nil
}

// connection is a provider, without what is secret.
type connection struct {
	Kind          sso.Kind       `json:"kind" enum:"oidc,saml"`
	Provider      string         `json:"provider"`
	Enabled       bool           `json:"enabled"`
	JIT           bool           `json:"jit" doc:"Somebody new with an address of the organization is taken in"`
	TrustMFA      bool           `json:"trust_mfa" doc:"Who comes by it counts as having proved two factors"`
	Issuer        string         `json:"issuer" doc:"Of SAML the entity id"`
	ClientID      string         `json:"client_id,omitempty"`
	HasSecret     bool           `json:"has_client_secret"`
	Scopes        []string       `json:"scopes,omitempty"`
	MetadataURL   string         `json:"metadata_url,omitempty"`
	SignOnURL     string         `json:"sign_on_url,omitempty"`
	LogoutURL     string         `json:"logout_url,omitempty"`
	Certificates  [][]byte       `json:"certificates,omitempty" doc:"DER, in Base64"`
	IdPInitiated  bool           `json:"idp_initiated"`
	SignRequests  bool           `json:"sign_requests"`
	WantEncrypted bool           `json:"want_encrypted"`
	Keys          []keyShown     `json:"keys,omitempty" doc:"Ours, of SAML: the first signs"`
	Attributes    sso.Attributes `json:"attributes"`
	Roles         []sso.RoleRule `json:"roles" nullable:"false"`
	Revision      int64          `json:"revision"`
	UpdatedAt     time.Time      `json:"updated_at"`
}

func connectionOf(v enterprise.View) *connection {
	c := v.Connection
	if c == nil {
		return nil
	}
	out := &connection{
		Kind: c.Kind, Provider: c.Provider, Enabled: c.Enabled, JIT: c.JIT, TrustMFA: c.TrustMFA, Issuer: c.Issuer, ClientID: c.ClientID, HasSecret: v.HasSecret,
		Scopes: c.Scopes, MetadataURL: c.MetadataURL, SignOnURL: c.SignOnURL, LogoutURL: c.LogoutURL, Certificates: c.Certificates,
		IdPInitiated: c.IdPInitiated, SignRequests: c.SignRequests, WantEncrypted: c.WantEncrypted, Attributes: c.Attributes, Roles: c.Roles,
		Revision: c.Revision, UpdatedAt: c.UpdatedAt,
	}
	for _, k := range c.Keys {
		out.Keys = append(out.Keys, keyShown{enterprise.KeyID(k), k.Certificate, k.CreatedAt.UTC()})
	}
	if out.Roles == nil {
		out.Roles = []sso.RoleRule{}
	}
	return out
}

type domain struct {
	Name       string                  `json:"name"`
	Status     enterprise.DomainStatus `json:"status" enum:"pending,verified,failed"`
	Record     record                  `json:"record" doc:"What proves it"`
	VerifiedAt *time.Time              `json:"verified_at"`
	ExpiresAt  time.Time               `json:"expires_at" doc:"Until when it may be proved"`
}

type record struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

func domainOf(d enterprise.Domain) domain {
	out := domain{Name: d.Name, Status: d.Status, Record: record(d.Record), ExpiresAt: d.ExpiresAt.UTC()}
	if !d.VerifiedAt.IsZero() {
		out.VerifiedAt = new(d.VerifiedAt.UTC())
	}
	return out
}

type ssoOut struct {
	Body struct {
		Org        orgShown    `json:"org"`
		Connection *connection `json:"connection"`
		Domains    []domain    `json:"domains" nullable:"false"`
		Linked     int         `json:"linked" doc:"How many people have come in by the provider"`
		Directory  int         `json:"directory_tokens" doc:"How many tokens its directory has; none while it is off"`
		Token      string      `json:"token,omitempty" doc:"Of the directory, when it was switched on"`
	}
}

func ssoOf(v enterprise.View) *ssoOut {
	out := &ssoOut{}
	out.Body.Org, out.Body.Connection, out.Body.Linked, out.Body.Directory = orgOf(v.Org), connectionOf(v), v.Linked, len(v.Directory.Tokens)
	out.Body.Domains = make([]domain, len(v.Domains))
	for i, d := range v.Domains {
		out.Body.Domains[i] = domainOf(d)
	}
	return out
}

// view answers with how an organization's sign-in is set up after fn.
func (a *API) view(ctx context.Context, name string, fn func(enterprise.Actor, org.ID) error) (*ssoOut, error) {
	var v enterprise.View
	err := a.in(ctx, name, func(who enterprise.Actor, id org.ID) error {
		err := fn(who, id)
		if err == nil {
			v, err = a.Enterprise.View(ctx, who, id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ssoOf(v), nil
}

func (a *API) sso(ctx context.Context, in *orgIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(enterprise.Actor, org.ID) error { return nil })
}

type setSSOIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Body struct {
		Kind          sso.Kind        `json:"kind" enum:"oidc,saml"`
		Provider      string          `json:"provider" maxLength:"200" doc:"okta, azure_ad, google or oidc; of SAML any name"`
		Enabled       *bool           `json:"enabled,omitempty"`
		JIT           *bool           `json:"jit,omitempty"`
		TrustMFA      *bool           `json:"trust_mfa,omitempty"`
		Issuer        string          `json:"issuer,omitempty" maxLength:"2048"`
		ClientID      string          `json:"client_id,omitempty" maxLength:"512"`
		ClientSecret  string          `json:"client_secret,omitempty" maxLength:"4096" doc:"Left out stays, for the same issuer and client id"`
		Scopes        []string        `json:"scopes,omitempty" maxItems:"20" nullable:"false"`
		MetadataURL   string          `json:"metadata_url,omitempty" maxLength:"2048"`
		Metadata      string          `json:"metadata,omitempty" doc:"XML"`
		SignOnURL     string          `json:"sign_on_url,omitempty" maxLength:"2048"`
		LogoutURL     string          `json:"logout_url,omitempty" maxLength:"2048"`
		Certificates  string          `json:"certificates,omitempty" doc:"PEM"`
		IdPInitiated  *bool           `json:"idp_initiated,omitempty"`
		SignRequests  *bool           `json:"sign_requests,omitempty"`
		WantEncrypted *bool           `json:"want_encrypted,omitempty"`
		NameIDFormat  *string         `json:"name_id_format,omitempty"`
		Attributes    *sso.Attributes `json:"attributes,omitempty"`
		Roles         *[]sso.RoleRule `json:"roles,omitempty"`
		Confirm       bool            `json:"confirm,omitempty"`
	}
}

func (a *API) setSSO(ctx context.Context, in *setSSOIn) (*ssoOut, error) {
	b := in.Body
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		_, err := a.Enterprise.SetConnection(ctx, who, id, enterprise.ConnectionIn{
			Kind: b.Kind, Provider: b.Provider, Enabled: b.Enabled, JIT: b.JIT, TrustMFA: b.TrustMFA, Issuer: b.Issuer, ClientID: b.ClientID,
			Secret: secret.Value(b.ClientSecret), Scopes: b.Scopes, MetadataURL: b.MetadataURL, Metadata: []byte(b.Metadata), SignOnURL: b.SignOnURL,
			LogoutURL: b.LogoutURL, Certificates: []byte(b.Certificates), IdPInitiated: b.IdPInitiated, SignRequests: b.SignRequests,
			WantEncrypted: b.WantEncrypted, NameIDFormat: b.NameIDFormat, Attributes: b.Attributes, Roles: b.Roles, Confirm: b.Confirm,
		})
		return err
	})
}

func (a *API) removeSSO(ctx context.Context, in *orgIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error { return a.Enterprise.RemoveConnection(ctx, who, id) })
}

type setSignInIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Body struct {
		SignIn org.SignIn `json:"sign_in" enum:"any,mfa,sso" doc:"sso wants a provider that is on and a proved domain"`
		Glass  *bool      `json:"break_glass,omitempty" doc:"Whether an owner with a second factor comes in without the provider. Off wants what sso does. Left out stays."`
	}
}

func (a *API) setSignIn(ctx context.Context, in *setSignInIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		_, err := a.Enterprise.SetPolicy(ctx, who, id, in.Body.SignIn, in.Body.Glass)
		return err
	})
}

type setDirectoryIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Body struct {
		On bool `json:"on"`
	}
}

func (a *API) setDirectory(ctx context.Context, in *setDirectoryIn) (*ssoOut, error) {
	token := ""
	out, err := a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) (err error) {
		token, _, err = a.Enterprise.SetDirectory(ctx, who, id, in.Body.On)
		return err
	})
	if err == nil {
		out.Body.Token = token
	}
	return out, err
}
