package keymaster

import (
	"context"
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// userView is a user (contract §8.2).
type userView struct {
	ID          identity.UserID `json:"id"`
	Email       *string         `json:"email"`
	DisplayName *string         `json:"display_name"`
	Platform    bool            `json:"is_platform_admin"`
	TOTP        bool            `json:"totp_enabled"`
	CreatedAt   string          `json:"created_at"`
	Apps        []placeView     `json:"apps"`
}

type placeView struct {
	AppID  client.ID     `json:"app_id"`
	Roles  []string      `json:"roles"`
	Status client.Status `json:"status"`
}

func viewUser(p admin.Person) userView {
	v := userView{
		ID: p.ID, Email: orNull(p.Email), DisplayName: orNull(p.DisplayName), Platform: p.Platform, TOTP: p.TOTP,
		CreatedAt: timestamp(p.CreatedAt), Apps: make([]placeView, len(p.Enrolments)),
	}
	for i, e := range p.Enrolments {
		v.Apps[i] = placeView{e.ClientID, list(e.Roles), e.Status}
	}
	return v
}

type userList struct {
	Users []userView `json:"users"`
	Total int        `json:"total"`
	Page  int        `json:"page"`
	Limit int        `json:"limit"`
}

// users is GET /admin/users.
func (a *API) users(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.adminOrService, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		in := admin.UsersIn{
			ClientID: client.ID(known(q.String("app_id"))), Search: q.String("search", wire.Max(identity.MaxEmail)),
			Status: client.Status(choice(q, "status", "pending", "active", "suspended")), Page: page(q),
		}
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Users(r.Context(), who, in)
		out := userList{Users: make([]userView, len(all)), Total: total, Page: in.Page.Number, Limit: in.Page.Size}
		for i, p := range all {
			out.Users[i] = viewUser(p)
		}
		return out, err
	})
}

// createUser is POST /admin/users.
func (a *API) createUser(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.adminOrService, http.StatusCreated, func(who admin.Caller, b *wire.Body) (any, error) {
		in := admin.UserIn{
			Email: email(b, wire.Required), DisplayName: displayName(b),
			Password: b.String("password", wire.Min(1), wire.Max(maxPassword)), Platform: b.Bool("is_platform_admin"),
		}
		if err := b.Err(); err != nil {
			return nil, err
		}
		made, err := a.Admin.CreateUser(r.Context(), who, in)
		return viewUser(made), err
	})
}

// setRoles is PUT /admin/users/{user_id}/roles.
func (a *API) setRoles(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller, b *wire.Body) (any, error) {
		app, roles := appID(b, wire.Required), b.Strings("roles", wire.Required)
		if err := b.Err(); err != nil {
			return nil, err
		}
		return ok, a.Admin.SetRoles(r.Context(), who, userOf(r), app, roles)
	})
}

// enrolment is a route that changes how a user stands in the app that the body
// names.
func (a *API) enrolment(do func(*admin.Core, context.Context, admin.Caller, identity.UserID, client.ID) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a.withAdminBody(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller, b *wire.Body) (any, error) {
			app := appID(b, wire.Required)
			if err := b.Err(); err != nil {
				return nil, err
			}
			return ok, do(a.Admin, r.Context(), who, userOf(r), app)
		})
	}
}

// unenrol is DELETE /admin/users/{user_id}/apps/{app_id}.
func (a *API) unenrol(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		return ok, a.Admin.Unenrol(r.Context(), who, userOf(r), appOf(r))
	})
}
