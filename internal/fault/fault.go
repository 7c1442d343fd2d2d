// Package fault is the closed list of failures that a caller may learn of. A
// fault names its cause and carries the facts of it; the words, and the status
// that a protocol gives it, belong to the surface that answers. Anything that
// is not a fault is a 500 whose reason only the log knows.
package fault

import (
	"errors"
	"time"
)

// Code names the cause of a failure.
type Code string

// Sign-in: who is asking, and whether they may come in.
const (
	ClientUnknown       Code = "client_unknown"        // no such client, or it is switched off
	MethodDisabled      Code = "method_disabled"       // Params[0]: the sign-in method the client does not offer
	CredentialsInvalid  Code = "credentials_invalid"   // unknown user, no password, wrong password: one cause for all
	NotEnrolled         Code = "not_enrolled"          // proved who they are, but have no place in the client
	EnrolmentPending    Code = "enrolment_pending"     // waits for approval
	EnrolmentSuspended  Code = "enrolment_suspended"   // the enrolment, or the user everywhere, is suspended; Params[0]: the status of the user
	FactorSetupRequired Code = "factor_setup_required" // the client demands a second factor that the user has not got
	ChallengeInvalid    Code = "challenge_invalid"     // unknown, expired or consumed challenge; Params[0]: TriesSpent
	CodeInvalid         Code = "code_invalid"          // wrong or already used one-time code; Params[0]: CodeGone
	CodeAttempts        Code = "code_attempts"         // too many wrong one-time codes
	RateLimited         Code = "rate_limited"          // RetryAfter says when to come back
	Busy                Code = "busy"                  // the password pool is full; RetryAfter
	Unavailable         Code = "unavailable"           // the database cannot be reached or written; RetryAfter
)

// What a surface whose contract tells them apart may say beyond the code.
const (
	TriesSpent = "tries" // it was answered wrongly too often
	CodeGone   = "gone"  // none was mailed, or it has expired
)

// Sign-in by an upstream. Err is the upstream's failure, for the log and for a
// surface whose contract tells more of them apart.
const (
	UpstreamUnknown      Code = "upstream_unknown"       // none of that name
	UpstreamDenied       Code = "upstream_denied"        // the person, or the provider on their behalf, said no
	UpstreamFailed       Code = "upstream_failed"        // the answer was refused, by the provider or by us
	UpstreamStateInvalid Code = "upstream_state_invalid" // unknown, expired, spent, or of another browser or upstream
	UpstreamUnreachable  Code = "upstream_unreachable"   // no answer; the same attempt may be tried again
	UpstreamThrottled    Code = "upstream_throttled"     // RetryAfter, if the provider said so
	EmailUnverified      Code = "email_unverified"       // no address that the upstream may vouch for
	LinkTaken            Code = "link_taken"             // the upstream account is another user's, or another one of it is this user's
)

// Sign-up, invitations and recovery.
const (
	InviteRequired         Code = "invite_required"
	AccountExists          Code = "account_exists"
	EmailInvalid           Code = "email_invalid"
	EmailRequired          Code = "email_required"
	DisplayNameRequired    Code = "display_name_required"
	PasswordTooShort       Code = "password_too_short" // Params[0]: least length in characters
	PasswordTooLong        Code = "password_too_long"  // Params[0]: greatest length in characters
	PasswordNeedsUppercase Code = "password_needs_uppercase"
	PasswordNeedsLowercase Code = "password_needs_lowercase"
	PasswordNeedsDigit     Code = "password_needs_digit"
	PasswordNeedsSymbol    Code = "password_needs_symbol"
	PasswordCommon         Code = "password_common" // on the list of common and breached ones, or the user's own address or name
	InviteInvalid          Code = "invite_invalid"  // unknown, spent, revoked, expired, or another client's
	InviteEmailMismatch    Code = "invite_email_mismatch"
	AlreadyEnrolled        Code = "already_enrolled"
	ResetInvalid           Code = "reset_invalid"
	MagicLinkInvalid       Code = "magic_link_invalid"
	VerificationInvalid    Code = "verification_invalid"
	RedirectURIInvalid     Code = "redirect_uri_invalid"
)

// Tokens and machine callers.
const (
	RefreshInvalid     Code = "refresh_invalid"      // unknown, expired, or ended
	RefreshReused      Code = "refresh_reused"       // rotated before: the family has been ended
	RefreshWrongClient Code = "refresh_wrong_client" // belongs to another client; nothing was changed
	Unauthenticated    Code = "unauthenticated"
	Forbidden          Code = "forbidden"
	ScopeMissing       Code = "scope_missing" // Params[0]: the scope that the token lacks
	ClientAuthFailed   Code = "client_auth_failed"
	GrantUnsupported   Code = "grant_unsupported"
	ScopeInvalid       Code = "scope_invalid" // Params[0]: the scope as it was sent
)

// A signed-in person's own account.
const (
	ProofRequired        Code = "proof_required" // a sensitive change wants a password, a code, or a fresh sign-in
	CurrentPasswordWrong Code = "current_password_wrong"
	LastSignInMethod     Code = "last_sign_in_method"
	TOTPEnabled          Code = "totp_enabled"
	TOTPNotStarted       Code = "totp_not_started"
	TOTPDemanded         Code = "totp_demanded" // a client the user is enrolled in demands it
	SessionUnknown       Code = "session_unknown"
	LinkUnknown          Code = "link_unknown"
)

// Organizations, which some surfaces call accounts.
const (
	OrgUnknown      Code = "org_unknown"      // there is none, or it is not the caller's affair
	OrgHolds        Code = "org_holds"        // something belongs to it still
	AccountRequired Code = "account_required" // only for who acts in an account
	InvitePending   Code = "invite_pending"   // the address is invited already
)

// Sign-in by an organization's own provider, and what an organization sets up
// for it.
const (
	SSORequired          Code = "sso_required"           // the organization lets its members in by its own provider alone; Params: its slug and id
	SSODisabled          Code = "sso_disabled"           // no such organization, or none that signs people in now: one cause for all
	MFARequired          Code = "mfa_required"           // the organization demands a second factor that this sign-in has not; Params as of SSORequired
	EmailDomainForbidden Code = "email_domain_forbidden" // the address is of no domain that the organization has proved
	AccountNotLinked     Code = "account_not_linked"     // somebody has the address, and the provider's word is not enough
	HandleInvalid        Code = "handle_invalid"         // unknown, expired or spent handle, or of another browser
	ConnectionChanged    Code = "connection_changed"     // the organization's sign-in is not what it was when this one began
	DomainUnproven       Code = "domain_unproven"        // the record that proves it is not there
	DomainTaken          Code = "domain_taken"           // another organization has proved it
	DomainUnknown        Code = "domain_unknown"         // the organization does not claim it
	ConnectionUnready    Code = "connection_unready"     // the organization's policy wants more, or less, of its provider; Params[0]: what
	DomainInvalid        Code = "domain_invalid"         // not a domain that an organization can have
	IssuerInvalid        Code = "issuer_invalid"         // what the provider publishes does not fit
	SetupLinkInvalid     Code = "setup_link_invalid"     // unknown, expired or revoked
	KeyInvalid           Code = "key_invalid"            // an API key that is unknown, expired, switched off or revoked
	KeyPinned            Code = "key_pinned"             // an API key that is good in another organization alone
	APIKeyUnknown        Code = "api_key_unknown"        // none of that id, or somebody else's
)

// The operator's work.
const (
	UserUnknown       Code = "user_unknown"
	TenantUnknown     Code = "tenant_unknown"
	InviteUnknown     Code = "invite_unknown"
	WebhookUnknown    Code = "webhook_unknown"
	DeliveryUnknown   Code = "delivery_unknown"
	DeliveryPending   Code = "delivery_pending" // it is being delivered already
	RoleInvalid       Code = "role_invalid"     // Params[0]: the role
	EventInvalid      Code = "event_invalid"    // Params[0]: the event
	WebhookURLInvalid Code = "webhook_url_invalid"
	InviteSpent       Code = "invite_spent"
	EnrolmentState    Code = "enrolment_state" // the enrolment is not in the state the change needs
	FileUnsupported   Code = "file_unsupported"
	FileTooLarge      Code = "file_too_large"
	SlugTaken         Code = "slug_taken"
	LastAdministrator Code = "last_administrator" // nobody would be left to administer the installation, or to own the organization
	FieldInvalid      Code = "field_invalid"      // Field names it; Params[0]: what is wrong, as one of a surface's own known words
)

// Codes is every fault there is; a surface's table is tested against it.
var Codes = []Code{
	ClientUnknown, MethodDisabled, CredentialsInvalid, NotEnrolled, EnrolmentPending, EnrolmentSuspended,
	FactorSetupRequired, ChallengeInvalid, CodeInvalid, CodeAttempts, RateLimited, Busy, Unavailable,
	UpstreamUnknown, UpstreamDenied, UpstreamFailed, UpstreamStateInvalid, UpstreamUnreachable, UpstreamThrottled,
	EmailUnverified, LinkTaken,
	InviteRequired, AccountExists, EmailInvalid, EmailRequired, DisplayNameRequired,
	PasswordTooShort, PasswordTooLong, PasswordNeedsUppercase, PasswordNeedsLowercase, PasswordNeedsDigit,
	PasswordNeedsSymbol, PasswordCommon, InviteInvalid, InviteEmailMismatch, AlreadyEnrolled, ResetInvalid,
	MagicLinkInvalid, VerificationInvalid, RedirectURIInvalid,
	RefreshInvalid, RefreshReused, RefreshWrongClient, Unauthenticated, Forbidden, ScopeMissing,
	ClientAuthFailed, GrantUnsupported, ScopeInvalid,
	ProofRequired, CurrentPasswordWrong, LastSignInMethod, TOTPEnabled, TOTPNotStarted, TOTPDemanded,
	SessionUnknown, LinkUnknown,
	OrgUnknown, OrgHolds, AccountRequired, InvitePending,
	SSORequired, SSODisabled, MFARequired, EmailDomainForbidden, AccountNotLinked, HandleInvalid, ConnectionChanged,
	DomainUnproven, DomainTaken, DomainUnknown, ConnectionUnready, DomainInvalid, IssuerInvalid, SetupLinkInvalid, KeyInvalid, KeyPinned, APIKeyUnknown,
	UserUnknown, TenantUnknown, InviteUnknown, WebhookUnknown, DeliveryUnknown, DeliveryPending, RoleInvalid, EventInvalid,
	WebhookURLInvalid, InviteSpent, EnrolmentState, FileUnsupported, FileTooLarge, SlugTaken, LastAdministrator,
	FieldInvalid,
}

// Error is one failure. Field names the input it is about, where there is one;
// Params are the facts a surface puts into its words; RetryAfter is set where
// waiting helps; Err is for the log alone.
type Error struct {
	Code       Code
	Field      string
	Params     []string
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// New returns the fault c with the facts params.
func New(c Code, params ...string) *Error { return &Error{Code: c, Params: params} }

// Later returns the fault c with the time after which a repeat may succeed.
func Later(c Code, after time.Duration) *Error { return &Error{Code: c, RetryAfter: after} }

// From finds the fault in err, if there is one.
func From(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// Is reports whether err is the fault c.
func Is(err error, c Code) bool {
	f, ok := From(err)
	return ok && f.Code == c
}
