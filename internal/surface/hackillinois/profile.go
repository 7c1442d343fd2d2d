package hackillinois

import (
	"net/http"
	"strings"

	"sallyport/internal/admin"
	"sallyport/internal/identity"
)

// profile is a user as the user service shows them (contract §7.2).
type profile struct {
	ID        string `json:"id"`
	Username  string `json:"username"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Email     string `json:"email"`
}

// profileOf says who somebody is. Their username is GitHub's login, but the name
// at the other two, which have nothing like it (§5).
func profileOf(k identity.Known) profile {
	p := k.Profile
	username := p.Name
	if hasLogin(k.Alias) {
		username = p.Username
	}
	return profile{k.Alias, username, p.GivenName, p.FamilyName, k.Email}
}

func hasLogin(alias string) bool { return strings.HasPrefix(alias, "github") }

type profileList struct {
	Users []profile `json:"users"`
}

// ownProfile is GET /user/, which the iOS app calls right after a login.
func (a *API) ownProfile(w http.ResponseWriter, r *http.Request, c caller) {
	a.writeProfile(w, r, ownInfoWords, c.alias)
}

// anyProfile is GET /user/{id}/.
func (a *API) anyProfile(w http.ResponseWriter, r *http.Request, _ caller) {
	a.writeProfile(w, r, infoWords, r.PathValue("id"))
}

func (a *API) writeProfile(w http.ResponseWriter, r *http.Request, ws words, alias string) {
	k, err := a.Self.Known(r.Context(), a.Settings().Client, alias)
	if err != nil {
		a.fail(w, r, ws, err)
		return
	}
	answer(w, http.StatusOK, profileOf(k))
}

// profilesBy is GET /user/filter/?email=…, by which the administrators' command
// line finds an id. Nobody is an empty list, and so is a filter that is not
// there: it is no way to list all.
func (a *API) profilesBy(w http.ResponseWriter, r *http.Request, _ caller) {
	list := profileList{Users: []profile{}}
	email, err := identity.NormalizeEmail(r.URL.Query().Get("email"))
	if err != nil {
		answer(w, http.StatusOK, list)
		return
	}
	found, err := a.Admin.KnownBy(r.Context(), a.Settings().Client, email)
	if err != nil {
		a.fail(w, r, filterWords, err)
		return
	}
	for _, k := range found {
		list.Users = append(list.Users, profileOf(k))
	}
	answer(w, http.StatusOK, list)
}

// setProfile is POST /user/. It makes no user: an id that nobody has is refused.
func (a *API) setProfile(w http.ResponseWriter, r *http.Request, c caller) {
	b, err := readBody(w, r)
	if err != nil {
		a.fail(w, r, describeWords, err)
		return
	}
	if b.ID == "" {
		refuse(w, noProfileID)
		return
	}
	in := admin.DescribeIn{Alias: string(b.ID), Profile: identity.LinkProfile{
		Username: shown(b.Username), Name: shown(b.Username), GivenName: shown(b.FirstName), FamilyName: shown(b.LastName),
	}}
	if hasLogin(in.Alias) {
		in.Profile.Name = strings.TrimSpace(in.Profile.GivenName + " " + in.Profile.FamilyName)
	}
	if b.Email != "" {
		if in.Email, err = identity.NormalizeEmail(string(b.Email)); err != nil {
			refuse(w, noSuchAddress)
			return
		}
	}
	k, err := a.Admin.Describe(r.Context(), a.ruler(r, c), in)
	if err != nil {
		a.fail(w, r, describeWords, err)
		return
	}
	answer(w, http.StatusOK, profileOf(k))
}

// maxShown bounds a name in characters, as that of an upstream is.
const maxShown = 200

func shown(t text) string {
	r := []rune(string(t))
	return string(r[:min(len(r), maxShown)])
}
