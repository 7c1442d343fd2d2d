package pages

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// consentData fills the page that asks whether an application may have what it
// wants. Unchecked is one that registered itself, and Origin the host it comes
// from, if it has one. Has is what it may have already.
type consentData struct {
	target
	Name, Email     string
	Unchecked       bool
	Origin, Returns string
	Asks, Has       []ask
	Links           []aboutLink
}

// ask is one thing that an application wants, in words. Name is what a scope or
// an address is called where we have no words for it.
type ask struct{ Text, Name, More string }

// Short is the same in the middle of a sentence.
func (a ask) Short() string {
	return strings.TrimSpace(strings.ToLower(a.Text[:1]) + a.Text[1:] + " " + a.Name)
}

// aboutLink leads to what an application says of itself. The host is shown,
// because the application chose the address.
type aboutLink struct{ Text, Href, Host string }

// consent is GET /consent. The form is bound to the session that it was shown to
// and to the request: nobody allows what somebody else was asked.
func (p *Pages) consent(w http.ResponseWriter, r *http.Request) {
	t := targetOf(wire.Query(r))
	page, err := p.asked(r, t)
	switch {
	case err != nil:
		p.fail(w, r, err)
	case !page.Pending.Mine:
		redirect(w, p.next(r, t, page)) // the provider says who is to be asked, and what
	default:
		v := view{Title: titles[pageConsent], client: page.Client, Data: consentOf(t, page.Pending), bind: p.consentBind(r, t)}
		p.show(w, r, http.StatusOK, pageConsent, v)
	}
}

// asked is the place of a request: without one there is nothing to ask.
func (p *Pages) asked(r *http.Request, t target) (place, error) {
	t.Request = cmp.Or(t.Request, noRequest)
	return p.page(r, t)
}

func (p *Pages) consentBind(r *http.Request, t target) []string {
	return []string{wire.Cookie(r, p.Flow.Cookie), t.Request}
}

// postConsent carries the answer to the provider. What is neither button is no
// answer.
func (p *Pages) postConsent(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.asked(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	do := in.String("do")
	if do != "allow" && do != "deny" {
		redirect(w, p.next(r, t, page))
		return
	}
	v := visitor(r)
	d, err := p.OAuth.Consent(r.Context(), oauth.ConsentIn{
		Handle: t.Request, Cookie: wire.Cookie(r, p.Flow.Cookie), Allow: do == "allow",
		Visitor: oauth.Visitor{IP: v.IP, UserAgent: v.UserAgent, RequestID: v.RequestID, Base: page.Pending.Request.Issuer},
	})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if d.Reply == nil { // somebody else has signed in meanwhile
		redirect(w, p.next(r, t, page))
		return
	}
	p.Reply(w, r, *d.Reply)
}

func consentOf(t target, at oauth.PendingRequest) consentData {
	cl, r := at.Client, at.Request
	d := consentData{
		target: t, Name: nameOf(cl), Email: at.User.Called(), Unchecked: cl.Source != client.Operator,
		Origin: originOf(cl, r.RedirectURI), Returns: whither(r.RedirectURI), Links: linksOf(cl),
	}
	elsewhere := slices.DeleteFunc(slices.Clone(r.Resources), func(s string) bool { return s == r.Issuer })
	if len(at.AskScope) == 0 { // agreed to before, and asked for once more
		d.Asks = asksOf(r.Scope, r.ClaimNames(), elsewhere)
		return d
	}
	d.Asks = asksOf(at.AskScope, r.ClaimNames(), elsewhere)
	for _, s := range r.Scope {
		if !slices.Contains(at.AskScope, s) {
			d.Has = append(d.Has, askFor(s))
		}
	}
	return d
}

// nameOf is what an application is called: one that gives itself no name, by
// where it comes from.
func nameOf(cl client.Client) string {
	if strings.TrimSpace(cl.Name) != "" {
		return cl.Name
	}
	if host := hostOf(string(cl.ID)); host != "" {
		return host
	}
	return "An application without a name"
}

// originOf is what is certain about an application that registered itself: the
// host that has its document, else the one that answers go to.
func originOf(cl client.Client, redirectURIs ...string) string {
	switch {
	case cl.Source == client.Document:
		return hostOf(string(cl.ID))
	case cl.Source == client.Dynamic && len(redirectURIs) > 0:
		return hostOf(redirectURIs[0])
	}
	return ""
}

// whither says where a browser goes back to.
func whither(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return redirectURI
	case u.Scheme != "https" && u.Scheme != "http":
		return "an application on this device (" + u.Scheme + ")"
	case client.Loopback(u.Hostname()):
		return "an application on this device"
	}
	return u.Host
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return ""
	}
	return u.Host
}

// linksOf are the pages about an application that are worth a link.
func linksOf(cl client.Client) []aboutLink {
	var all []aboutLink
	for _, l := range []aboutLink{
		{Text: "Website", Href: cl.Policy.OAuth.ClientURI}, {Text: "Privacy policy", Href: cl.Policy.OAuth.PolicyURI},
		{Text: "Terms of service", Href: cl.Policy.OAuth.TermsURI},
	} {
		if l.Host = hostOf(l.Href); l.Host != "" {
			all = append(all, l)
		}
	}
	return all
}

// asksOf says what an application asks for, or has. Who asks for nothing in
// particular signs people in.
func asksOf(scope, claims, resources []string) []ask {
	var all []ask
	for _, s := range scope {
		all = append(all, askFor(s))
	}
	for _, c := range claims {
		all = append(all, askForClaim(c))
	}
	for _, resource := range resources {
		all = append(all, ask{Text: "Do this at", Name: resource})
	}
	if len(all) == 0 {
		all = []ask{{Text: "Sign you in"}}
	}
	return all
}

// asked-for scopes in words.
var scopeWords = map[string]ask{
	oauth.ScopeOpenID:    {Text: "Know you when you come back", More: "It learns an id that stands for you, and when you signed in."},
	oauth.ScopeProfile:   {Text: "See your name"},
	oauth.ScopeEmail:     {Text: "See your e-mail address"},
	oauth.ScopeRoles:     {Text: "See what you may do in it", More: "These are the roles that its owner gave you."},
	client.ScopeUpstream: {Text: "Use the account that you signed in with elsewhere", More: "As far as you allowed it there, for instance to read a calendar."},
	oauth.ScopeOffline:   {Text: "Keep this access while you are away", More: "Until you take it back on your account page."},
}

func askFor(scope string) ask {
	if a, ok := scopeWords[scope]; ok {
		return a
	}
	return ask{Text: "Use", Name: scope}
}

// claimWords are single claims (OpenID Connect Core §5.1) in words.
var claimWords = map[string]string{
	"name": "your name", "given_name": "your first name", "family_name": "your family name", "email": "your e-mail address",
	"email_verified": "whether your e-mail address is confirmed", "updated_at": "when your profile changed", "roles": "what you may do in it",
}

func askForClaim(name string) ask {
	if s, ok := claimWords[name]; ok {
		return ask{Text: "See " + s}
	}
	return ask{Text: "See", Name: name}
}
