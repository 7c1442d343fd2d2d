package keymaster

import (
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/wire"
)

// tenantView is a tenant (contract §8.3).
type tenantView struct {
	ID        client.TenantID       `json:"id"`
	Name      string                `json:"name"`
	Slug      string                `json:"slug"`
	Password  client.PasswordPolicy `json:"password_policy"`
	CreatedAt string                `json:"created_at"`
}

func viewTenant(t client.Tenant) tenantView {
	return tenantView{t.ID, t.Name, t.Slug, t.Password.Stricter(client.PasswordPolicy{}), timestamp(t.CreatedAt)}
}

func tenantOf(r *http.Request) client.TenantID {
	return client.TenantID(known(r.PathValue("tenant_id")))
}

func tenantChange(b *wire.Body) admin.TenantChange {
	p := b.Object("password_policy")
	return admin.TenantChange{
		Name: optString(b, "name"), Slug: optString(b, "slug"), MinLength: optInt(p, "min_length"),
		RequireUppercase: optBool(p, "require_uppercase"), RequireLowercase: optBool(p, "require_lowercase"),
		RequireDigit: optBool(p, "require_digit"), RequireSymbol: optBool(p, "require_symbol"),
	}
}

// createTenant is POST /admin/tenants.
func (a *API) createTenant(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusCreated, func(who admin.Caller, b *wire.Body) (any, error) {
		in := tenantChange(b)
		b.String("name", wire.Required)
		if err := b.Err(); err != nil {
			return nil, err
		}
		t, err := a.Admin.CreateTenant(r.Context(), who, in)
		return viewTenant(t), err
	})
}

// updateTenant is PUT /admin/tenants/{tenant_id}.
func (a *API) updateTenant(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller, b *wire.Body) (any, error) {
		in := tenantChange(b)
		if err := b.Err(); err != nil {
			return nil, err
		}
		t, err := a.Admin.UpdateTenant(r.Context(), who, tenantOf(r), in)
		return viewTenant(t), err
	})
}

// tenant is GET /admin/tenants/{tenant_id}.
func (a *API) tenant(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		t, err := a.Admin.Tenant(r.Context(), who, tenantOf(r))
		return viewTenant(t), err
	})
}

type tenantList struct {
	Tenants []tenantView `json:"tenants"`
	Total   int          `json:"total"`
}

// tenants is GET /admin/tenants.
func (a *API) tenants(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		p := page(q)
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Tenants(r.Context(), who, p)
		out := tenantList{Tenants: make([]tenantView, len(all)), Total: total}
		for i, t := range all {
			out.Tenants[i] = viewTenant(t)
		}
		return out, err
	})
}
