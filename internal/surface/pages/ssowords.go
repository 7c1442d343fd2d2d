package pages

import "sallyport/internal/fault"

// ssoReasons are the values of the parameter that stands beside error=sso_failed, and
// says why a sign-in at an organization's provider did not work.
var ssoReasons = map[string]fault.Code{
	"domain":      fault.EmailDomainForbidden,
	"unlinked":    fault.AccountNotLinked,
	"changed":     fault.ConnectionChanged,
	"disabled":    fault.SSODisabled,
	"expired":     fault.UpstreamStateInvalid,
	"denied":      fault.UpstreamDenied,
	"refused":     fault.UpstreamFailed,
	"unreachable": fault.UpstreamUnreachable,
	"busy":        fault.UpstreamThrottled,
	"unverified":  fault.EmailUnverified,
	"taken":       fault.LinkTaken,
	"email":       fault.EmailRequired,
	"required":    fault.SSORequired,
	"mfa":         fault.MFARequired,
}

// ssoReasonOf is the reason that says a fault, "" if it is one that nobody is told of.
func ssoReasonOf(code fault.Code) string {
	for reason, c := range ssoReasons {
		if c == code {
			return reason
		}
	}
	return ""
}

// ssoWords are those that a person reads who came back from their organization's
// provider, where others than for a fault in general say more.
var ssoWords = map[fault.Code]string{
	fault.UpstreamDenied:  "Your organization's provider did not let you in. Try again, or ask your IT department for access to this application.",
	fault.UpstreamFailed:  "Your organization's provider sent an answer that we could not accept. Please try again; if it stays so, tell your IT department.",
	fault.EmailUnverified: "Your organization's provider did not say that your address is yours. Please tell your IT department.",
	fault.EmailRequired:   "Your organization's provider did not tell us your e-mail address. Please tell your IT department.",
}

// ssoReason says why a sign-in at an organization's provider did not work.
func ssoReason(reason string) string {
	code, ok := ssoReasons[reason]
	if !ok {
		return problems["oauth_failed"]
	}
	if s, ok := ssoWords[code]; ok {
		return s
	}
	return said[code]
}
