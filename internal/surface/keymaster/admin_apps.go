package keymaster

import (
	"net/http"
	"slices"
	"strconv"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// providers are the sign-in methods that this API has words for (contract §6).
// An app may have others, which a change over this API leaves alone.
var providers = []string{"password", "magic_link", "google", "github", "microsoft", "apple"}

// appView is an app (contract §6). The client's secret is only in the answer to
// its making.
type appView struct {
	ID           client.ID           `json:"id"`
	TenantID     *client.TenantID    `json:"tenant_id"`
	Name         string              `json:"name"`
	BundleID     string              `json:"bundle_id"`
	Registration client.Registration `json:"registration_policy"`
	Active       bool                `json:"is_active"`
	Config       configView          `json:"config"`
	CreatedAt    string              `json:"created_at"`
	UpdatedAt    string              `json:"updated_at"`
	Secret       string              `json:"client_secret,omitempty"`
}

type configView struct {
	Providers     []string          `json:"allowed_providers"`
	RedirectURIs  []string          `json:"redirect_uris"`
	Roles         []string          `json:"available_roles"`
	DefaultRoles  []string          `json:"auto_assign_roles"`
	AccessMinutes int               `json:"token_lifetime_minutes"`
	RefreshDays   int               `json:"refresh_lifetime_days"`
	Branding      brandingView      `json:"branding"`
	Notifications notificationsView `json:"notifications"`
	RequireFactor bool              `json:"require_2fa"`
}

type brandingView struct {
	Color      string  `json:"primary_color"`
	LogoURL    *string `json:"logo_url"`
	LogoHeight int     `json:"logo_height"`
}

type notificationsView struct {
	Enabled bool `json:"enabled"`
}

func viewApp(c client.Client, secret string) appView {
	p := c.Policy
	return appView{
		ID: c.ID, TenantID: orNull(c.Tenant.ID), Name: c.Name, BundleID: c.BundleID, Registration: p.Registration, Active: c.Active,
		Config: configView{
			Providers:     slices.DeleteFunc(list(p.Methods), func(m string) bool { return !slices.Contains(providers, m) }),
			RedirectURIs:  list(p.RedirectURIs),
			Roles:         list(p.Roles.Available),
			DefaultRoles:  list(p.Roles.Default),
			AccessMinutes: admin.AccessMinutes(p),
			RefreshDays:   admin.RefreshDays(p),
			Branding:      brandingView{p.Branding.Color, orNull(p.Branding.LogoURL), p.Branding.LogoHeight},
			Notifications: notificationsView{p.Notifications},
			RequireFactor: p.SecondFactor == client.FactorRequired,
		},
		CreatedAt: timestamp(c.CreatedAt), UpdatedAt: timestamp(c.UpdatedAt), Secret: secret,
	}
}

// list is a copy that is never null in JSON.
func list(s []string) []string { return append([]string{}, s...) }

// appChange reads what a body says of an app. What is absent or null stays,
// but branding.logo_url and logo_data, whose null takes the logo away.
func appChange(b *wire.Body) admin.ClientChange {
	in := admin.ClientChange{
		Name: optString(b, "name"), BundleID: optString(b, "bundle_id"), Active: optBool(b, "is_active"),
		MethodsAmong: providers, LogoAt: logoPath,
	}
	if s, given := b.OptString("tenant_id"); given {
		in.Tenant = new(client.TenantID(known(s)))
	}
	if s, given := b.OptString("registration_policy"); given {
		in.Registration = registration(b, s)
	}
	c := b.Object("config")
	in.Methods = c.Strings("allowed_providers")
	for i, m := range in.Methods {
		if !slices.Contains(providers, m) {
			c.Fail("allowed_providers", wire.Invalid, "element "+strconv.Itoa(i)+" is not a known provider")
		}
	}
	in.RedirectURIs = c.Strings("redirect_uris")
	in.Roles, in.DefaultRoles = c.Strings("available_roles"), c.Strings("auto_assign_roles")
	in.AccessMinutes = optInt(c, "token_lifetime_minutes", wire.Min(1), wire.Max(1440))
	in.RefreshDays = optInt(c, "refresh_lifetime_days", wire.Min(1), wire.Max(365))
	in.RequireFactor = optBool(c, "require_2fa")
	in.DropLogo = c.Null("logo_data")
	in.Notifications = optBool(c.Object("notifications"), "enabled")

	g := c.Object("branding")
	in.Color = optString(g, "primary_color")
	in.LogoHeight = optInt(g, "logo_height", wire.Min(1), wire.Max(1000))
	if in.LogoURL = optString(g, "logo_url"); g.Null("logo_url") {
		in.LogoURL = new("")
	}
	return in
}

// registration reads a registration policy; "invite_only" is another word for
// "invite" (contract §1.6).
func registration(b *wire.Body, s string) *client.Registration {
	switch s {
	case "invite_only":
		return new(client.Invite)
	case string(client.Open), string(client.Approval), string(client.Invite):
		return new(client.Registration(s))
	}
	b.Fail("registration_policy", wire.Invalid, "must be open, approval or invite")
	return nil
}

func optString(b *wire.Body, name string) *string {
	if s, given := b.OptString(name); given {
		return &s
	}
	return nil
}

func optInt(b *wire.Body, name string, rules ...wire.Rule) *int {
	if n, given := b.OptInt(name, rules...); given {
		return &n
	}
	return nil
}

func optBool(b *wire.Body, name string) *bool {
	if v, given := b.OptBool(name); given {
		return &v
	}
	return nil
}

// createApp is POST /admin/apps.
func (a *API) createApp(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusCreated, func(who admin.Caller, b *wire.Body) (any, error) {
		in := appChange(b)
		b.String("name", wire.Required)
		if err := b.Err(); err != nil {
			return nil, err
		}
		made, secret, err := a.Admin.CreateClient(r.Context(), who, in)
		return viewApp(made, secret), err
	})
}

// known is an id in canonical form. One that is no UUID stays as it is, and is
// found nowhere.
func known(id string) string {
	if canonical, ok := identity.ParseID(id); ok {
		return canonical
	}
	return id
}

// updateApp is PUT /admin/apps/{app_id}.
func (a *API) updateApp(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller, b *wire.Body) (any, error) {
		in := appChange(b)
		if err := b.Err(); err != nil {
			return nil, err
		}
		cl, err := a.Admin.UpdateClient(r.Context(), who, appOf(r), in)
		return viewApp(cl, ""), err
	})
}

type appList struct {
	Apps  []appView `json:"apps"`
	Total int       `json:"total"`
}

// apps is GET /admin/apps.
func (a *API) apps(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		p, tenant := page(q), q.String("tenant_id")
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Clients(r.Context(), who, client.TenantID(known(tenant)), p)
		out := appList{Apps: make([]appView, len(all)), Total: total}
		for i, c := range all {
			out.Apps[i] = viewApp(c, "")
		}
		return out, err
	})
}

// app is GET /admin/apps/{app_id}.
func (a *API) app(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		cl, err := a.Admin.Client(r.Context(), who, appOf(r))
		return viewApp(cl, ""), err
	})
}

// deleteApp is DELETE /admin/apps/{app_id}: the app is switched off.
func (a *API) deleteApp(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		return ok, a.Admin.DeactivateClient(r.Context(), who, appOf(r))
	})
}

type secretResponse struct {
	Secret string `json:"client_secret"`
}

// regenerateSecret is POST /admin/apps/{app_id}/regenerate-secret.
func (a *API) regenerateSecret(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		secret, err := a.Admin.NewSecret(r.Context(), who, appOf(r))
		return secretResponse{secret}, err
	})
}
