package openid

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Why a sign-in at an upstream failed: the closed list. Everything that this
// package's operations return is one of these, inside a *Failure.
var (
	// ErrDenied: the person, or the provider on their behalf, said no.
	ErrDenied = errors.New("openid: denied")
	// ErrUnreachable: no answer in time, or one of 5xx. Worth another try.
	ErrUnreachable = errors.New("openid: unreachable")
	// ErrThrottled: too many requests; Failure.RetryAfter says when to come back.
	ErrThrottled = errors.New("openid: throttled")
	// ErrInvalidGrant: the code is spent, old, or was made for somebody else.
	ErrInvalidGrant = errors.New("openid: invalid grant")
	// ErrUnfinished: the provider wants a step that only its own pages have;
	// Failure.Code says which.
	ErrUnfinished = errors.New("openid: unfinished")
	// ErrClient: the provider refuses us: our credentials, scopes or addresses.
	ErrClient = errors.New("openid: we are refused")
	// ErrUnverified: no address that the upstream may vouch for.
	ErrUnverified = errors.New("openid: e-mail address is not verified")
	// ErrOutsider: an account of a tenant or domain that may not sign in.
	ErrOutsider = errors.New("openid: account of another organization")
	// ErrAudience: what we were given was made for another application.
	ErrAudience = errors.New("openid: wrong audience")
	// ErrLies: an answer that is no answer: wrong issuer, nonce, signature or
	// time, HTML, too large, nobody's. Failure.Step tells an ID token from others.
	ErrLies = errors.New("openid: bad response")
)

// Step is how far a sign-in at an upstream came.
type Step int

// The steps.
const (
	AtRequest  Step = iota // the authorization request and its answer
	AtExchange             // the code for tokens
	AtToken                // what the ID token says; of WorkOS, its access token
	AtPerson               // what else the provider says about the person
)

// Failure is an error with its reason, one of the above. Its text is for the log
// and holds no code, token, or word of the provider's but its error code.
type Failure struct {
	Reason     error
	Step       Step
	Code       string        // the provider's error code, in the letters that RFC 6749 §5.2 allows
	RetryAfter time.Duration // of ErrThrottled
	Detail     string
	Err        error // what was refused, where another package says it more exactly
}

func (f *Failure) Error() string {
	text := f.Reason.Error()
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	if f.Code != "" {
		text += " (" + f.Code + ")"
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Redeemed reports whether the provider had taken the code and given tokens.
func (f *Failure) Redeemed() bool { return f.Step >= AtToken }

// Unwrap returns the reason, and what it is about.
func (f *Failure) Unwrap() []error {
	if f.Err == nil {
		return []error{f.Reason}
	}
	return []error{f.Reason, f.Err}
}

// Fail is a failure for a reason, in words for the log.
func Fail(reason error, format string, args ...any) error {
	return &Failure{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// During names the step that a failure was at, unless it is named already.
func During(step Step, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok && f.Step == AtRequest {
		f.Step = step
	}
	return err
}

// ErrorCode is a provider's error code as far as it can be shown: short, and of
// letters that no log or page trips over.
func ErrorCode(s string) string {
	if len(s) > 64 {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return ""
		}
	}
	return s
}

// Refusal is the failure that an error code at the authorization endpoint means
// (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
func Refusal(code string) error {
	f := &Failure{Reason: ErrClient, Code: ErrorCode(code), Detail: "at the authorization endpoint"}
	switch code {
	case "access_denied", "user_denied", "user_cancelled_authorize", "user_cancelled_login", "consent_required",
		"login_required", "interaction_required", "account_selection_required":
		f.Reason = ErrDenied
	case "server_error", "temporarily_unavailable":
		f.Reason = ErrUnreachable
	}
	return f
}

// refusedCode is the failure that an error at the token endpoint means. What is
// wrong with a request that works for others is its code, whatever a provider
// calls that: LinkedIn says invalid_request, GitHub bad_verification_code.
func refusedCode(status int, code string) error {
	f := &Failure{Reason: ErrInvalidGrant, Code: ErrorCode(code), Detail: fmt.Sprintf("status %d at the token endpoint", status)}
	switch code {
	case "invalid_client", "unauthorized_client", "incorrect_client_credentials", "unsupported_grant_type", "invalid_scope":
		f.Reason = ErrClient
	case "server_error", "temporarily_unavailable":
		f.Reason = ErrUnreachable
	default:
		if code == "" || status == http.StatusUnauthorized {
			f.Reason = ErrClient
		}
	}
	return f
}
