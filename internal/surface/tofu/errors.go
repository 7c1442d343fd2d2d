package tofu

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/wire"
)

// answer is a failure as DRF writes it: words for people and, where the contract
// has one, a code. It is the error of what this surface refuses by itself.
type answer struct {
	status int
	Detail string `json:"detail"`
	Code   string `json:"code,omitempty"`
}

func refuse(status int, detail, code string) *answer { return &answer{status, detail, code} }

// Error is for a log: it says nothing that the client sent.
func (a *answer) Error() string { return http.StatusText(a.status) + " " + a.Code }

// The answers that have more than one cause.
const (
	permission = "You do not have permission to perform this action."
	inactive   = "User is inactive"
	down       = "Authentication provider is unavailable."
	unverified = "Email address is not verified."
	later      = "Service temporarily unavailable, try again later."
)

// answers gives every fault its status and words. Of most the contract does not
// speak, because nothing here causes them; then they say what they mean.
var answers = map[fault.Code]answer{
	fault.ClientUnknown:       {404, "Not found.", ""},
	fault.MethodDisabled:      {404, "Not found.", ""},
	fault.CredentialsInvalid:  {401, "No active account found with the given credentials", ""},
	fault.NotEnrolled:         {403, permission, ""},
	fault.EnrolmentPending:    {401, inactive, "user_inactive"},
	fault.EnrolmentSuspended:  {401, inactive, "user_inactive"},
	fault.FactorSetupRequired: {403, "A second factor must be set up.", "mfa_enrollment"},
	fault.ChallengeInvalid:    {400, "Invalid or expired challenge.", "challenge_invalid"},
	fault.CodeInvalid:         {401, "Invalid code.", "code_invalid"},
	fault.CodeAttempts:        {429, "", ""},
	fault.RateLimited:         {429, "", ""},
	fault.Busy:                {503, later, ""},
	fault.Unavailable:         {503, later, ""},

	fault.UpstreamUnknown:      {404, "Not found.", ""},
	fault.UpstreamDenied:       {403, permission, ""},
	fault.UpstreamFailed:       {502, down, "provider_error"},
	fault.UpstreamStateInvalid: {400, "Invalid or expired authorization code.", "invalid_grant"},
	fault.UpstreamUnreachable:  {502, down, "provider_error"},
	fault.UpstreamThrottled:    {503, down, "provider_rate_limited"},
	fault.EmailUnverified:      {403, unverified, "email_not_verified"},
	fault.LinkTaken:            {403, "This account is connected to another user.", "account_conflict"},

	fault.InviteRequired:         {403, permission, ""},
	fault.AccountExists:          {403, "This account is connected to another user.", "account_conflict"},
	fault.EmailInvalid:           {403, unverified, "email_not_verified"},
	fault.EmailRequired:          {403, unverified, "email_not_verified"},
	fault.DisplayNameRequired:    {400, "A name is required.", "name_required"},
	fault.PasswordTooShort:       {400, "This password is too short.", "password_too_short"},
	fault.PasswordTooLong:        {400, "This password is too long.", "password_too_long"},
	fault.PasswordNeedsUppercase: {400, "This password has no capital letter.", "password_invalid"},
	fault.PasswordNeedsLowercase: {400, "This password has no small letter.", "password_invalid"},
	fault.PasswordNeedsDigit:     {400, "This password has no digit.", "password_invalid"},
	fault.PasswordNeedsSymbol:    {400, "This password has no symbol.", "password_invalid"},
	fault.PasswordCommon:         {400, "This password is too common.", "password_too_common"},
	fault.InviteInvalid:          {400, "Invalid or expired invitation.", "invite_invalid"},
	fault.InviteEmailMismatch:    {400, "This invitation is for another address.", "invite_invalid"},
	fault.AlreadyEnrolled:        {400, "You have an account already.", "already_enrolled"},
	fault.ResetInvalid:           {400, "Invalid or expired link.", "link_invalid"},
	fault.MagicLinkInvalid:       {400, "Invalid or expired link.", "link_invalid"},
	fault.VerificationInvalid:    {400, "Invalid or expired link.", "link_invalid"},
	fault.RedirectURIInvalid:     {400, "Redirect URI is not allowed.", ""},

	fault.RefreshInvalid:     {401, isInvalid, notValid},
	fault.RefreshReused:      {401, isBlacklisted, notValid},
	fault.RefreshWrongClient: {401, isInvalid, notValid},
	fault.Unauthenticated:    {401, "Authentication credentials were not provided.", ""},
	fault.Forbidden:          {403, permission, ""},
	fault.ScopeMissing:       {403, permission, ""},
	fault.ClientAuthFailed:   {401, "Invalid client.", "invalid_client"},
	fault.GrantUnsupported:   {400, "Unsupported grant type.", "unsupported_grant_type"},
	fault.ScopeInvalid:       {400, "Invalid scope.", "invalid_scope"},

	fault.ProofRequired:        {403, permission, ""},
	fault.CurrentPasswordWrong: {400, "Wrong password.", "password_wrong"},
	fault.LastSignInMethod:     {400, "This is the last way to sign in.", "last_sign_in_method"},
	fault.TOTPEnabled:          {400, "A second factor is set up already.", "mfa_enabled"},
	fault.TOTPNotStarted:       {400, "No second factor is being set up.", "mfa_not_started"},
	fault.TOTPDemanded:         {403, "A second factor is required.", "mfa_required"},
	fault.SessionUnknown:       {404, "Not found.", ""},
	fault.LinkUnknown:          {404, "Not found.", ""},

	fault.OrgUnknown:      {404, "Not found.", ""},
	fault.OrgHolds:        {409, "Something belongs to it.", "org_holds"},
	fault.AccountRequired: {403, permission, ""},
	fault.InvitePending:   {409, "Already invited.", "invite_pending"},

	fault.SSORequired:          {403, "Your organization requires single sign-on.", "sso_required"},
	fault.SSODisabled:          {404, "Not found.", ""},
	fault.MFARequired:          {403, "A second factor is required.", "mfa_required"},
	fault.EmailDomainForbidden: {403, permission, ""},
	fault.AccountNotLinked:     {403, "This account is connected to another user.", "account_conflict"},
	fault.HandleInvalid:        {400, "Invalid or expired authorization code.", "invalid_grant"},
	fault.ConnectionChanged:    {403, permission, ""},
	fault.DomainUnproven:       {400, "The domain is not verified.", "domain_unproven"},
	fault.DomainTaken:          {409, "The domain is in use.", "domain_taken"},
	fault.DomainUnknown:        {404, "Not found.", ""},
	fault.ConnectionUnready:    {409, "Single sign-on is not ready.", "connection_unready"},
	fault.DomainInvalid:        {400, "Invalid domain.", "domain_invalid"},
	fault.IssuerInvalid:        {400, "Invalid issuer.", "issuer_invalid"},
	fault.SetupLinkInvalid:     {404, "Not found.", ""},
	fault.KeyInvalid:           {401, "Authentication credentials were not provided.", ""},
	fault.KeyPinned:            {403, permission, ""},
	fault.APIKeyUnknown:        {404, "Not found.", ""},

	fault.UserUnknown:       {404, "No account found for this user.", "user_not_found"},
	fault.TenantUnknown:     {404, "Not found.", ""},
	fault.InviteUnknown:     {404, "Not found.", ""},
	fault.WebhookUnknown:    {404, "Not found.", ""},
	fault.DeliveryUnknown:   {404, "Not found.", ""},
	fault.DeliveryPending:   {400, "The delivery is pending.", "delivery_pending"},
	fault.RoleInvalid:       {400, "Invalid role.", "role_invalid"},
	fault.EventInvalid:      {400, "Invalid event.", "event_invalid"},
	fault.WebhookURLInvalid: {400, "Invalid address.", "address_invalid"},
	fault.InviteSpent:       {400, "This invitation has been used.", "invite_spent"},
	fault.EnrolmentState:    {400, "The account is not in the state that this needs.", "account_state"},
	fault.FileUnsupported:   {400, "Unsupported file type.", "file_unsupported"},
	fault.FileTooLarge:      {413, "The file is too large.", "file_too_large"},
	fault.SlugTaken:         {400, "The name is in use.", "slug_taken"},
	fault.LastAdministrator: {400, "Nobody would be left to administer.", "last_administrator"},
	fault.FieldInvalid:      {400, "Invalid field.", "field_invalid"},
}

// fail answers with an error: a refusal of ours, the problems of a body, a fault
// in the contract's words, or a 500 that only the log explains.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var ours *answer
	var wrong problems
	var token *badToken
	f, isFault := wire.Fault(err)
	switch {
	case errors.As(err, &ours):
		send(w, r, *ours)
	case errors.As(err, &wrong):
		write(w, r, http.StatusBadRequest, wrong.inOrder())
	case errors.As(err, &token):
		challenge(w)
		write(w, r, http.StatusUnauthorized, token)
	case isFault:
		failFault(w, r, f)
	case errors.Is(err, context.Canceled):
		send(w, r, answer{http.StatusServiceUnavailable, later, ""}) // the client has gone: nobody reads it
	default:
		a.Log.ErrorContext(r.Context(), "request failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
		a.Crash(w, r)
	}
}

func (p problems) inOrder() (o inOrder) {
	for _, one := range p {
		o = append(o, member{one.field, one.words})
	}
	return o
}

// challenge is what every 401 carries (contract §2.5).
func challenge(w http.ResponseWriter) { w.Header().Set("WWW-Authenticate", `Bearer realm="api"`) }

func send(w http.ResponseWriter, r *http.Request, a answer) {
	if a.status == http.StatusUnauthorized {
		challenge(w)
	}
	write(w, r, a.status, a)
}

func failFault(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	a := wording(f)
	switch {
	case a.status == http.StatusTooManyRequests:
		wait := retryAfter(w, f.RetryAfter)
		a.Detail = fmt.Sprintf("Request was throttled. Expected available in %s.", seconds(wait))
	case a.status == http.StatusServiceUnavailable:
		retryAfter(w, f.RetryAfter)
	case f.Code == fault.RedirectURIInvalid:
		write(w, r, a.status, problems{{"redirect_uri", []string{a.Detail}}}.inOrder())
		return
	}
	send(w, r, a)
}

// wording finds the answer to a fault. Why an upstream failed is told apart as the
// contract does (§7, §10.2); its own words are never passed on.
func wording(f *fault.Error) answer {
	var why *openid.Failure
	if f.Code != fault.UpstreamFailed || !errors.As(f, &why) {
		return answers[f.Code]
	}
	switch {
	case errors.Is(why, openid.ErrInvalidGrant):
		return answer{400, "Invalid or expired authorization code.", "invalid_grant"}
	case errors.Is(why, openid.ErrUnfinished):
		return answer{403, unfinishedWords[why.Code], why.Code}
	case errors.Is(why, openid.ErrOutsider):
		return answer{403, permission, ""}
	case why.Step == openid.AtToken, errors.Is(why, openid.ErrAudience):
		return answer{401, "Invalid identity token.", "invalid_token"}
	}
	return answers[f.Code]
}

// unfinishedWords are the six steps that WorkOS may want first (contract §10.2).
var unfinishedWords = map[string]string{
	"sso_required": "Sign in with the single sign-on of your organization.",
	"organization_authentication_methods_required": "Sign in with a method that your organization allows.",
	"email_verification_required":                  "Verify your email address first.",
	"mfa_enrollment":                               "A second factor must be set up.",
	"mfa_challenge":                                "A second factor is required.",
	"organization_selection_required":              "Choose an organization first.",
}

func retryAfter(w http.ResponseWriter, d time.Duration) int {
	wait := limit.RetryAfter(d)
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return wait
}

func seconds(n int) string {
	if n == 1 {
		return "1 second"
	}
	return strconv.Itoa(n) + " seconds"
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, _ *http.Request) {
	middleware(w)
	wire.WriteJSON(w, http.StatusInternalServerError, struct {
		Error string `json:"error"`
	}{"Server Error (500)"})
}
