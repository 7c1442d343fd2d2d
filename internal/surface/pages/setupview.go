package pages

import (
	"slices"

	"sallyport/internal/wire"
)

// setupData fills the pages that connect an organization to its identity
// provider. Each page uses the part that it is about.
type setupData struct {
	Org, Until string
	Steps      []step
	N          int // of this one, from 1

	Provider  provider
	Providers []choice     // of the first step
	Ours      []copied     // what the provider is to be told
	Metadata  string       // where our own metadata is
	Given     connectGiven // what was typed, or is stored
	Confirm   string       // what a change of provider means; "" asks nothing
	HasSecret bool
	Connected bool

	Domains  []domainCard
	looked   string    // the domain that the DNS was asked of just now
	saw      *lookedUp // and what it said
	Verified bool      // one of them is

	Test   *testShown
	Tested bool // and it is good for the connection as it is

	Checks                             []check
	Ready, On, JIT, TrustMFA, Required bool
	Decided, BreakGlass                bool

	SCIM   copied
	Synced string // how many people and groups came so far; "" if none
	Token  *copied
	Tokens []tokenRow
}

// The steps, in order. Each is a page below /setup.
var setupSteps = []struct{ key, page, name string }{
	{"provider", pageSetupProvider, "Identity provider"},
	{"ours", pageSetupOurs, "Our details"},
	{"theirs", pageSetupTheirs, "Your details"},
	{"domain", pageSetupDomain, "Your domain"},
	{"test", pageSetupTest, "Test sign-in"},
	{"on", pageSetupOn, "Switch on"},
	{"directory", pageSetupDirectory, "Directory sync"},
}

// step is one of them on the list beside a page: done, open, or later where
// something has to be done first.
type step struct {
	Name, Path, State string
	Here              bool
}

// copied is a value with a button that copies it.
type copied struct{ ID, Label, Value, About string }

// choice is a provider on the first page.
type choice struct {
	provider
	Used bool
}

// connectGiven is what an IT admin types.
type connectGiven struct{ Issuer, ClientID, MetadataURL, MetadataXML, Domain string }

// domainCard is a domain with the record that proves it.
type domainCard struct {
	ID, Name        string
	Verified        bool
	Since           string
	Record, Content copied
	Said            *lookedUp
}

// lookedUp is what a look at the DNS found, in words.
type lookedUp struct {
	Title, Text string
	Found       []string
}

// testShown is a test sign-in as it is shown.
type testShown struct {
	OK, Stale        bool
	At, Email, Count string
	Problems         []problemShown
	Rows             []claimRow
}

// problemShown is something wrong and how to mend it. A mild one keeps nobody out.
type problemShown struct {
	Title, Text string
	Detail      string // in the words of the provider, or of the protocol
	Mild        bool
}

// claimRow is a claim of an ID token or an attribute of an assertion, and what it
// is taken for.
type claimRow struct {
	Name   string
	Values []string
	Use    string
	Bad    bool
	rank   int // what says who somebody is comes first, what nothing is read from last
}

// check is something that has to be so before single sign-on can be on.
type check struct {
	Text, Why, Href, Link string
	OK                    bool
}

// tokenRow is a token for the directory.
type tokenRow struct{ ID, Name, Made, Used string }

// provider is an identity provider as the page speaks of it.
type provider struct {
	Key   string // as sso.Connection.Provider
	Title string // on the list, and at the beginning of a sentence
	Name  string // within a sentence
	Mark  string
	About string
	SAML  bool
}

var providers = []provider{
	{"okta", "Okta", "Okta", "okta", "OpenID Connect", false},
	{"azure_ad", "Microsoft Entra ID", "Microsoft Entra ID", "azure_ad", "Formerly Azure Active Directory", false},
	{"google", "Google Workspace", "Google Workspace", "google", "Accounts that your organization has at Google", false},
	{"oidc", "Other, by OpenID Connect", "your provider", "oidc", "Auth0, Keycloak, OneLogin, Ping, JumpCloud and any that is standard", false},
	{"saml", "Other, by SAML", "your provider", "saml", "AD FS, Shibboleth and whatever speaks SAML 2.0", true},
}

// Subject is the provider at the beginning of a sentence.
func (p provider) Subject() string {
	if p.Name == p.Title {
		return p.Title
	}
	return "Your provider"
}

func providerOf(key string) (provider, bool) {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.Key == key })
	if i < 0 {
		return provider{}, false
	}
	return providers[i], true
}

// at is where a page of the set-up is.
func setupAt(key string, pairs ...string) string {
	return wire.WithQuery("/setup/"+key, pairs...)
}
