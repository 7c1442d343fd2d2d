package snooplytics

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/wire"
)

// kind is a code of the wire: its status and its words.
type kind struct {
	status  int
	message string
}

// The words that the reference prints for every endpoint (contract §1.2).
const (
	noPermission = "You do not have permission to perform this action"
	authRequired = "Authentication required"
	tooMany      = "Too many requests from this IP, please try again later."
)

// kinds are the codes: those of the error guide, those of contract §1.3 that are
// ours, those of contract §11.
var kinds = map[string]kind{
	"VALIDATION_ERROR":         {400, "Validation failed"},
	"AUTHENTICATION_REQUIRED":  {401, authRequired},
	"NO_TOKEN_PROVIDED":        {401, "No token provided"},
	"INVALID_OR_EXPIRED_TOKEN": {401, "Invalid or expired token"},
	"INVALID_API_KEY":          {401, "Invalid API key"},
	"USER_NOT_ACTIVE":          {401, "User account is not active"},
	"INSUFFICIENT_PERMISSIONS": {403, noPermission},
	"NO_SCOPES_AVAILABLE":      {403, "The token has no scopes"},
	"API_KEY_MISSING_SCOPES":   {403, "The API key lacks a required scope"},
	"FORBIDDEN":                {403, noPermission},
	"MFA_REQUIRED":             {403, "Two-factor authentication is required"},
	"TENANT_VIOLATION":         {403, "The resource belongs to another organization"},
	"RATE_LIMIT_ERROR":         {429, tooMany},

	"UNAUTHORIZED":               {401, authRequired},
	"BAD_REQUEST":                {400, "Bad request"},
	"NOT_FOUND":                  {404, "Not found"},
	"METHOD_NOT_ALLOWED":         {405, "Method not allowed"},
	"CONFLICT":                   {409, "Conflict"},
	"UNSUPPORTED_MEDIA_TYPE":     {415, "Content-Type must be application/json"},
	"SSO_REQUIRED":               {403, "Your organization requires SSO"},
	"DOMAIN_VERIFICATION_FAILED": {422, "The domain could not be verified"},
	"INTERNAL_SERVER_ERROR":      {500, "Internal server error"},
	"BAD_GATEWAY":                {502, "The identity provider could not be reached"},
	"SERVICE_UNAVAILABLE":        {503, "Service temporarily unavailable"},

	"INVALID_EMAIL":                         {400, "Invalid email"},
	"INVALID_EMAIL_OR_PASSWORD":             {401, "Invalid email or password"},
	"EMAIL_NOT_FOUND":                       {401, "User email not found"},
	"EMAIL_NOT_VERIFIED":                    {403, "Email not verified"},
	"PASSWORD_TOO_SHORT":                    {400, "Password too short"},
	"PASSWORD_TOO_LONG":                     {400, "Password too long"},
	"PASSWORD_COMPROMISED":                  {400, "The password you entered has been compromised. Please choose a different password."},
	"USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL": {422, "User already exists. Use another email."},
	"INVALID_PASSWORD":                      {400, "Invalid password"},
	"INVALID_TOKEN":                         {400, "Invalid token"},
	"TOKEN_EXPIRED":                         {401, "Token expired"},
	"SESSION_NOT_FRESH":                     {403, "Session is not fresh"},
	"INVALID_REDIRECT_URL":                  {403, "Invalid redirectURL"},
	"INVALID_CALLBACK_URL":                  {403, "Invalid callbackURL"},
	"PROVIDER_NOT_FOUND":                    {404, "Provider not found"},
	"ID_TOKEN_NOT_SUPPORTED":                {404, "id_token not supported"},
	"OTP_NOT_ENABLED":                       {400, "OTP not enabled"},
	"CHALLENGE_NOT_FOUND":                   {400, "Challenge not found"},
	"FAILED_TO_VERIFY_REGISTRATION":         {400, "Failed to verify registration"},
	"PASSKEY_NOT_FOUND":                     {401, "Passkey not found"},
	"AUTHENTICATION_FAILED":                 {400, "Authentication failed"},
	"TOTP_NOT_ENABLED":                      {400, "TOTP not enabled"},
	"OTP_HAS_EXPIRED":                       {400, "OTP has expired"},
	"INVALID_CODE":                          {401, "Invalid code"},
	"INVALID_BACKUP_CODE":                   {401, "Invalid backup code"},
	"INVALID_TWO_FACTOR_COOKIE":             {401, "Invalid two factor cookie"},
	"TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE":    {400, "Too many attempts. Please request a new code."},
	"ACCOUNT_TEMPORARILY_LOCKED":            {429, "Account temporarily locked due to too many failed verification attempts. Please try again later."},
}

// answers gives every fault its code on this wire, where nothing nearer says
// otherwise.
var answers = map[fault.Code]string{
	fault.ClientUnknown: "NOT_FOUND", fault.MethodDisabled: "FORBIDDEN", fault.CredentialsInvalid: "INVALID_EMAIL_OR_PASSWORD",
	fault.NotEnrolled: "FORBIDDEN", fault.EnrolmentPending: "USER_NOT_ACTIVE", fault.EnrolmentSuspended: "USER_NOT_ACTIVE",
	fault.FactorSetupRequired: "MFA_REQUIRED", fault.ChallengeInvalid: "INVALID_TWO_FACTOR_COOKIE", fault.CodeInvalid: "INVALID_CODE",
	fault.CodeAttempts: "ACCOUNT_TEMPORARILY_LOCKED", fault.RateLimited: "RATE_LIMIT_ERROR",
	fault.Busy: "SERVICE_UNAVAILABLE", fault.Unavailable: "SERVICE_UNAVAILABLE",

	fault.UpstreamUnknown: "PROVIDER_NOT_FOUND", fault.UpstreamDenied: "FORBIDDEN", fault.UpstreamFailed: "BAD_GATEWAY",
	fault.UpstreamStateInvalid: "BAD_REQUEST", fault.UpstreamUnreachable: "BAD_GATEWAY", fault.UpstreamThrottled: "BAD_GATEWAY",
	fault.EmailUnverified: "EMAIL_NOT_VERIFIED", fault.LinkTaken: "CONFLICT",

	fault.InviteRequired: "FORBIDDEN", fault.AccountExists: "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL", fault.EmailInvalid: "INVALID_EMAIL",
	fault.EmailRequired: "VALIDATION_ERROR", fault.DisplayNameRequired: "VALIDATION_ERROR",
	fault.PasswordTooShort: "PASSWORD_TOO_SHORT", fault.PasswordTooLong: "PASSWORD_TOO_LONG", fault.PasswordNeedsUppercase: "VALIDATION_ERROR",
	fault.PasswordNeedsLowercase: "VALIDATION_ERROR", fault.PasswordNeedsDigit: "VALIDATION_ERROR", fault.PasswordNeedsSymbol: "VALIDATION_ERROR",
	fault.PasswordCommon: "PASSWORD_COMPROMISED", fault.InviteInvalid: "NOT_FOUND", fault.InviteEmailMismatch: "FORBIDDEN",
	fault.AlreadyEnrolled: "CONFLICT", fault.ResetInvalid: "INVALID_TOKEN", fault.MagicLinkInvalid: "INVALID_TOKEN",
	fault.VerificationInvalid: "INVALID_TOKEN", fault.RedirectURIInvalid: "INVALID_CALLBACK_URL",

	fault.RefreshInvalid: "INVALID_OR_EXPIRED_TOKEN", fault.RefreshReused: "INVALID_OR_EXPIRED_TOKEN", fault.RefreshWrongClient: "INVALID_OR_EXPIRED_TOKEN",
	fault.Unauthenticated: "INVALID_OR_EXPIRED_TOKEN", fault.Forbidden: "FORBIDDEN", fault.ScopeMissing: "INSUFFICIENT_PERMISSIONS",
	fault.ClientAuthFailed: "UNAUTHORIZED", fault.GrantUnsupported: "BAD_REQUEST", fault.ScopeInvalid: "BAD_REQUEST",

	fault.ProofRequired: "SESSION_NOT_FRESH", fault.CurrentPasswordWrong: "INVALID_PASSWORD", fault.LastSignInMethod: "CONFLICT",
	fault.TOTPEnabled: "CONFLICT", fault.TOTPNotStarted: "TOTP_NOT_ENABLED", fault.TOTPDemanded: "MFA_REQUIRED",
	fault.SessionUnknown: "NOT_FOUND", fault.LinkUnknown: "NOT_FOUND",

	fault.UserUnknown: "NOT_FOUND", fault.TenantUnknown: "NOT_FOUND", fault.InviteUnknown: "NOT_FOUND", fault.WebhookUnknown: "NOT_FOUND",
	fault.DeliveryUnknown: "NOT_FOUND", fault.DeliveryPending: "CONFLICT", fault.RoleInvalid: "VALIDATION_ERROR", fault.EventInvalid: "VALIDATION_ERROR",
	fault.WebhookURLInvalid: "VALIDATION_ERROR", fault.InviteSpent: "NOT_FOUND", fault.EnrolmentState: "CONFLICT",
	fault.FileUnsupported: "BAD_REQUEST", fault.FileTooLarge: "BAD_REQUEST", fault.SlugTaken: "CONFLICT",
	fault.LastAdministrator: "CONFLICT", fault.FieldInvalid: "VALIDATION_ERROR",
	fault.OrgUnknown: "TENANT_VIOLATION", fault.OrgHolds: "CONFLICT", fault.AccountRequired: "FORBIDDEN", fault.InvitePending: "CONFLICT",

	fault.SSORequired: "SSO_REQUIRED", fault.SSODisabled: "NOT_FOUND", fault.MFARequired: "MFA_REQUIRED", fault.EmailDomainForbidden: "FORBIDDEN",
	fault.AccountNotLinked: "CONFLICT", fault.HandleInvalid: "INVALID_OR_EXPIRED_TOKEN", fault.ConnectionChanged: "FORBIDDEN",
	fault.DomainUnproven: "DOMAIN_VERIFICATION_FAILED", fault.DomainTaken: "CONFLICT", fault.DomainUnknown: "NOT_FOUND", fault.ConnectionUnready: "CONFLICT", fault.DomainInvalid: "VALIDATION_ERROR",
	fault.IssuerInvalid: "VALIDATION_ERROR", fault.SetupLinkInvalid: "NOT_FOUND",
	fault.KeyInvalid: "INVALID_API_KEY", fault.KeyPinned: "FORBIDDEN", fault.APIKeyUnknown: "NOT_FOUND",
}

// fields are those that a fault is about when it says so by its code alone.
var fields = map[fault.Code]problem{
	fault.EmailRequired:          {"email", "Required", "body"},
	fault.DisplayNameRequired:    {"name", "Required", "body"},
	fault.PasswordNeedsUppercase: {"password", "Must hold an upper-case letter", "body"},
	fault.PasswordNeedsLowercase: {"password", "Must hold a lower-case letter", "body"},
	fault.PasswordNeedsDigit:     {"password", "Must hold a digit", "body"},
	fault.PasswordNeedsSymbol:    {"password", "Must hold a symbol", "body"},
	fault.RoleInvalid:            {"role", "Invalid role", "body"},
	fault.EventInvalid:           {"event", "Invalid event", "body"},
	fault.WebhookURLInvalid:      {"url", "Invalid url", "body"},
	fault.DomainInvalid:          {"domain", "Invalid domain", "body"},
	fault.IssuerInvalid:          {"issuer", "Invalid issuer", "body"},
}

// refusal is a failure of this surface's own, by its code on the wire.
type refusal struct {
	code, message string
	status        int // 0 for the code's own
	meta          any
	cause         error
}

func (e *refusal) Error() string { return "snooplytics: " + e.code }

func (e *refusal) Unwrap() error { return e.cause }

func refuse(code string) *refusal { return &refusal{code: code} }

func (e *refusal) with(meta any) *refusal { e.meta = meta; return e }

func (e *refusal) saying(message string) *refusal { e.message = message; return e }

func (e *refusal) as(status int) *refusal { e.status = status; return e }

func (e *refusal) because(err error) *refusal { e.cause = err; return e }

// as gives the faults of an operation other codes than answers does.
func as(err error, codes map[fault.Code]string) error {
	if f, ok := fault.From(err); ok && codes[f.Code] != "" {
		return refuse(codes[f.Code]).because(err)
	}
	return err
}

// fail answers with an error: a refusal of ours or a fault in the contract's
// words, anything else as a 500 that only the log explains.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	own, ours := ownRefusal(err)
	f, expected := wire.Fault(err)
	if expected && f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(limit.RetryAfter(f.RetryAfter)))
	}
	switch {
	case ours:
	case expected:
		own = wordsOf(f, base(r.Context()))
	case errors.Is(err, context.Canceled):
		own = refuse("SERVICE_UNAVAILABLE") // the client has gone; nobody reads the answer
	default:
		a.Log.ErrorContext(r.Context(), "request failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
		own = refuse("INTERNAL_SERVER_ERROR")
	}
	a.answer(w, r, own)
}

func ownRefusal(err error) (*refusal, bool) {
	own, ok := errors.AsType[*refusal](err)
	return own, ok
}

// wordsOf is the refusal that a fault is on this wire.
func wordsOf(f *fault.Error, base string) *refusal {
	code := answers[f.Code]
	switch p, about := fields[f.Code]; {
	case about:
		return invalid(p)
	case f.Code == fault.FieldInvalid:
		return badField(f.Field, "Invalid "+f.Field)
	case f.Code == fault.RateLimited:
		return refuse(code).with(struct {
			Message string `json:"message"`
		}{tooMany})
	case f.Code == fault.SSORequired && len(f.Params) > 0:
		return refuse(code).with(redirect{base + "/auth/sso/" + f.Params[0] + "/login"})
	}
	return refuse(code)
}

// redirect is where a member of an organization signs in that wants it so.
type redirect struct {
	URL string `json:"ssoRedirectUrl"`
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, own *refusal) {
	k, message := kinds[own.code], own.message
	if message == "" {
		message = k.message
	}
	if own.status != 0 {
		k.status = own.status
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(k.status)
		return
	}
	if err := write(w, k.status, failure{false, k.status, own.code, message, own.meta}); err != nil {
		panic("snooplytics: " + err.Error()) // what we make always marshals
	}
}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, r *http.Request) { a.astray(w, r, "NOT_FOUND") }

// MethodNotAllowed answers a method that a path does not have.
func (a *API) MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	a.astray(w, r, "METHOD_NOT_ALLOWED")
}

// astray refuses a request that no route takes. It is counted and shared as any other
// is: the global limit is over everything that is asked (contract §1.5).
func (a *API) astray(w http.ResponseWriter, r *http.Request, code string) {
	headers(w, r)
	_, err := a.share(w, r, a.Settings().Client)
	if err == nil {
		err = a.count(w, r, route{})
	}
	if err == nil {
		err = refuse(code)
	}
	a.fail(w, r, err)
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, r *http.Request) {
	headers(w, r)
	a.answer(w, r, refuse("INTERNAL_SERVER_ERROR"))
}
