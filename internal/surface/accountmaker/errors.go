package accountmaker

import (
	"strconv"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/password"
)

// kind is a code of the wire: its status and its words.
type kind struct {
	status        int
	title, detail string
}

// kinds are the codes of contract §1.4, and below the line those that it does not
// name, for what Sallyport does beyond it.
var kinds = map[string]kind{
	"invalid-request":          {400, "Invalid request", "One or more fields are invalid."},
	"invalid-client":           {400, "Invalid client", "The client is unknown, missing, or named in two ways."},
	"invalid-token":            {400, "Invalid token", "The token is unknown, expired, or used."},
	"unauthenticated":          {401, "Not authenticated", ""},
	"invalid-credentials":      {401, "Invalid credentials", "The email and password do not match."},
	"invalid-login-token":      {401, "Invalid login token", "The token is unknown, expired, or used."},
	"invalid-refresh-token":    {401, "Invalid refresh token", ""},
	"origin-not-allowed":       {403, "Origin not allowed", ""},
	"csrf-invalid":             {403, "Invalid CSRF token", ""},
	"csrf-session-missing":     {403, "No CSRF session", "Call GET /auth/csrf-session first."},
	"user-suspended":           {403, "User suspended", ""},
	"user-disabled":            {403, "User disabled", ""},
	"email-not-verified":       {403, "Email not verified", ""},
	"method-not-enabled":       {403, "Method not enabled", ""},
	"no-active-account":        {403, "No active account", ""},
	"provider-not-found":       {404, "Provider not found", ""},
	"not-found":                {404, "Not found", ""},
	"email-already-registered": {409, "Email already registered", ""},
	"user-already-invited":     {409, "User already invited", ""},
	"already-member":           {409, "Already a member", ""},
	"rate-limited":             {429, "Too many requests", ""},
	"internal-error":           {500, "Internal error", ""},

	"forbidden":               {403, "Forbidden", ""},
	"approval-pending":        {403, "Approval pending", ""},
	"invite-required":         {403, "Invite required", ""},
	"second-factor-required":  {403, "Second factor required", "Sign in at /oauth2/authorize, where it is asked for."},
	"sso-required":            {403, "Single sign-on required", "The person's organization signs them in at its own provider."},
	"proof-required":          {403, "Recent sign-in required", ""},
	"method-not-allowed":      {405, "Method not allowed", ""},
	"conflict":                {409, "Conflict", ""},
	"temporarily-unavailable": {503, "Temporarily unavailable", ""},
}

// answers gives every fault its code on this wire.
var answers = map[fault.Code]string{
	fault.ClientUnknown: "invalid-client", fault.MethodDisabled: "method-not-enabled", fault.CredentialsInvalid: "invalid-credentials",
	fault.NotEnrolled: "forbidden", fault.EnrolmentPending: "approval-pending", fault.EnrolmentSuspended: "user-suspended",
	fault.FactorSetupRequired: "second-factor-required", fault.ChallengeInvalid: "second-factor-required", fault.CodeInvalid: "invalid-credentials",
	fault.CodeAttempts: "rate-limited", fault.RateLimited: "rate-limited",
	fault.Busy: "temporarily-unavailable", fault.Unavailable: "temporarily-unavailable",

	fault.UpstreamUnknown: "provider-not-found", fault.UpstreamDenied: "forbidden", fault.UpstreamFailed: "temporarily-unavailable",
	fault.UpstreamStateInvalid: "invalid-request", fault.UpstreamUnreachable: "temporarily-unavailable",
	fault.UpstreamThrottled: "temporarily-unavailable", fault.EmailUnverified: "email-not-verified", fault.LinkTaken: "conflict",

	fault.InviteRequired: "method-not-enabled", fault.AccountExists: "email-already-registered", fault.EmailInvalid: "invalid-request",
	fault.EmailRequired: "invalid-request", fault.DisplayNameRequired: "invalid-request",
	fault.PasswordTooShort: "invalid-request", fault.PasswordTooLong: "invalid-request", fault.PasswordNeedsUppercase: "invalid-request",
	fault.PasswordNeedsLowercase: "invalid-request", fault.PasswordNeedsDigit: "invalid-request", fault.PasswordNeedsSymbol: "invalid-request",
	fault.PasswordCommon: "invalid-request", fault.InviteInvalid: "invalid-login-token", fault.InviteEmailMismatch: "forbidden",
	fault.AlreadyEnrolled: "already-member", fault.ResetInvalid: "invalid-token", fault.MagicLinkInvalid: "invalid-login-token",
	fault.VerificationInvalid: "invalid-token", fault.RedirectURIInvalid: "invalid-request",

	fault.RefreshInvalid: "invalid-refresh-token", fault.RefreshReused: "invalid-refresh-token", fault.RefreshWrongClient: "invalid-client",
	fault.Unauthenticated: "unauthenticated", fault.Forbidden: "forbidden", fault.ScopeMissing: "forbidden",
	fault.ClientAuthFailed: "invalid-client", fault.GrantUnsupported: "invalid-request", fault.ScopeInvalid: "invalid-request",

	fault.ProofRequired: "proof-required", fault.CurrentPasswordWrong: "invalid-credentials", fault.LastSignInMethod: "conflict",
	fault.TOTPEnabled: "conflict", fault.TOTPNotStarted: "conflict", fault.TOTPDemanded: "second-factor-required",
	fault.SessionUnknown: "not-found", fault.LinkUnknown: "not-found",

	fault.UserUnknown: "not-found", fault.TenantUnknown: "not-found", fault.InviteUnknown: "not-found", fault.WebhookUnknown: "not-found",
	fault.DeliveryUnknown: "not-found", fault.DeliveryPending: "conflict", fault.RoleInvalid: "invalid-request", fault.EventInvalid: "invalid-request",
	fault.WebhookURLInvalid: "invalid-request", fault.InviteSpent: "conflict", fault.EnrolmentState: "conflict",
	fault.FileUnsupported: "invalid-request", fault.FileTooLarge: "invalid-request", fault.SlugTaken: "conflict",
	fault.LastAdministrator: "conflict", fault.FieldInvalid: "invalid-request",
	fault.OrgUnknown: "not-found", fault.OrgHolds: "conflict", fault.AccountRequired: "no-active-account", fault.InvitePending: "user-already-invited",

	fault.SSORequired: "sso-required", fault.SSODisabled: "not-found", fault.MFARequired: "second-factor-required",
	fault.EmailDomainForbidden: "forbidden", fault.AccountNotLinked: "conflict", fault.HandleInvalid: "invalid-login-token",
	fault.ConnectionChanged: "forbidden", fault.DomainUnproven: "conflict", fault.DomainTaken: "conflict", fault.DomainUnknown: "not-found", fault.ConnectionUnready: "conflict",
	fault.DomainInvalid: "invalid-request", fault.IssuerInvalid: "invalid-request", fault.SetupLinkInvalid: "not-found", fault.KeyInvalid: "unauthenticated",
	fault.KeyPinned: "forbidden", fault.APIKeyUnknown: "not-found",
}

// fields are those that a fault is about when it says so by its code alone.
var fields = map[fault.Code]invalidParam{
	fault.EmailInvalid:       {In: "body", Path: "email", Type: "email", Received: null, Expected: "email address"},
	fault.RedirectURIInvalid: {In: "body", Path: "redirect_uri", Type: "redirect_uri", Received: null, Expected: "a registered redirect URI"},
	fault.ClientUnknown:      {In: "body", Path: "client_id", Type: "client_id", Received: null},
	fault.RefreshWrongClient: {In: "body", Path: "client_id", Type: "client_id", Received: null},
	fault.RoleInvalid:        {In: "body", Path: "role", Type: "enum", Received: null, Expected: "owner, member or viewer"},
}

// wordsOf is the code of a fault on this wire, and the field it is about.
func wordsOf(f *fault.Error) (string, []invalidParam) {
	code := answers[f.Code]
	if f.Code == fault.EnrolmentSuspended && len(f.Params) > 0 && f.Params[0] == string(identity.Disabled) {
		code = "user-disabled"
	}
	if p, ok := fields[f.Code]; ok {
		return code, []invalidParam{p}
	}
	if f.Code == fault.FieldInvalid {
		return code, []invalidParam{{In: "body", Path: f.Field, Type: "invalid", Received: null}}
	}
	return code, nil
}

// rules are the words for what a password lacks (contract §6).
var rules = map[password.Rule]string{
	password.TooShort: "min_length", password.TooLong: "max_length", password.NoLowercase: "password_lowercase",
	password.NoUppercase: "password_uppercase", password.NoDigit: "password_digit", password.NoSymbol: "password_symbol",
	password.Common: "password_common", password.HoldsEmail: "password_contains_email",
}

// passwordParams names every rule that a password broke, and never the password.
func passwordParams(path string, weak *password.Weak) []invalidParam {
	var params []invalidParam
	for _, rule := range weak.All {
		p := invalidParam{In: "body", Path: path, Type: rules[rule], Received: null}
		switch rule {
		case password.TooShort:
			p.Expected = "at least " + strconv.Itoa(weak.Min) + " characters"
		case password.TooLong:
			p.Expected = "at most " + strconv.Itoa(weak.Max) + " characters"
		}
		params = append(params, p)
	}
	return params
}
