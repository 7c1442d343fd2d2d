package client

import (
	"strconv"
	"strings"
	"time"
)

// ConnectionPrefix begins the key of an upstream that is an organization's own; the
// organization's id follows.
const ConnectionPrefix = "sso:"

// Demand is how an organization wants one of its members to sign in; the zero value is
// none. It is part of what a user is judged by everywhere, because a person has one
// account with all clients: a way around it in one would be one in all.
//
// A member whose own address is in a domain that the organization has proved, or who
// has come by its provider before, owes it that provider (SSO), whatever else they can
// prove; but for its owners, who may break the glass with a second factor, or a
// provider that fails would lock all of them out. Every member owes a second factor
// where one is demanded, from a time on: one organization's demand stands beside
// another's, or whoever has one of their own could owe that alone.
type Demand struct {
	Org  string
	Slug string // of the organization, "" for none
	SSO  bool
	MFA  bool
	From time.Time // of MFA

	Owner      bool
	BreakGlass bool
}

// Met reports whether a sign-in does what is demanded: by is the upstream that proved
// it, "" for none, two that it was by two factors.
func (d Demand) Met(by string, two bool, now time.Time) bool {
	return d.Provided(by, two) && (!d.MFA || two || now.Before(d.From))
}

// Provided is Met but for the second factor: it is by the provider that is demanded, or
// breaks the glass.
func (d Demand) Provided(by string, two bool) bool {
	return !d.SSO || by == ConnectionPrefix+d.Org || d.glass() && two
}

// glass reports whether two factors stand in for the organization's provider.
func (d Demand) glass() bool { return d.Owner && d.BreakGlass }

// DemandColumn is the demand on a user named u whose primary address is that of emails
// named m, in one text so that it can stand among other columns: that of the
// organization whose address they have, before one whose provider they came by,
// before any other; and when the first of all that demand a second factor does.
const DemandColumn = `(SELECT d.org || ' ' || d.sign_in || ' ' || d.role || ' ' || d.glass || ' ' || COALESCE((SELECT MIN(COALESCE(og.mfa_from, 0))
		FROM memberships om JOIN orgs og ON og.id = om.org_id WHERE om.user_id = u.id AND og.sign_in = 'mfa' AND og.status NOT IN ('suspended', 'closed')), -1)
		|| ' ' || d.slug FROM (` + demands + `) d
	WHERE d.home > 0 OR d.sign_in = 'mfa' ORDER BY d.home DESC, d.sign_in DESC, d.org LIMIT 1)`

// DemandOfColumn is DemandColumn for the one organization whose id is the argument of
// the statement.
func DemandOfColumn(id string) string {
	return `(SELECT d.org || ' ' || d.sign_in || ' ' || d.role || ' ' || d.glass || ' ' || d.mfa_from || ' ' || d.slug FROM (` + demands + ` AND dg.id = ` + id + `) d
	WHERE d.home > 0 OR d.sign_in = 'mfa')`
}

// demands are what each of a user's organizations does. That somebody came by its
// provider counts as long as no other has proved the domain of their address: from
// then on that provider lets them in no more, and must not keep them out.
const demands = `SELECT dg.id AS org, dg.sign_in AS sign_in, dm.role AS role, CASE WHEN dg.break_glass THEN '1' ELSE '0' END AS glass,
		CASE WHEN dg.sign_in = 'mfa' THEN COALESCE(dg.mfa_from, 0) ELSE -1 END AS mfa_from, COALESCE(dg.slug, '') AS slug,
		CASE WHEN EXISTS (SELECT 1 FROM org_domains dd WHERE dd.org_id = dg.id AND dd.verified_at IS NOT NULL AND m.address LIKE '%@' || dd.name) THEN 2
			WHEN EXISTS (SELECT 1 FROM links dl WHERE dl.user_id = u.id AND dl.upstream = '` + ConnectionPrefix + `' || dg.id)
				AND NOT EXISTS (SELECT 1 FROM org_domains dx WHERE dx.name = substr(m.address, length(rtrim(m.address, replace(m.address, '@', ''))) + 1)
					AND dx.verified_at IS NOT NULL AND dx.org_id <> dg.id) THEN 1
			ELSE 0 END AS home
	FROM memberships dm JOIN orgs dg ON dg.id = dm.org_id
	WHERE dm.user_id = u.id AND dg.sign_in <> 'any' AND dg.status NOT IN ('suspended', 'closed')`

// DemandIn reads what DemandColumn or DemandOfColumn wrote, "" for none.
func DemandIn(packed string) (d Demand) {
	part := strings.SplitN(packed, " ", 6)
	if len(part) < 6 {
		return d
	}
	d = Demand{Org: part[0], SSO: part[1] == "sso", MFA: part[4] != "-1", Owner: part[2] == "owner", BreakGlass: part[3] == "1", Slug: part[5]}
	if from, err := strconv.ParseInt(part[4], 10, 64); err == nil && from > 0 {
		d.From = time.UnixMicro(from).UTC()
	}
	return d
}
