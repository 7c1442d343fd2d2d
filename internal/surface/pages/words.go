package pages

import (
	"net/http"
	"strconv"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
)

// said gives every fault its words for a person. A "%s" takes the fault's
// first parameter.
var said = map[fault.Code]string{
	fault.ClientUnknown:       "This application is unknown here, or it has been switched off.",
	fault.MethodDisabled:      "This application does not offer that way to sign in.",
	fault.CredentialsInvalid:  "The e-mail address or the password is wrong.",
	fault.NotEnrolled:         "You do not have access to this application. Ask for an invitation.",
	fault.EnrolmentPending:    "Your account waits for approval. You will get a mail.",
	fault.EnrolmentSuspended:  "Your account has been suspended.",
	fault.FactorSetupRequired: "This application requires two-factor authentication. Set it up on your account page, then sign in again.",
	fault.ChallengeInvalid:    "This sign-in has expired. Please start again.",
	fault.CodeInvalid:         "The code is wrong, or it was used already.",
	fault.CodeAttempts:        "Too many wrong codes. Please wait and start again.",
	fault.RateLimited:         "Too many attempts. Please wait a while and try again.",
	fault.Busy:                "We are very busy just now. Please try again in a moment.",
	fault.Unavailable:         "We cannot do that just now. Please try again in a moment.",

	fault.InviteRequired:         "This application is by invitation only.",
	fault.AccountExists:          "There is an account with this e-mail address already. Sign in instead.",
	fault.EmailInvalid:           "This is not an e-mail address.",
	fault.EmailRequired:          "Please give your e-mail address.",
	fault.DisplayNameRequired:    "Please give your name.",
	fault.PasswordTooShort:       "The password must have at least %s characters.",
	fault.PasswordTooLong:        "The password must have at most %s characters.",
	fault.PasswordNeedsUppercase: "The password must contain an uppercase letter.",
	fault.PasswordNeedsLowercase: "The password must contain a lowercase letter.",
	fault.PasswordNeedsDigit:     "The password must contain a digit.",
	fault.PasswordNeedsSymbol:    "The password must contain a symbol.",
	fault.PasswordCommon:         "This password is too easy to guess. Please choose another.",
	fault.InviteInvalid:          "This invite code is wrong, was used already, or has expired.",
	fault.InviteEmailMismatch:    "The invitation was issued for a different e-mail address.",
	fault.AlreadyEnrolled:        "You have access already. Just sign in.",
	fault.ResetInvalid:           "This link has expired or was used already. Ask for a new one.",
	fault.MagicLinkInvalid:       "This sign-in link has expired or was used already. Ask for a new one.",
	fault.VerificationInvalid:    "This link has expired or was used already.",
	fault.RedirectURIInvalid:     "The application asked to be returned to an address that is not registered for it.",

	fault.RefreshInvalid:     "Your session has ended.",
	fault.RefreshReused:      "Your session has ended.",
	fault.RefreshWrongClient: "Your session has ended.",
	fault.Unauthenticated:    "Please sign in.",
	fault.Forbidden:          "You may not do that.",
	fault.ScopeMissing:       "You may not do that.",
	fault.ClientAuthFailed:   "The application could not prove who it is.",
	fault.GrantUnsupported:   "The application asked for something it cannot have.",
	fault.ScopeInvalid:       "The application asked for something it cannot have.",

	fault.ProofRequired:        "Please enter your password or a code to confirm this change.",
	fault.CurrentPasswordWrong: "Your current password is wrong.",
	fault.LastSignInMethod:     "This is your last way to sign in, so it stays.",
	fault.TOTPEnabled:          "Two-factor authentication is on already.",
	fault.TOTPNotStarted:       "The setup has expired. Please start again.",
	fault.TOTPDemanded:         "An application that you use requires two-factor authentication.",
	fault.SessionUnknown:       "That session has ended already.",
	fault.LinkUnknown:          "That account is not linked.",

	fault.UserUnknown:       "There is no such user.",
	fault.TenantUnknown:     "There is no such tenant.",
	fault.InviteUnknown:     "There is no such invitation.",
	fault.WebhookUnknown:    "There is no such webhook.",
	fault.DeliveryUnknown:   "There is no such delivery.",
	fault.RoleInvalid:       "There is no role “%s”.",
	fault.EventInvalid:      "There is no event “%s”.",
	fault.WebhookURLInvalid: "This is not an address for a webhook.",
	fault.InviteSpent:       "The invitation was used already.",
	fault.EnrolmentState:    "That has been done already.",
	fault.FileUnsupported:   "This kind of file is not supported.",
	fault.FileTooLarge:      "The file is too large.",
	fault.SlugTaken:         "That short name is taken.",
	fault.FieldInvalid:      "One of the fields is not right.",
}

// words says a fault to a person.
func words(f *fault.Error) string {
	s := said[f.Code]
	if len(f.Params) > 0 {
		return replaceParam(s, f.Params[0])
	}
	return s
}

func replaceParam(s, param string) string {
	for i := range len(s) - 1 {
		if s[i:i+2] == "%s" {
			return s[:i] + param + s[i+2:]
		}
	}
	return s
}

// statusOf is the status of a page that shows a fault.
func statusOf(f *fault.Error) int {
	switch f.Code {
	case fault.RateLimited, fault.CodeAttempts:
		return http.StatusTooManyRequests
	case fault.Busy, fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.CredentialsInvalid, fault.CodeInvalid, fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.NotEnrolled, fault.EnrolmentPending, fault.EnrolmentSuspended, fault.FactorSetupRequired, fault.Forbidden, fault.ProofRequired, fault.TOTPDemanded:
		return http.StatusForbidden
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
// keymaster §4.2).
var problems = map[string]string{
	"oauth_denied":       "You did not allow the sign-in. Try again, or choose another way.",
	"oauth_failed":       "The sign-in did not work. Try again, or choose another way.",
	"invalid_magic_link": said[fault.MagicLinkInvalid],
	"not_enrolled":       said[fault.NotEnrolled],
	"pending_approval":   said[fault.EnrolmentPending],
	"account_suspended":  said[fault.EnrolmentSuspended],
	"2fa_required":       said[fault.FactorSetupRequired],
	"invite_required":    said[fault.InviteRequired],
}
