package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
)

// said gives every fault its words for a person. A "%s" takes the fault's
// first parameter, or the time after which to try again.
var said = map[fault.Code]string{
	fault.ClientUnknown:       "This application is unknown here, or it has been switched off. Go back to it and try again, or tell its owner.",
	fault.MethodDisabled:      "This application does not offer that way to sign in.",
	fault.CredentialsInvalid:  "The e-mail address or the password is wrong.",
	fault.NotEnrolled:         "You do not have access to this application. Ask for an invitation.",
	fault.EnrolmentPending:    "Your account is waiting for approval. We will send you a mail when you can sign in.",
	fault.EnrolmentSuspended:  "Your account has been suspended. Please contact the owner of the application.",
	fault.FactorSetupRequired: "This application requires two-factor authentication. Set it up on your account page, then sign in again.",
	fault.ChallengeInvalid:    "This sign-in has expired. Please start again.",
	fault.CodeInvalid:         "That code is wrong, or it was used already. Enter the newest one.",
	fault.CodeAttempts:        "Too many wrong codes. Please start again %s.",
	fault.RateLimited:         "Too many attempts. Please try again %s.",
	fault.Busy:                "We are very busy just now. Please try again %s.",
	fault.Unavailable:         "We cannot do that just now. Please try again %s.",

	fault.UpstreamUnknown:      "There is no such way to sign in here.",
	fault.UpstreamDenied:       "You did not agree to sign in there. Try again, or sign in another way.",
	fault.UpstreamFailed:       "That did not work: we could not make sense of the answer. Please try again.",
	fault.UpstreamStateInvalid: "This sign-in has expired, or it was begun in another browser. Please start again.",
	fault.UpstreamUnreachable:  "The provider did not answer. Try again in a moment, or choose another way.",
	fault.UpstreamThrottled:    "The provider is very busy just now. Try again in a moment, or choose another way.",
	fault.EmailUnverified:      "The provider did not give us an e-mail address that it has verified. Verify yours there and try again, or choose another way.",
	fault.LinkTaken:            "That account is connected to somebody else here, or you have connected another one of the same provider.",

	fault.InviteRequired:         "You need an invitation to join. Enter the code that you were sent.",
	fault.AccountExists:          "There is an account with this e-mail address already. Sign in instead.",
	fault.EmailInvalid:           "That is not an e-mail address. It should look like you@example.com.",
	fault.EmailRequired:          "Please give your e-mail address.",
	fault.DisplayNameRequired:    "Please give your name, in at most 100 characters.",
	fault.PasswordTooShort:       "The password must have at least %s characters.",
	fault.PasswordTooLong:        "The password must have at most %s characters.",
	fault.PasswordNeedsUppercase: "The password must contain an uppercase letter.",
	fault.PasswordNeedsLowercase: "The password must contain a lowercase letter.",
	fault.PasswordNeedsDigit:     "The password must contain a digit.",
	fault.PasswordNeedsSymbol:    "The password must contain a symbol.",
	fault.PasswordCommon:         "This password is too easy to guess. Please choose another.",
	fault.InviteInvalid:          "This invite code is wrong, was used already, or has expired. Ask for a new invitation.",
	fault.InviteEmailMismatch:    "The invitation was issued for a different e-mail address.",
	fault.AlreadyEnrolled:        "You have access already. Just sign in.",
	fault.ResetInvalid:           "This link has expired or was used already. Ask for a new one.",
	fault.MagicLinkInvalid:       "This sign-in link has expired or was used already. Ask for a new one.",
	fault.VerificationInvalid:    "This link has expired or was used already.",
	fault.RedirectURIInvalid:     "The application asked to be returned to an address that is not registered for it.",

	fault.RefreshInvalid:     "Your session has ended.",
	fault.RefreshReused:      "Your session has ended.",
	fault.RefreshWrongClient: "Your session has ended.",
	fault.Unauthenticated:    "You are not signed in. Sign in to one of your applications first, then come back.",
	fault.Forbidden:          "You may not do that.",
	fault.ScopeMissing:       "You may not do that.",
	fault.ClientAuthFailed:   "The application could not prove who it is.",
	fault.GrantUnsupported:   "The application asked for something it cannot have.",
	fault.ScopeInvalid:       "The application asked for something it cannot have.",

	fault.ProofRequired:        "It is a while since you signed in. Confirm the change with your password or a code, or sign in again.",
	fault.CurrentPasswordWrong: "That is not your current password.",
	fault.LastSignInMethod:     "This is your last way to sign in, so it stays. Add another one first.",
	fault.TOTPEnabled:          "Two-factor authentication is on already.",
	fault.TOTPNotStarted:       "The setup has expired. Please start again.",
	fault.TOTPDemanded:         "An application that you use requires two-factor authentication.",
	fault.SessionUnknown:       "That session has ended already.",
	fault.LinkUnknown:          "That account is not connected.",

	fault.OrgUnknown:      "There is no such organization.",
	fault.OrgHolds:        "Something belongs to this organization still.",
	fault.AccountRequired: "That is for members of an organization.",
	fault.InvitePending:   "This address is invited already.",

	fault.SSORequired:          "Your organization lets you sign in by its own single sign-on only.",
	fault.SSODisabled:          "Single sign-on is not set up there. Check the address, or sign in another way.",
	fault.MFARequired:          "Your organization requires two-factor authentication.",
	fault.EmailDomainForbidden: "Your organization's sign-in gave an e-mail address that is not one of its own. Please tell its administrator.",
	fault.AccountNotLinked:     "There is an account with your e-mail address already, and your organization's sign-in cannot open it. Please tell its administrator.",
	fault.HandleInvalid:        "This sign-in has expired, or it was begun in another browser. Please start again.",
	fault.ConnectionChanged:    "Your organization has changed how it signs people in. Please start again.",
	fault.DomainUnproven:       "We did not find the record yet. It can take a while until everybody sees it; please try again later.",
	fault.DomainTaken:          "Another organization has shown this domain to be its own.",
	fault.DomainUnknown:        "The organization has no such domain.",
	fault.ConnectionUnready:    "Single sign-on is not ready for this.",
	fault.DomainInvalid:        "That is not a domain that an organization can have. It should look like example.com.",
	fault.IssuerInvalid:        "What is published at that address does not fit.",
	fault.SetupLinkInvalid:     "This link has expired. Ask for a new one.",
	fault.KeyInvalid:           "You are not signed in.",
	fault.KeyPinned:            "You may not do that.",
	fault.APIKeyUnknown:        "There is no such key.",

	fault.UserUnknown:       "There is no such user.",
	fault.TenantUnknown:     "There is no such tenant.",
	fault.InviteUnknown:     "There is no such invitation.",
	fault.WebhookUnknown:    "There is no such webhook.",
	fault.DeliveryUnknown:   "There is no such delivery.",
	fault.DeliveryPending:   "That is being delivered already.",
	fault.RoleInvalid:       "There is no role “%s”.",
	fault.EventInvalid:      "There is no event “%s”.",
	fault.WebhookURLInvalid: "This is not an address for a webhook.",
	fault.InviteSpent:       "The invitation was used already.",
	fault.EnrolmentState:    "That has been done already.",
	fault.FileUnsupported:   "This kind of file is not supported.",
	fault.FileTooLarge:      "The file is too large.",
	fault.SlugTaken:         "That short name is taken.",
	fault.LastAdministrator: "This is the last administrator, who stays.",
	fault.FieldInvalid:      "One of the fields is not right.",
}

// words says a fault to a person.
func words(f *fault.Error) string {
	s, param := said[f.Code], ""
	switch {
	case len(f.Params) > 0:
		param = f.Params[0]
	case statusOf(f) == http.StatusTooManyRequests, statusOf(f) == http.StatusServiceUnavailable:
		param = later(f.RetryAfter)
	}
	return strings.Replace(s, "%s", param, 1)
}

// later says when to come back.
func later(d time.Duration) string {
	switch minutes := int((d + time.Minute - 1) / time.Minute); {
	case d <= 0:
		return "later"
	case minutes == 1:
		return "in a minute"
	case minutes <= 90:
		return "in " + strconv.Itoa(minutes) + " minutes"
	default:
		return "in " + strconv.Itoa((minutes+59)/60) + " hours"
	}
}

// statusOf is the status of a page that shows a fault.
func statusOf(f *fault.Error) int {
	switch f.Code {
	case fault.RateLimited, fault.CodeAttempts:
		return http.StatusTooManyRequests
	case fault.Busy, fault.Unavailable, fault.UpstreamUnreachable, fault.UpstreamThrottled:
		return http.StatusServiceUnavailable
	case fault.CredentialsInvalid, fault.CodeInvalid, fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.NotEnrolled, fault.EnrolmentPending, fault.EnrolmentSuspended, fault.FactorSetupRequired, fault.Forbidden, fault.ProofRequired, fault.TOTPDemanded,
		fault.SSORequired, fault.MFARequired, fault.EmailDomainForbidden, fault.ConnectionChanged:
		return http.StatusForbidden
	case fault.ConnectionUnready, fault.DomainTaken, fault.OrgHolds:
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// retryAfter says when waiting will help.
func retryAfter(w http.ResponseWriter, f *fault.Error) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(limit.RetryAfter(f.RetryAfter)))
	}
}

// problems are the values of the login page's error parameter (contract
// keymaster §4.2) whose words are not a fault's.
var problems = map[string]string{
	"oauth_denied":    "You did not allow the sign-in. Try again, or choose another way.",
	"oauth_failed":    "The sign-in did not work. Try again, or choose another way.",
	"invite_required": "This application is by invitation only. If you have an invite code, you can use it below.",
}

// problemFaults are those whose words are.
var problemFaults = map[string]fault.Code{
	"invalid_magic_link": fault.MagicLinkInvalid,
	"not_enrolled":       fault.NotEnrolled,
	"pending_approval":   fault.EnrolmentPending,
	"account_suspended":  fault.EnrolmentSuspended,
	"2fa_required":       fault.FactorSetupRequired,
	"sso_required":       fault.SSORequired,
}

// problemWords says what an error parameter means. Of one that nobody knows it
// says no more than that something failed, and never repeats it.
func problemWords(problem string) string {
	if code, ok := problemFaults[problem]; ok {
		return said[code]
	}
	if s, ok := problems[problem]; ok {
		return s
	}
	return problems["oauth_failed"]
}

// reasons are the values of the parameter that may stand beside error, and say
// more of why a sign-in at an upstream did not work.
var reasons = map[string]fault.Code{
	"expired":     fault.UpstreamStateInvalid,
	"unreachable": fault.UpstreamUnreachable,
	"busy":        fault.UpstreamThrottled,
	"unverified":  fault.EmailUnverified,
	"taken":       fault.LinkTaken,
}

// reasonWords is problemWords with a reason, if it is one that is known.
func reasonWords(problem, reason string) string {
	if code, ok := reasons[reason]; ok && problem == "oauth_failed" {
		return said[code]
	}
	if problem == "sso_failed" {
		return ssoReason(reason)
	}
	return problemWords(problem)
}
