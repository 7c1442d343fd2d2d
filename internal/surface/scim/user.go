package scim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/provision"
)

// instantFormat is how moments are written (RFC 7643 §2.3.5).
const instantFormat = "2006-01-02T15:04:05.000Z"

func meta(kind, location string, version int64, created, updated time.Time) map[string]any {
	return map[string]any{
		"resourceType": kind, "location": location, "version": etag(version),
		"created": created.UTC().Format(instantFormat), "lastModified": updated.UTC().Format(instantFormat),
	}
}

// attributesOf is what a directory said of somebody. Of whom it has said nothing yet, the
// account tells.
func attributesOf(u directory.User) (map[string]any, error) {
	if u.Attributes == nil {
		res := map[string]any{}
		if u.DisplayName != "" {
			res["displayName"] = u.DisplayName
		}
		name := map[string]any{}
		for part, v := range map[string]string{"givenName": u.GivenName, "familyName": u.FamilyName, "formatted": u.DisplayName} {
			if v != "" {
				name[part] = v
			}
		}
		if len(name) > 0 {
			res["name"] = name
		}
		if u.Email != "" {
			res["emails"] = []any{map[string]any{"value": u.Email, "type": "work", "primary": true}}
		}
		return res, nil
	}
	v, err := decode(u.Attributes)
	if err != nil {
		return nil, err
	}
	res, _ := v.(map[string]any)
	return res, nil
}

// userResource is somebody without their groups.
func userResource(u directory.User, base string) (map[string]any, error) {
	res, err := attributesOf(u)
	if err != nil {
		return nil, err
	}
	schemas := []any{userURN}
	if res[enterpriseURN] != nil {
		schemas = append(schemas, enterpriseURN)
	}
	res["schemas"], res["id"], res["userName"], res["active"] = schemas, string(u.ID), u.Name, u.Active
	if u.ExternalID != "" {
		res["externalId"] = u.ExternalID
	}
	res["meta"] = meta(users.name, base+users.path+"/"+string(u.ID), u.Version, u.CreatedAt, u.UpdatedAt)
	return res, nil
}

func showUser(u provision.User, base string) (map[string]any, error) {
	res, err := userResource(u.User, base)
	if err != nil {
		return nil, err
	}
	in := make([]any, len(u.Groups))
	for i, g := range u.Groups {
		in[i] = map[string]any{"value": string(g.ID), "$ref": base + groups.path + "/" + string(g.ID), "display": g.Name, "type": "direct"}
	}
	res["groups"] = in
	return res, nil
}

func userAnswer(status int, u provision.User, err error, base string) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	res, err := showUser(u, base)
	return answer{status: status, resource: res, version: u.Version, location: base + users.path + "/" + string(u.ID)}, err
}

// person is what provision is told of a resource in normal form.
func person(res map[string]any) (provision.Person, error) {
	p := provision.Person{Active: true}
	p.Name, _ = res["userName"].(string)
	p.ExternalID, _ = res["externalId"].(string)
	if active, ok := res["active"].(bool); ok {
		p.Active = active
	}
	p.Email, p.DisplayName = address(res["emails"]), str(res["displayName"])
	if name, ok := res["name"].(map[string]any); ok {
		p.GivenName, p.FamilyName = str(name["givenName"]), str(name["familyName"])
		if p.DisplayName == "" {
			p.DisplayName = str(name["formatted"])
		}
	}
	said := map[string]any{}
	for name, v := range res {
		switch name {
		case "userName", "externalId", "active", "schemas", "id", "meta", "groups":
		default:
			said[name] = v
		}
	}
	var err error
	p.Attributes, err = json.Marshal(said)
	return p, err
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

// address is the one of somebody's addresses that is their account's: the preferred one,
// else that of work, else the first.
func address(v any) string {
	list, _ := v.([]any)
	best, rank := "", 0
	for _, one := range list {
		parts, _ := one.(map[string]any)
		r := 1
		switch {
		case str(parts["value"]) == "":
			r = 0
		case parts["primary"] == true:
			r = 3
		case str(parts["type"]) == "work":
			r = 2
		}
		if r > rank {
			best, rank = str(parts["value"]), r
		}
	}
	return best
}

func (a *API) readUser(ctx context.Context, x exchange) (answer, error) {
	u, err := a.Provision.User(ctx, x.who, identity.UserID(x.id))
	return userAnswer(http.StatusOK, u, err, x.base)
}

func (a *API) createUser(ctx context.Context, x exchange) (answer, error) {
	res, err := users.normal(x.body)
	if err != nil {
		return answer{}, err
	}
	p, err := person(res)
	if err != nil {
		return answer{}, err
	}
	u, err := a.Provision.CreateUser(ctx, x.who, p)
	return userAnswer(http.StatusCreated, u, err, x.base)
}

// replaceUser puts what was sent in the place of all that the directory said before. Whether
// somebody is active, and the directory's id of them, stay where it does not say: Okta
// leaves both out of some.
func (a *API) replaceUser(ctx context.Context, x exchange) (answer, error) {
	res, err := users.normal(x.body)
	if err != nil {
		return answer{}, err
	}
	return a.changeUser(ctx, x, func(had map[string]any) (map[string]any, error) {
		for _, name := range []string{"active", "externalId"} {
			if v, ok := had[name]; ok && res[name] == nil {
				res[name] = v
			}
		}
		return res, nil
	})
}

// patchUser changes what was sent.
func (a *API) patchUser(ctx context.Context, x exchange) (answer, error) {
	all, err := operations(x.body)
	if err != nil {
		return answer{}, err
	}
	return a.changeUser(ctx, x, func(had map[string]any) (map[string]any, error) {
		err := users.patch(had, all)
		return had, err
	})
}

// changeUser stores what change makes of somebody. Where somebody else changed them
// meanwhile it is made of what they made, unless the client named the version that it
// knows.
func (a *API) changeUser(ctx context.Context, x exchange, change func(map[string]any) (map[string]any, error)) (answer, error) {
	for try := 0; ; try++ {
		u, err := a.Provision.User(ctx, x.who, identity.UserID(x.id))
		if err != nil {
			return answer{}, err
		}
		if len(x.versions) > 0 && !contains(x.versions, u.Version) {
			return answer{}, &provision.Error{Kind: provision.Changed}
		}
		had, err := userResource(u.User, x.base)
		if err != nil {
			return answer{}, err
		}
		next, err := change(had)
		if err != nil {
			return answer{}, err
		}
		p, err := person(next)
		if err != nil {
			return answer{}, err
		}
		u, err = a.Provision.ReplaceUser(ctx, x.who, identity.UserID(x.id), u.Version, p)
		if e, ok := errors.AsType[*provision.Error](err); ok && e.Kind == provision.Changed && len(x.versions) == 0 && try < 5 {
			continue
		}
		return userAnswer(http.StatusOK, u, err, x.base)
	}
}

func (a *API) deleteUser(ctx context.Context, x exchange) (answer, error) {
	id := identity.UserID(x.id)
	version, err := x.one(func() (int64, error) {
		u, err := a.Provision.User(ctx, x.who, id)
		return u.Version, err
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.Provision.DeleteUser(ctx, x.who, id, version)
}
