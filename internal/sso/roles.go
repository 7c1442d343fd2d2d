package sso

import (
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/org"
	"sallyport/internal/upstream"
)

// RoleRule gives roles to whoever the provider says a thing of: a Role in the
// organization, up to admin, or a ClientRole in a Client, or both. Claim is a claim's
// or attribute's name, "groups" the one that Attributes name for them; it holds
// where one of its values is Value, to the letter.
//
// What a client's roles allow is the operator's affair: only the operator writes rules
// that give any, never an administrator of the organization.
type RoleRule struct {
	Claim      string    `json:"claim" yaml:"claim"`
	Value      string    `json:"value" yaml:"value"`
	Role       org.Role  `json:"role,omitempty" yaml:"role,omitempty"`
	Client     client.ID `json:"client,omitempty" yaml:"client,omitempty"`
	ClientRole string    `json:"client_role,omitempty" yaml:"client_role,omitempty"`
}

// GroupsClaim is the Claim of a rule about groups, however the provider calls them.
const GroupsClaim = "groups"

// Gives reports whether the rule holds of a person.
func (r RoleRule) Gives(p upstream.Profile) bool {
	switch {
	case r.Claim == "" || r.Value == "":
		return false
	case r.Claim == GroupsClaim && slices.Contains(p.Groups, r.Value):
		return true
	}
	return slices.Contains(p.Attributes[r.Claim], r.Value)
}

// RolesOf is what the rules of the connection give to a person: the highest role in
// the organization, "" for none and never owner, and roles in one client.
func (c Connection) RolesOf(p upstream.Profile, in client.ID) (role org.Role, roles []string) {
	for _, r := range c.Roles {
		if !r.Gives(p) {
			continue
		}
		if r.Role.Valid() && r.Role != org.Owner && (role == "" || role.Below(r.Role)) {
			role = r.Role
		}
		if r.ClientRole != "" && r.Client == in && !slices.Contains(roles, r.ClientRole) {
			roles = append(roles, r.ClientRole)
		}
	}
	return role, roles
}

// Brief is a profile without what no rule of the connection asks for.
func (c Connection) Brief(p upstream.Profile) upstream.Profile {
	keep := func(all []string, claim string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(v string) bool {
			return !slices.ContainsFunc(c.Roles, func(r RoleRule) bool { return r.Claim == claim && r.Value == v })
		})
	}
	brief := map[string][]string{}
	for _, r := range c.Roles {
		if v := keep(p.Attributes[r.Claim], r.Claim); len(v) > 0 {
			brief[r.Claim] = v
		}
	}
	p.Groups, p.Roles, p.Attributes = keep(p.Groups, GroupsClaim), nil, brief
	return p
}
