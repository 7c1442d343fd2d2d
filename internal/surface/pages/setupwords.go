package pages

import (
	"strings"

	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/sso"
)

// setupTitle is the heading of a step.
func setupTitle(name string, d setupData) string {
	switch name {
	case pageSetupOurs:
		return "Add us to " + d.Provider.Name
	case pageSetupTheirs:
		return "Connect " + d.Provider.Name
	}
	return map[string]string{
		pageSetupProvider: "Which identity provider do you use?", pageSetupDomain: "Verify your domain", pageSetupTest: "Test signing in",
		pageSetupOn: "Switch it on", pageSetupDirectory: "Directory sync",
	}[name]
}

// keyOfPage is the step that a page is.
func keyOfPage(name string) string {
	for _, s := range setupSteps {
		if s.page == name {
			return s.key
		}
	}
	return ""
}

// setupNotices are what a step says that was done.
var setupNotices = map[string]string{
	"connected": "Your provider is connected. It answered, and what it says fits.",
	"added":     "Now add the record below to the DNS of the domain.",
	"verified":  "The record is there: the domain is verified.",
	"removed":   "The domain is removed.",
	"on":        "Saved. Single sign-on is on.",
	"off":       "Saved. Single sign-on is off.",
	"revoked":   "The token does not work any more.",
}

// setupWords says why a step is not done.
func setupWords(f *fault.Error, by provider) string {
	why := ""
	if len(f.Params) > 0 {
		why = f.Params[0]
	}
	switch f.Code {
	case fault.IssuerInvalid:
		return issuerWords(why, f.Params, by)
	case fault.DomainInvalid:
		if s, ok := domainWords[why]; ok {
			return s
		}
	case fault.ConnectionUnready:
		if s, ok := unreadyWords[why]; ok {
			return s
		}
	case fault.OrgHolds:
		if f.Field == "" {
			return "There are as many tokens as there can be. Revoke one first."
		}
		return "This is another provider than the one that is connected now. Confirm below that it is meant."
	case fault.UpstreamUnreachable:
		return by.Subject() + " did not answer in time. Try again in a moment, and look whether the address is right."
	case fault.UpstreamFailed:
		return by.Subject() + " answered something that we could not make sense of. Look whether the values are right."
	case fault.RateLimited:
		return words(f)
	case fault.FieldInvalid:
		if s, ok := fieldWords[f.Field]; ok {
			return s
		}
	}
	return words(f)
}

// confirmWords says what follows from another provider.
func confirmWords(f *fault.Error) string {
	n := "Some"
	if len(f.Params) > 0 {
		n = f.Params[0]
	}
	if n == "1" {
		return "One person signs in by the provider that is connected now. They are signed out, and known anew by their address when they next sign in."
	}
	return n + " people sign in by the provider that is connected now. They are signed out, and known anew by their address when they next sign in."
}

// fieldWords are what is wrong with a field.
var fieldWords = map[string]string{ //nolint:gosec // words, and no credential
	"client_id":     "The client ID is missing or too long.",
	"client_secret": "The client secret is missing. It has to be entered anew where the rest changes.",
	"metadata":      "Give the metadata of your provider: its address, a file or the text.",
	"provider":      "Choose your identity provider first.",
}

// unreadyWords are what has to be done first.
var unreadyWords = map[string]string{
	enterprise.LacksConnection: "Single sign-on can be required once it is on. Switch it on, too.",
	enterprise.LacksDomain:     "Verify a domain first: without one, nobody could come in by your provider.",
	enterprise.LacksPolicy:     "Single sign-on is required, so it cannot be switched off. Let people sign in another way first.",
	enterprise.LacksSignIn:     "Before it can be required, a test sign-in must have worked with the connection as it is, so that nobody is locked out.",
}

// domainWords are why a domain cannot be one of an organization's.
var domainWords = map[string]string{
	enterprise.DomainShape:    "That is not a domain. It should look like example.com.",
	enterprise.DomainMailbox:  "At that domain, anybody can have an address. It must be one that belongs to your organization.",
	enterprise.DomainSuffix:   "Below that domain, anybody can register their own. It must be one that belongs to your organization.",
	enterprise.DomainReserved: "That domain is reserved, and belongs to nobody.",
	enterprise.DomainTooMany:  "These are as many domains as one organization can have.",
}

// issuerWords are why what a provider publishes does not fit.
func issuerWords(why string, params []string, by provider) string {
	subject := "the issuer"
	switch {
	case by.SAML:
		subject = "the address of the metadata"
	case by.Key == sso.Okta:
		subject = "the Okta domain"
	case by.Key == sso.AzureAD:
		subject = "the tenant ID"
	}
	more := ""
	if len(params) > 1 {
		more = params[1]
	}
	switch why {
	case enterprise.IssuerUnreachable:
		return "We could not reach the server. Look whether " + subject + " is spelt right, and whether it can be reached from the Internet."
	case enterprise.IssuerTLS:
		return "The certificate of the server is not to be trusted, so we did not ask it anything."
	case enterprise.IssuerStatus:
		if by.Key == sso.AzureAD {
			return "Microsoft knows no tenant by that ID. Copy the Directory (tenant) ID once more, and not the Application ID."
		}
		return "There is a server, but it does not have what we look for there. Look whether " + subject + " is right."
	case enterprise.IssuerTooLarge:
		return "What is there is too large. Look whether " + subject + " is right."
	case enterprise.IssuerNotJSON:
		return "What is there is not the discovery document of an OpenID Connect provider. Look whether " + subject + " is right."
	case enterprise.IssuerDiffers:
		return "The provider calls itself " + more + ". Enter exactly that."
	case enterprise.IssuerEndpoints:
		return "The provider does not say where people sign in, or names an address that we cannot go to. Look whether this is the right document."
	case enterprise.IssuerPrivate:
		return "That address is in a private network, which we do not go to. It must be one that can be reached from the Internet."
	case enterprise.IssuerNotHTTPS:
		return "It must begin with https://."
	case enterprise.IssuerBadURL:
		return "That is not an address. It should look like https://login.example.com, without ? and #."
	case enterprise.IssuerKeys:
		return "The provider names keys that we could not read. Look whether " + subject + " is right."
	case enterprise.IssuerExpired:
		return "The certificate in the metadata has expired. Make a new one at your provider, and give us the metadata again."
	case enterprise.IssuerShared:
		return "That issuer is shared by all of Microsoft's customers. Enter the ID of your own tenant."
	case enterprise.IssuerSAML:
		if len(params) > 2 {
			return "This cannot be used: " + params[2] + "."
		}
	}
	return "What your provider publishes does not fit. Look whether " + subject + " is right."
}

// lookedWords says what a look at the DNS found.
func lookedWords(f *fault.Error) *lookedUp {
	why, found := "", []string(nil)
	if len(f.Params) > 0 {
		why, found = f.Params[0], f.Params[1:]
	}
	switch why {
	case enterprise.UnprovenNone:
		return &lookedUp{"The record is not there yet.", "If you have just added it, wait a minute and check again. Many consoles put the domain behind the name by themselves: " +
			"then the name is only what stands before it.", nil}
	case enterprise.UnprovenOther:
		return &lookedUp{"There is a record of that name, with another value.", "Put the value above in its place, whole and without quotes. If you have just changed it, wait a minute.", found}
	case enterprise.UnprovenUnreachable:
		return &lookedUp{"The DNS of the domain did not answer.", "That is most often over soon. Check again in a minute.", nil}
	case enterprise.UnprovenExpired:
		return &lookedUp{"The value was good for seven days, which are over.", "Remove the domain, add it again, and use the new value.", nil}
	}
	return &lookedUp{Title: "The record could not be checked.", Text: "Check again in a minute."}
}

// toldProblem is a problem of a test, and what of the person it is about.
type toldProblem struct {
	problemShown
	about string
}

// problemOfTest says what is wrong with what a provider said of somebody, and how to
// mend it.
func problemOfTest(one sso.Problem, t sso.Test, domains []string, by provider) toldProblem {
	told := toldProblem{problemShown: problemShown{Mild: one.Warning}}
	claim, where := "claim", "the ID token"
	if by.SAML {
		claim, where = "attribute", "the assertion"
	}
	switch one.Code {
	case sso.ProblemNoEmail:
		told.about, told.Title, told.Text = "email", "There is no e-mail address", "Have your provider put the "+claim+" email into "+where+"."
		if by.Key == sso.AzureAD {
			told.Text = "Under Token configuration, add the optional claim email to the ID token, and see that your account has an address in its properties."
		}
	case sso.ProblemUnverified:
		told.about, told.Title = "verified", "Your provider says that the address is not verified"
		told.Text = "Verify the address there, or have your provider leave the claim email_verified out."
	case sso.ProblemDomain:
		told.about, told.Title = "email", "The address is in none of your domains"
		told.Text = "You came as " + t.Email + ", and what you have verified is " + list(domains) + ". Test with an account that has an address there, or verify that domain, too."
	case sso.ProblemNoDomain:
		told.about, told.Title = "email", "You have no verified domain yet"
		told.Text = "Whoever comes by your provider needs an address in a domain of yours. Verify one, then test again."
	case sso.ProblemNoName:
		told.Title, told.Text = "There is no name", "That keeps nobody out. With the "+claim+"s for given and family name, people need not type theirs."
	case sso.ProblemSAML:
		told.Title, told.Text = samlProblem(one.Params)
	default:
		said, ok := testWords[one.Code]
		if !ok {
			said = testWords[sso.ProblemAnswer]
		}
		told.Title, told.Text = said[0], said[1]
		if len(one.Params) > 0 {
			told.Detail = one.Params[0]
		}
	}
	return told
}

// list is names as people list them.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
