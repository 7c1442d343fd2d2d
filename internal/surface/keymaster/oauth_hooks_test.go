package keymaster_test

import (
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// abroad are the providers of a stage, and who has accounts there.
type abroad map[string]*upstreamtest.Fake

// accounts are the people at the providers, by the name of a hook. Only jane, tom
// and those in the contract's states have an account here, too.
var accounts = map[string]upstreamtest.Person{
	"jane":      {ID: "1001", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane", HostedDomain: "example.com"},
	"tom":       {ID: "1002", Email: "tom@example.com", EmailVerified: true, GivenName: "Tom", FamilyName: "Totp", Username: "tom", HostedDomain: "example.com"},
	"nia":       {ID: "1003", Email: "nia@example.com", EmailVerified: true, GivenName: "Nia", FamilyName: "New", Username: "nia", HostedDomain: "example.com"},
	"sue":       {ID: "1004", Email: "suspended@example.com", EmailVerified: true, GivenName: "Sue", Username: "sue", HostedDomain: "example.com"},
	"claimant":  {ID: "1005", Email: "jane@example.com", EmailVerified: false, GivenName: "Somebody", Username: "somebody"},
	"nomail":    {ID: "1006", GivenName: "Nobody", Username: "nobody"},
	"otto":      {ID: "1007", Email: "otto@example.com", EmailVerified: true, GivenName: "Otto", Username: "otto", HostedDomain: "example.com"},
	"unproved":  {ID: "1008", Email: "unproved@example.com", EmailVerified: false, GivenName: "Una", Username: "una"},
	"invited":   {ID: "1009", Email: "new@example.com", EmailVerified: true, GivenName: "Nina", FamilyName: "Named", Username: "nina", HostedDomain: "example.com"},
	"outsider":  {ID: "1010", Email: "outside@example.com", EmailVerified: true, GivenName: "Otto", FamilyName: "Outside", Username: "oo", HostedDomain: "example.com"},
	"waiting":   {ID: "1011", Email: "pending@example.com", EmailVerified: true, GivenName: "Pat", Username: "pat", HostedDomain: "example.com"},
	"newcomer":  {ID: "1012", Email: "newcomer@example.com", EmailVerified: true, GivenName: "Nell", Username: "nell", HostedDomain: "example.com"},
	"secondtom": {ID: "1013", Email: "tom@example.com", EmailVerified: true, GivenName: "Tom", Username: "tom2", HostedDomain: "example.com"},
}

// goAbroad gives a stage its providers, and applications that sign in by them.
func goAbroad(r *rig.Rig, vars map[string]string, sue identity.User) abroad {
	people := []upstreamtest.Person{accounts["jane"]}
	for name, p := range accounts {
		if name != "jane" {
			people = append(people, p)
		}
	}
	out := abroad{
		"google": r.Upstream("google", upstream.Google, nil, people...),
		"github": r.Upstream("github", upstream.GitHub, nil, people...),
		"apple":  r.Upstream("apple", upstream.Apple, nil, people...),
		"corp":   r.Upstream("corp", upstream.OIDC, func(u *upstream.Upstream) { u.Settings.Name = "Example Corp" }, people...),
	}
	all := []string{client.MethodPassword, client.MethodMagicLink, "google", "github", "apple", "corp", "microsoft"}
	for name, change := range map[string]func(*client.Client){
		"social": func(c *client.Client) {
			c.Policy.RedirectURIs = append(c.Policy.RedirectURIs, "https://app.example.com/other?tab=1")
		},
		"club":     func(c *client.Client) { c.Policy.Registration = client.Invite },
		"vetted":   func(c *client.Client) { c.Policy.Registration = client.Approval },
		"guarded":  func(c *client.Client) { c.Policy.SecondFactor = client.FactorRequired },
		"homeless": func(c *client.Client) { c.Policy.RedirectURIs = nil },
		"strictclub": func(c *client.Client) {
			c.Policy.Registration, c.Policy.SecondFactor = client.Invite, client.FactorRequired
		},
		"demo_social": func(*client.Client) {},
	} {
		c := r.Client(name, func(c *client.Client) { c.Policy.Methods = all; change(c) })
		vars[name] = string(c.ID)
		if name == "demo_social" {
			r.Enrol(sue, c, client.Suspended, "user")
		}
	}
	return out
}

// hooks are what people do at a provider, such as "google-jane" and "google-deny",
// and what goes wrong there. They begin at <away> and come to <back>, with the
// form <posted> where the provider's page posts one.
func (a abroad) hooks() map[string]func(*testing.T, map[string]string) {
	type vars = map[string]string
	out := map[string]func(*testing.T, vars){}
	for key, fake := range a {
		choose := func(id string, deny bool) func(*testing.T, vars) {
			return func(t *testing.T, v vars) {
				back, form, err := fake.Choose(v["away"], id, deny)
				if err != nil {
					t.Fatal(err)
				}
				v["back"], v["posted"] = back, form.Encode()
				delete(v, "away")
			}
		}
		for name, p := range accounts {
			out[key+"-"+name] = choose(p.ID, false)
		}
		out[key+"-deny"] = choose("", true)
		for _, trouble := range []upstreamtest.Trouble{upstreamtest.Down, upstreamtest.Throttled, upstreamtest.HTML, upstreamtest.WrongNonce, upstreamtest.BadSecret} {
			out[key+"-"+string(trouble)] = func(*testing.T, vars) { fake.Behave(trouble) }
		}
		out[key+"-well"] = func(*testing.T, vars) { fake.Behave(upstreamtest.None) }
	}
	return out
}
