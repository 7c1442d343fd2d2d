package scim

import (
	"context"
	"net/http"

	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/provision"
)

// groupResource is a group without its members.
func groupResource(g directory.Group, base string) map[string]any {
	res := map[string]any{
		"schemas": []any{groupURN}, "id": string(g.ID), "displayName": g.Name,
		"meta": meta(groups.name, base+groups.path+"/"+string(g.ID), g.Version, g.CreatedAt, g.UpdatedAt),
	}
	if g.ExternalID != "" {
		res["externalId"] = g.ExternalID
	}
	return res
}

func membersOf(all []directory.Member, base string) []any {
	out := make([]any, len(all))
	for i, m := range all {
		out[i] = map[string]any{"value": string(m.ID), "$ref": base + users.path + "/" + string(m.ID), "display": m.Name, "type": users.name}
	}
	return out
}

// showGroups are groups with their members, if those are to be shown.
func (a *API) showGroups(ctx context.Context, x exchange, all ...directory.Group) ([]map[string]any, error) {
	out := make([]map[string]any, len(all))
	ids := make([]directory.GroupID, len(all))
	for i, g := range all {
		out[i], ids[i] = groupResource(g, x.base), g.ID
	}
	if !x.shown.shows("members") {
		return out, nil
	}
	members, err := a.Provision.Members(ctx, x.who, ids...)
	for i, id := range ids {
		out[i]["members"] = membersOf(members[id], x.base)
	}
	return out, err
}

func (a *API) groupAnswer(ctx context.Context, x exchange, status int, g directory.Group, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	all, err := a.showGroups(ctx, x, g)
	if err != nil {
		return answer{}, err
	}
	return answer{status: status, resource: all[0], version: g.Version, location: x.base + groups.path + "/" + string(g.ID)}, nil
}

func (a *API) readGroup(ctx context.Context, x exchange) (answer, error) {
	g, err := a.Provision.Group(ctx, x.who, directory.GroupID(x.id))
	return a.groupAnswer(ctx, x, http.StatusOK, g, err)
}

// people are those whom values of members name. A group within a group is nobody.
func people(v any) ([]identity.UserID, error) {
	a, _ := named(groupSchema.attributes, "members")
	v, err := a.normal(v)
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	all := make([]identity.UserID, len(list))
	for i, one := range list {
		id := str(one.(map[string]any)["value"])
		if id == "" {
			return nil, invalid("members")
		}
		all[i] = identity.UserID(id)
	}
	return all, nil
}

func (a *API) createGroup(ctx context.Context, x exchange) (answer, error) {
	res, err := groups.normal(x.body)
	if err != nil {
		return answer{}, err
	}
	members, err := people(res["members"])
	if err != nil {
		return answer{}, err
	}
	g, err := a.Provision.CreateGroup(ctx, x.who, str(res["displayName"]), str(res["externalId"]), members)
	return a.groupAnswer(ctx, x, http.StatusCreated, g, err)
}

func (a *API) groupVersion(ctx context.Context, x exchange) (int64, error) {
	return x.one(func() (int64, error) {
		g, err := a.Provision.Group(ctx, x.who, directory.GroupID(x.id))
		return g.Version, err
	})
}

// replaceGroup puts what was sent in the place of a group. Members that are not spoken of
// stay: who wants none sends an empty list.
func (a *API) replaceGroup(ctx context.Context, x exchange) (answer, error) {
	res, err := groups.normal(x.body)
	if err != nil {
		return answer{}, err
	}
	name := str(res["displayName"])
	step := provision.GroupStep{Name: &name}
	if id, ok := res["externalId"].(string); ok {
		step.ExternalID = &id
	}
	if has(x.body, "members") {
		all, err := people(res["members"])
		if err != nil {
			return answer{}, err
		}
		step.Members = &all
	}
	version, err := a.groupVersion(ctx, x)
	if err != nil {
		return answer{}, err
	}
	g, err := a.Provision.ChangeGroup(ctx, x.who, directory.GroupID(x.id), version, []provision.GroupStep{step})
	return a.groupAnswer(ctx, x, http.StatusOK, g, err)
}

// patchGroup changes what was sent. The answer has no body: Entra wants none, and a group
// may be large.
func (a *API) patchGroup(ctx context.Context, x exchange) (answer, error) {
	all, err := operations(x.body)
	if err != nil {
		return answer{}, err
	}
	steps, err := groupSteps(all)
	if err != nil {
		return answer{}, err
	}
	version, err := a.groupVersion(ctx, x)
	if err != nil {
		return answer{}, err
	}
	g, err := a.Provision.ChangeGroup(ctx, x.who, directory.GroupID(x.id), version, steps)
	return answer{status: http.StatusNoContent, version: g.Version}, err
}

// groupSteps are the operations of a PATCH as steps.
func groupSteps(all []operation) ([]provision.GroupStep, error) {
	all, err := groups.flat(all)
	if err != nil {
		return nil, err
	}
	steps := make([]provision.GroupStep, 0, len(all))
	for _, o := range all {
		at, err := parsePath(groups, o.path)
		if err != nil {
			return nil, err
		}
		var step provision.GroupStep
		switch at.attr.name {
		case "members":
			step, err = memberStep(at, o)
		case "displayName", "externalId":
			step, err = nameStep(at.attr, o)
		default:
			err = errMutable
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// nameStep changes what a group is called, by us or by the directory.
func nameStep(a attribute, o operation) (step provision.GroupStep, err error) {
	var v any
	if o.op != "remove" {
		if v, err = a.normal(o.value); err != nil {
			return step, err
		}
	}
	s, ok := v.(string)
	switch {
	case a.name == "displayName" && !ok:
		return step, errMutable
	case a.name == "displayName":
		step.Name = &s
	default:
		step.ExternalID = &s
	}
	return step, nil
}

// memberStep changes who is in a group: those whom the value names, or the path.
func memberStep(at path, o operation) (step provision.GroupStep, err error) {
	if at.sub.name != "" && at.sub.name != "value" {
		return step, errMutable
	}
	var all []identity.UserID
	switch {
	case at.filter != nil:
		ids, ok := eachOf(at.filter)
		if !ok {
			return step, errFilter
		}
		all = ids
	case o.op == "remove" && o.value == nil:
		step.Members = &all
		return step, nil
	default:
		if all, err = people(o.value); err != nil {
			return step, err
		}
	}
	switch {
	case o.op == "remove":
		step.Remove = all
	case o.op == "add":
		step.Add = all
	case at.filter != nil:
		return step, errTarget
	default:
		step.Members = &all
	}
	return step, nil
}

// eachOf are the people whom a filter of members names one by one.
func eachOf(e expression) ([]identity.UserID, bool) {
	switch f := e.(type) {
	case term:
		id, ok := f.value.(string)
		return []identity.UserID{identity.UserID(id)}, ok && f.op == "eq" && f.at.attr.name == "value"
	case either:
		left, ok := eachOf(f.left)
		right, ok2 := eachOf(f.right)
		return append(left, right...), ok && ok2
	}
	return nil, false
}

func (a *API) deleteGroup(ctx context.Context, x exchange) (answer, error) {
	version, err := a.groupVersion(ctx, x)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, a.Provision.DeleteGroup(ctx, x.who, directory.GroupID(x.id), version)
}
