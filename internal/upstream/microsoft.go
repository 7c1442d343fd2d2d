package upstream

import (
	"encoding/json"
	"slices"
	"strings"

	"sallyport/internal/identity"
	"sallyport/internal/openid"
	"sallyport/internal/token"
)

// The tenants that are none: who may sign in, rather than where.
const (
	anyTenant     = "common"        // work, school and personal accounts
	organizations = "organizations" // work and school
	consumers     = "consumers"     // personal
)

// personal is the tenant that all personal accounts are in.
const personal = "9188040d-6c67-4c5b-b112-36a304b66dad"

// microsoftBase is where the tenants are.
func (u Upstream) microsoftBase() string {
	issuer := u.Issuer()
	return strings.TrimSuffix(issuer, pathOf(issuer)) + strings.TrimSuffix(pathOf(issuer), u.issuerPath())
}

// isMicrosoft reports whether issuer is one of Microsoft's: its metadata for
// several tenants have "{tenantid}" for the tenant, ID tokens their own.
func (u Upstream) isMicrosoft(issuer string) bool {
	tenant, ok := u.tenantOf(issuer)
	if !ok {
		return false
	}
	_, isID := identity.ParseID(tenant)
	return isID || tenant == "{tenantid}"
}

func (u Upstream) tenantOf(issuer string) (string, bool) {
	rest, ok := strings.CutPrefix(issuer, u.microsoftBase()+"/")
	tenant, ends := strings.CutSuffix(rest, "/v2.0")
	return tenant, ok && ends
}

// microsoft knows an account by its object in its tenant: the same for every
// application, as sub is not, and not to be had by another tenant, as an address
// is. An address is what a tenant's administrator wrote; xms_edov says that the
// domain is the tenant's own.
func (u Upstream) microsoft(p *Profile, c openid.Claims) error {
	var more struct {
		TenantID    openid.Word  `json:"tid"`
		ObjectID    openid.Word  `json:"oid"`
		DomainOwner openid.Truth `json:"xms_edov"`
	}
	if err := own(c, &more); err != nil {
		return err
	}
	tid, isID := identity.ParseID(string(more.TenantID))
	inIssuer, _ := u.tenantOf(c.Issuer)
	if !isID || inIssuer != tid || more.ObjectID == "" {
		return openid.Fail(openid.ErrLies, "ID token of another tenant than it says, or of no account")
	}
	if !u.mayEnter(tid) {
		return openid.Fail(openid.ErrOutsider, "tenant")
	}
	p.Issuer, p.Subject, p.Organization = c.Issuer, string(more.ObjectID), tid
	s := u.Settings
	s.TrustEmail = s.TrustEmail && !u.anyTenants()
	p.setEmail(s, string(c.Email), more.DomainOwner.Is, more.DomainOwner.Known, anyDomain)
	return nil
}

// anyTenants reports whether accounts of tenants may sign in that the operator has
// not named: those of anybody who makes one.
func (u Upstream) anyTenants() bool {
	tenant := or(u.Settings.Tenant, anyTenant)
	return len(u.Settings.Tenants) == 0 && (tenant == anyTenant || tenant == organizations)
}

// mayEnter reports whether accounts of a tenant may sign in. Microsoft lets in
// whom the application's registration allows, which is not what the operator
// wrote here.
func (u Upstream) mayEnter(tid string) bool {
	if allowed := u.Settings.Tenants; len(allowed) > 0 {
		return slices.Contains(allowed, tid)
	}
	switch tenant := or(u.Settings.Tenant, anyTenant); tenant {
	case anyTenant:
		return true
	case organizations:
		return tid != personal
	case consumers:
		return tid == personal
	default:
		id, isID := identity.ParseID(tenant)
		return !isID || id == tid // a tenant that is named by its domain has metadata of its own
	}
}

// keysOfIssuer drops the keys that are not for the issuer of a token that is yet
// to be verified: Microsoft publishes those for work and for personal accounts
// in one set, each with the issuer that it may sign for.
func keysOfIssuer(raw string) func([]byte) []byte {
	var c struct {
		Issuer string `json:"iss"`
	}
	_, err := token.Peek(raw, &c)
	return func(body []byte) []byte {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err != nil || json.Unmarshal(body, &set) != nil {
			return body // the one who parses it for good says what is wrong
		}
		tenant := lastButOne(c.Issuer)
		set.Keys = slices.DeleteFunc(set.Keys, func(key json.RawMessage) bool {
			var k struct {
				Issuer string `json:"issuer"`
			}
			if json.Unmarshal(key, &k) != nil || k.Issuer == "" {
				return false
			}
			of := lastButOne(k.Issuer)
			return of != "{tenantid}" && of != tenant
		})
		out, err := json.Marshal(set)
		if err != nil {
			return body
		}
		return out
	}
}

// lastButOne is the tenant in an issuer of Microsoft's.
func lastButOne(issuer string) string {
	parts := strings.Split(strings.TrimSuffix(issuer, "/"), "/")
	return parts[max(0, len(parts)-2)]
}
