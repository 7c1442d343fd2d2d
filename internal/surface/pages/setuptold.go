package pages

import (
	"slices"

	"sallyport/internal/saml"
	"sallyport/internal/sso"
)

// testWords are what is wrong with what came of a test, and how to mend it.
var testWords = map[sso.ProblemCode][2]string{
	sso.ProblemDenied:      {"You were not let in there", "You cancelled, or your account is not assigned to the application. Assign yourself at your provider, then test again."},
	sso.ProblemUnreachable: {"Your provider did not answer", "We could not fetch what we need from it, or it asks us to wait. Try again in a moment."},
	sso.ProblemSpent:       {"Your provider refused its own code", "That happens when a test is finished twice, or when the redirect URI differs. Test once more."},
	sso.ProblemClient:      {"Your provider refuses the application", "Compare the client ID and the redirect URI, and copy the secret once more. It may have expired; at Microsoft, its Value is needed and not its ID."},
	sso.ProblemAudience:    {"The answer is for another application", "The client ID is not the one of the application that people signed in to. Copy it once more."},
	sso.ProblemOutsider:    {"This is not an account of your organization", "Your provider did not say that the account belongs to a verified domain of yours. Use your account at work, and not a private one."},
	sso.ProblemAnswer:      {"The answer cannot be trusted", "It has another issuer than the one that you entered, a signature that does not fit, or a time that is off. Compare the issuer, and the clock of your provider."},
	sso.ProblemNoGroups:    {"No groups were sent", "Roles depend on groups here. Have your provider send them, or nobody gets a role by them."},
	sso.ProblemNoRole:      {"No role fits", "Whoever comes like this comes in, as a member without a further role."},
	sso.ProblemNoFactors:   {"A second factor will be asked for", "Your organization demands two factors, and your provider does not say that there were. If it always asks for two, say so in the next step."},
}

// samlProblem says what is wrong with a SAML response: the reason, and the sentence
// for it.
func samlProblem(params []string) (title, text string) {
	title = "The response was refused"
	if len(params) < 2 {
		return title, "It does not have what it must have."
	}
	switch saml.Reason(params[0]) {
	case saml.Unsigned, saml.BadSignature, saml.SignatureShape, saml.SignatureTarget, saml.WeakAlgorithm:
		title = "The signature is not good"
	case saml.UnknownKey, saml.ExpiredKey, saml.NoKey:
		title = "The certificate does not fit"
	case saml.NotEncrypted, saml.WeakEncryption, saml.Undecryptable, saml.EncryptedMembers:
		title = "The encryption does not fit"
	case saml.WrongIssuer, saml.WrongAudience, saml.WrongDestination, saml.WrongRecipient:
		title = "A value is not the same on both sides"
	case saml.NotYet, saml.Expired, saml.NoTime:
		title = "The time does not fit"
	case saml.Denied:
		title = "You were not let in there"
	case saml.NoSubject, saml.Transient, saml.NoStatement:
		title = "It does not say who you are"
	}
	return title, sentence(params[1])
}

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	return s + "."
}

// uses are what claims and attributes are taken for, and what of a person they are.
var uses = []struct {
	names     []string
	use, what string
}{
	{[]string{"sub"}, "Who it is, whatever else changes", ""},
	{[]string{"NameID"}, "Who it is, whatever else changes", ""},
	{[]string{"iss"}, "Who says so", ""},
	{[]string{"aud"}, "For whom: our client ID", ""},
	{[]string{"email_verified"}, "Whether the address is verified", "verified"},
	{[]string{"hd"}, "The organization at Google", "hd"},
	{[]string{"amr", "acr"}, "How the person proved who they are", ""},
	{[]string{"iat"}, "When it was said", ""},
	{[]string{"exp"}, "Until when it is good", ""},
	{[]string{"auth_time"}, "When the person signed in there", ""},
	{[]string{"nonce"}, "That it is for this sign-in", ""},
}

// meanings are what is read of a person, the most telling first.
var meanings = []struct {
	means     sso.Meaning
	use, what string
}{
	{sso.MeansEmail, "Address", "email"},
	{sso.MeansGivenName, "Given name", "name"},
	{sso.MeansFamilyName, "Family name", "name"},
	{sso.MeansName, "Name", "name"},
	{sso.MeansGroups, "Groups, which roles depend on", ""},
}

// useOf says what a claim is taken for, "" if for nothing, what of the person it
// tells, for marking what is wrong, and where it stands among the others.
func useOf(name string, c *sso.Connection) (use, what string, rank int) {
	var own sso.Attributes
	if c != nil {
		own = c.Attributes
	}
	means := own.Meaning(name)
	for i, m := range meanings {
		if m.means == means {
			return m.use, m.what, i
		}
	}
	for i, u := range uses {
		if slices.Contains(u.names, name) {
			return u.use, u.what, len(meanings) + i
		}
	}
	return "", "", len(meanings) + len(uses)
}
