package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/directory"
	"sallyport/internal/enterprise"
	"sallyport/internal/org"
	"sallyport/internal/saml"
	"sallyport/internal/sso"
	"sallyport/internal/wire"
)

// fillStep fills in what a step shows of the organization as it stands.
func (p *Pages) fillStep(r *http.Request, name string, at enterprise.View, d *setupData) {
	switch name {
	case pageSetupProvider:
		for _, one := range providers {
			d.Providers = append(d.Providers, choice{one, at.Connection != nil && connected(*at.Connection).Key == one.Key})
		}
	case pageSetupOurs:
		d.Ours, d.Metadata = oursOf(wire.MountOf(r.Context()).Base, at, d.Provider)
	case pageSetupTheirs:
		d.fillTheirs(r, at)
	case pageSetupDomain:
		for _, one := range at.Domains {
			card := cardOf(one)
			if one.Name == d.looked {
				card.Said = d.saw
			}
			d.Domains = append(d.Domains, card)
		}
	case pageSetupTest:
		d.Test = testOf(at, d.Provider)
	case pageSetupOn:
		d.fillOn(at)
	case pageSetupDirectory:
		d.Synced = syncedOf(at.Directory)
		d.SCIM = copied{ID: "scim", Label: "SCIM base URL", Value: wire.MountOf(r.Context()).Base + directory.Path}
		for _, t := range at.Directory.Tokens {
			used := "not used yet"
			if !t.UsedAt.IsZero() {
				used = "last used " + day(t.UsedAt)
				if t.Agent != "" {
					used += " by " + t.Agent
				}
			}
			d.Tokens = append(d.Tokens, tokenRow{ID: t.ID, Name: t.Start + "…", Made: day(t.CreatedAt), Used: used})
		}
	}
}

// syncedOf says what the directory has sent so far.
func syncedOf(s directory.Status) string {
	if s.People == 0 && s.Groups == 0 {
		return ""
	}
	return number(s.Active, "person is", "people are") + " active, " + number(s.People-s.Active, "is", "are") + " not; " +
		number(s.Groups, "group", "groups") + " came along."
}

func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// oursOf are the values that a provider asks for, and where our metadata is.
func oursOf(base string, at enterprise.View, by provider) (values []copied, metadata string) {
	if !by.SAML {
		return []copied{{ID: "redirect-uri", Label: "Redirect URI", Value: base + callbackPath}}, ""
	}
	us := saml.PartyAt(base, string(at.Org.ID))
	return []copied{
		{"acs", "Single sign-on URL", us.ACS, "Also called assertion consumer service (ACS) URL, or reply URL."},
		{"entity-id", "Entity ID", us.EntityID, "Also called audience URI, or identifier."},
		{"slo", "Single logout URL", us.SLO, "Leave it out if your provider does not ask for it."},
	}, us.EntityID
}

// fillTheirs shows what is stored of the provider, unless something was typed just now.
func (d *setupData) fillTheirs(r *http.Request, at enterprise.View) {
	c := at.Connection
	if c == nil || connected(*c).Key != d.Provider.Key {
		return
	}
	d.HasSecret = at.HasSecret
	if r.Method == http.MethodGet {
		d.Given = connectGiven{Issuer: typed(d.Provider, c.Issuer), ClientID: c.ClientID, MetadataURL: c.MetadataURL}
	}
}

// cardOf is a domain as it is shown.
func cardOf(d enterprise.Domain) domainCard {
	id := domainID(d.Name)
	card := domainCard{
		ID: id, Name: d.Name, Verified: d.Status == enterprise.DomainVerified,
		Record:  copied{ID: id + "-name", Label: "Name", Value: d.Record.Name},
		Content: copied{ID: id + "-value", Label: "Value", Value: d.Record.Value},
	}
	if card.Verified {
		card.Since = day(d.VerifiedAt)
	}
	return card
}

// fillOn shows what is switched, and what stands in the way.
func (d *setupData) fillOn(at enterprise.View) {
	names := verifiedOf(at)
	d.Checks = []check{
		{Text: d.Provider.Subject() + " is connected", OK: true},
		{Text: "A domain is verified", Why: strings.Join(names, ", "), OK: names != nil, Href: setupAt("domain"), Link: "Verify a domain"},
		{Text: "A test sign-in worked", OK: tested(at), Href: setupAt("test"), Link: "Test now"},
	}
	if !tested(at) {
		d.Checks[2].Why = "Without one, your people would be the first to learn of a mistake."
	}
	d.Ready = names != nil
	d.On, d.JIT, d.TrustMFA = at.Connection.Enabled, at.Connection.JIT, at.Connection.TrustMFA
	d.Required, d.BreakGlass = at.Policy.SignIn == org.SignInSSO, at.Policy.BreakGlass
}

// testOf is the last test sign-in; nil if there was none.
func testOf(at enterprise.View, by provider) *testShown {
	t := at.Test
	if t == nil {
		return nil
	}
	shown := &testShown{
		OK: t.OK, Stale: at.Connection == nil || t.Revision != at.Connection.Revision, Email: t.Email,
		At: t.At.UTC().Format("2 January 2006, 15:04") + " UTC",
	}
	wrong := 0
	bad := map[string]bool{}
	for _, one := range t.Problems {
		if one.Code == sso.ProblemOff { // which the next step is about
			continue
		}
		said := problemOfTest(one, *t, verifiedOf(at), by)
		shown.Problems = append(shown.Problems, said.problemShown)
		if !said.Mild {
			wrong++
			bad[said.about] = true
		}
	}
	slices.SortStableFunc(shown.Problems, func(a, b problemShown) int { return order(a.Mild) - order(b.Mild) })
	shown.Count = number(wrong, "thing to mend", "things to mend")
	for _, c := range t.Claims {
		use, what, rank := useOf(c.Name, at.Connection)
		shown.Rows = append(shown.Rows, claimRow{Name: c.Name, Values: readable(c.Name, c.Values), Use: use, Bad: what != "" && bad[what], rank: rank})
	}
	slices.SortStableFunc(shown.Rows, func(a, b claimRow) int { return a.rank - b.rank })
	return shown
}

func order(mild bool) int {
	if mild {
		return 1
	}
	return 0
}

// instants are the claims whose numbers are times (RFC 7519 §4.1, OpenID Connect Core §2).
var instants = []string{"iat", "exp", "nbf", "auth_time", "updated_at"}

// readable is the values of a claim as people read them.
func readable(name string, values []string) []string {
	if !slices.Contains(instants, name) || len(values) != 1 {
		return values
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || n < 0 || n > 1<<33 {
		return values
	}
	return []string{values[0], time.Unix(n, 0).UTC().Format("2 Jan 2006, 15:04:05") + " UTC"}
}

// trimmed is a field without the blanks that copying brings along.
func trimmed(in *wire.Params, name string) string { return strings.TrimSpace(in.String(name)) }

// domainPart is the domain of what was typed: people give addresses, of mail and of
// web pages, where a domain is asked for.
func domainPart(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		s = u.Hostname()
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	return s
}

// entra is where the issuers of Microsoft's tenants are.
const entra = "https://login.microsoftonline.com/"

// issuerOf is the issuer that is meant by what was typed, as each provider's console
// shows it.
func issuerOf(by provider, s string) string {
	s = strings.TrimSuffix(s, "/.well-known/openid-configuration")
	switch {
	case by.Key == sso.Google:
		return "https://accounts.google.com"
	case s == "":
		return ""
	case by.Key == sso.AzureAD && !strings.Contains(s, "/"):
		return entra + s + "/v2.0"
	case !strings.Contains(s, "://"):
		s = "https://" + s
	}
	if by.Key == sso.Okta {
		s = strings.Replace(strings.TrimSuffix(s, "/"), "-admin.okta", ".okta", 1)
	}
	return s
}

func trimScheme(s string) string { return strings.TrimPrefix(s, "https://") }

// typed is what is shown of a stored issuer, which is what was asked for.
func typed(by provider, issuer string) string {
	switch by.Key {
	case sso.AzureAD:
		return strings.TrimSuffix(strings.TrimPrefix(issuer, entra), "/v2.0")
	case sso.Okta:
		return trimScheme(issuer)
	}
	return issuer
}
