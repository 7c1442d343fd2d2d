package hackillinois

import (
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/wire"
)

type rolesResponse struct {
	ID    string   `json:"id"`
	Roles []string `json:"roles"`
}

type roleList struct {
	Roles []string `json:"roles"`
}

type userList struct {
	UserIDs []string `json:"userIds"`
}

// ruler is the administrator who asks, whomever they ask as.
func (a *API) ruler(r *http.Request, c caller) admin.Ruler {
	o := wire.OriginOf(r.Context())
	return admin.Ruler{ClientID: a.Settings().Client, UserID: c.user, Service: c.service, By: roleAdmin, IP: o.IP, RequestID: o.RequestID}
}

// ownRoles is GET /auth/roles/ (contract §4.3): the roles of now, which may be
// others than those in the token.
func (a *API) ownRoles(w http.ResponseWriter, r *http.Request, c caller) {
	if c.alias != c.own {
		a.writeRoles(w, r, c.alias)
		return
	}
	answer(w, http.StatusOK, rolesResponse{c.alias, nonNil(c.stored)})
}

// rolesOf is GET /auth/roles/{id}/ (§4.4).
func (a *API) rolesOf(w http.ResponseWriter, r *http.Request, _ caller) {
	a.writeRoles(w, r, r.PathValue("id"))
}

func (a *API) writeRoles(w http.ResponseWriter, r *http.Request, alias string) {
	found, err := a.Admin.RolesOf(r.Context(), a.Settings().Client, alias)
	if err != nil {
		a.fail(w, r, rolesWords, err)
		return
	}
	answer(w, http.StatusOK, rolesResponse{found.Alias, nonNil(found.Roles)})
}

// addRole is PUT /auth/roles/add/ (§4.5).
func (a *API) addRole(w http.ResponseWriter, r *http.Request, c caller) {
	a.changeRole(w, r, addWords, func(alias, role string) (admin.Roles, error) {
		return a.Admin.GiveRole(r.Context(), a.ruler(r, c), alias, role, a.Settings().AnyRole)
	})
}

// removeRole is PUT /auth/roles/remove/ (§4.6). A role that is not valid any more
// can still be taken away.
func (a *API) removeRole(w http.ResponseWriter, r *http.Request, c caller) {
	a.changeRole(w, r, removeWords, func(alias, role string) (admin.Roles, error) {
		return a.Admin.TakeRole(r.Context(), a.ruler(r, c), alias, role)
	})
}

func (a *API) changeRole(w http.ResponseWriter, r *http.Request, ws words, change func(alias, role string) (admin.Roles, error)) {
	b, err := readBody(w, r)
	if err != nil {
		a.fail(w, r, ws, err)
		return
	}
	if b.ID == "" {
		refuse(w, noID)
		return
	}
	done, err := change(string(b.ID), string(b.Role))
	if err != nil {
		a.fail(w, r, ws, err)
		return
	}
	answer(w, http.StatusOK, rolesResponse{done.Alias, nonNil(done.Roles)})
}

// listRoles is GET /auth/roles/list/ (§4.8).
func (a *API) listRoles(w http.ResponseWriter, r *http.Request, _ caller) {
	cl, err := a.Admin.Bound(r.Context(), a.Settings().Client)
	if err != nil {
		a.fail(w, r, listWords, err)
		return
	}
	answer(w, http.StatusOK, roleList{nonNil(cl.Policy.Roles.Available)})
}

// usersByRole is GET /auth/roles/list/{role}/ (§4.9): an empty list for a role
// that nobody has or that there is not.
func (a *API) usersByRole(w http.ResponseWriter, r *http.Request, _ caller) {
	ids, err := a.Admin.Holders(r.Context(), a.Settings().Client, r.PathValue("role"))
	if err != nil {
		a.fail(w, r, byRoleWords, err)
		return
	}
	answer(w, http.StatusOK, userList{nonNil(ids)})
}

// nonNil is a list that is never null in JSON.
func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
