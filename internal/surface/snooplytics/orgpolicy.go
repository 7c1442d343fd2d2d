package snooplytics

import (
	"net/http"

	"sallyport/internal/enterprise"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/wire"
)

// policyRoutes are how the members of an organization must sign in (contract §9.3, §9.4).
func (a *API) policyRoutes() []route {
	const policy = tenantPath + "/settings/auth-policy"
	return []route{
		{method: "GET", path: policy, wants: byAny, scope: userWrite, do: tenant((*API).getPolicy)},
		{method: "PUT", path: policy, wants: byAny, scope: userWrite, do: tenant((*API).putPolicy)},
		{method: "GET", path: tenantPath + "/mfa", wants: byAny, scope: userRead, do: tenant((*API).getMFA)},
		{method: "PUT", path: tenantPath + "/mfa", wants: byAny, scope: userWrite, do: tenant((*API).putMFA)},
		{method: "GET", path: tenantPath + "/mfa/compliance", wants: byAny, scope: userRead, do: tenant((*API).compliance)},
	}
}

// requirements are what an organization may demand, by their names on the wire.
var requirements = map[string]org.SignIn{"any": org.SignInAny, "mfa_required": org.SignInMFA, "sso_only": org.SignInSSO}

// requirement is the policy. OwnerBreakGlass, which the contract does not have, lets an
// owner with a second factor in without the provider.
type requirement struct {
	Requirement     string `json:"requirement"`
	OwnerBreakGlass bool   `json:"ownerBreakGlass"`
}

func requirementOf(p enterprise.Policy) requirement {
	for name, s := range requirements {
		if s == p.SignIn {
			return requirement{name, p.BreakGlass}
		}
	}
	return requirement{"any", p.BreakGlass}
}

// getPolicy is GET …/settings/auth-policy.
func (a *API) getPolicy(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := a.Enterprise.Policy(r.Context(), c.actor(r), c.org)
	if err != nil {
		return err
	}
	return done(w, requirementOf(p))
}

// putPolicy is PUT …/settings/auth-policy.
func (a *API) putPolicy(w http.ResponseWriter, r *http.Request, c *call) error {
	name := c.text("requirement", wire.Required, wire.Max(maxName))
	want, known := requirements[name]
	if name != "" && !known {
		c.wrong("requirement", "Invalid requirement")
	}
	var glass *bool
	if on, said := c.body.OptBool("ownerBreakGlass"); said {
		glass = &on
	}
	if err := c.err(); err != nil {
		return err
	}
	p, err := a.Enterprise.SetPolicy(r.Context(), c.actor(r), c.org, want, glass)
	if err != nil {
		return err
	}
	return done(w, requirementOf(p))
}

// mfa is whether everybody needs a second factor, and for how many days they do not yet.
type mfa struct {
	Required bool `json:"required"`
	Grace    int  `json:"gracePeriodDays"`
}

// getMFA is GET …/mfa, for any member.
func (a *API) getMFA(w http.ResponseWriter, r *http.Request, c *call) error {
	m, err := a.Enterprise.MFA(r.Context(), c.actor(r), c.org)
	if err != nil {
		return err
	}
	return done(w, mfa{m.Required, m.GraceDays})
}

// maxGrace is the most days that a second factor may be put off.
const maxGrace = 90

// putMFA is PUT …/mfa.
func (a *API) putMFA(w http.ResponseWriter, r *http.Request, c *call) error {
	in := enterprise.MFA{Required: c.body.Bool("required", wire.Required)}
	in.GraceDays, _ = c.body.OptInt("gracePeriodDays", wire.Min(0), wire.Max(maxGrace))
	if err := c.err(); err != nil {
		return err
	}
	m, err := a.Enterprise.SetMFA(r.Context(), c.actor(r), c.org, in)
	if err != nil {
		return err
	}
	return done(w, mfa{m.Required, m.GraceDays})
}

type memberFactor struct {
	ID        org.MembershipID `json:"memberId"`
	UserID    identity.UserID  `json:"userId"`
	Email     string           `json:"email"`
	FullName  string           `json:"fullName"`
	TwoFactor bool             `json:"twoFactorEnabled"`
}

type compliance struct {
	Required  bool           `json:"required"`
	Total     int            `json:"totalMembers"`
	Compliant int            `json:"compliantMembers"`
	Members   []memberFactor `json:"members"`
}

// compliance is GET …/mfa/compliance, for owners and administrators.
func (a *API) compliance(w http.ResponseWriter, r *http.Request, c *call) error {
	got, err := a.Enterprise.Compliance(r.Context(), c.actor(r), c.org)
	if err != nil {
		return err
	}
	return done(w, compliance{got.Required, len(got.Members), got.Compliant, viewsOf(got.Members, func(m enterprise.MemberFactor) memberFactor {
		return memberFactor{m.MembershipID, m.UserID, m.Email, m.Name, m.TwoFactor}
	})})
}
