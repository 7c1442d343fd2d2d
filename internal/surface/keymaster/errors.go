package keymaster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/wire"
)

// answer is a fault's place on this wire. A "%s" in detail takes the fault's
// first parameter.
type answer struct {
	status int
	detail string
}

// answers gives every fault its status and words (contract keymaster §2–§9 and
// §11). Those that the contract does not name say what they mean.
var answers = map[fault.Code]answer{
	fault.ClientUnknown:       {400, "Invalid app_id"},
	fault.CredentialsInvalid:  {401, "Invalid email or password"},
	fault.NotEnrolled:         {403, "You do not have access"},
	fault.EnrolmentPending:    {403, "Account pending approval"},
	fault.EnrolmentSuspended:  {403, "Account suspended"},
	fault.FactorSetupRequired: {403, "2fa_required"},
	fault.ChallengeInvalid:    {400, "Invalid or expired TOTP session"},
	fault.CodeInvalid:         {401, "Invalid TOTP code"},
	fault.CodeAttempts:        {429, "Too many TOTP attempts"},
	fault.RateLimited:         {429, "rate_limited"},
	fault.Busy:                {503, "Service temporarily unavailable"},
	fault.Unavailable:         {503, "Service temporarily unavailable"},

	fault.UpstreamUnknown:      {404, "Unknown provider"},
	fault.UpstreamDenied:       {403, "oauth_denied"},
	fault.UpstreamFailed:       {400, "oauth_failed"},
	fault.UpstreamStateInvalid: {400, "Invalid or expired OAuth session"},
	fault.UpstreamUnreachable:  {503, "Service temporarily unavailable"},
	fault.UpstreamThrottled:    {503, "Service temporarily unavailable"},
	fault.EmailUnverified:      {403, "oauth_failed"},
	fault.LinkTaken:            {409, "Provider already linked"},

	fault.InviteRequired:         {400, "This app requires an invite code"},
	fault.AccountExists:          {400, "Account already exists"},
	fault.EmailInvalid:           {422, "value is not a valid email address"},
	fault.EmailRequired:          {400, "Email is required"},
	fault.DisplayNameRequired:    {400, "Display name is required"},
	fault.PasswordTooShort:       {400, "Password must be at least %s characters"},
	fault.PasswordTooLong:        {400, "Password must be at most %s characters"},
	fault.PasswordNeedsUppercase: {400, "Password must contain an uppercase letter"},
	fault.PasswordNeedsLowercase: {400, "Password must contain a lowercase letter"},
	fault.PasswordNeedsDigit:     {400, "Password must contain a digit"},
	fault.PasswordNeedsSymbol:    {400, "Password must contain a symbol"},
	fault.PasswordCommon:         {400, "Password is too common"},
	fault.InviteInvalid:          {400, "Invalid or expired invite code"},
	fault.InviteEmailMismatch:    {400, "Invite was issued for a different email"},
	fault.AlreadyEnrolled:        {400, "You already have access"},
	fault.ResetInvalid:           {400, "Invalid or expired reset token"},
	fault.MagicLinkInvalid:       {400, "invalid_magic_link"},
	fault.VerificationInvalid:    {400, "Invalid or expired verification link"},
	fault.RedirectURIInvalid:     {400, "Invalid redirect_uri"},

	fault.RefreshInvalid:     {401, "Invalid or expired refresh token"},
	fault.RefreshReused:      {401, "Invalid or expired refresh token"},
	fault.RefreshWrongClient: {401, "Token does not belong to this app"},
	fault.Unauthenticated:    {401, "Not authenticated"},
	fault.Forbidden:          {403, "Insufficient permissions"},
	fault.ScopeMissing:       {403, "Insufficient scope"},
	fault.ClientAuthFailed:   {401, "invalid_client"},
	fault.GrantUnsupported:   {400, "unsupported_grant_type"},
	fault.ScopeInvalid:       {400, "invalid_scope: %s"},

	fault.ProofRequired:        {403, "Recent authentication required"},
	fault.CurrentPasswordWrong: {400, "Current password is incorrect"},
	fault.LastSignInMethod:     {400, "Cannot remove last sign-in method"},
	fault.TOTPEnabled:          {400, "TOTP already enabled"},
	fault.TOTPNotStarted:       {400, "TOTP setup not started"},
	fault.TOTPDemanded:         {403, "An app you use requires two-factor authentication"},
	fault.SessionUnknown:       {404, "Session not found"},
	fault.LinkUnknown:          {404, "Provider not linked"},

	fault.OrgUnknown:      {404, "Organization not found"},
	fault.OrgHolds:        {400, "Organization is not empty"},
	fault.AccountRequired: {403, "Insufficient permissions"},
	fault.InvitePending:   {400, "Already invited"},

	fault.SSORequired:          {403, "Your organization requires single sign-on"},
	fault.SSODisabled:          {404, "Single sign-on not configured"},
	fault.MFARequired:          {403, "2fa_required"},
	fault.EmailDomainForbidden: {403, "oauth_failed"},
	fault.AccountNotLinked:     {409, "oauth_failed"},
	fault.HandleInvalid:        {400, "Invalid or expired OAuth session"},
	fault.ConnectionChanged:    {403, "oauth_failed"},
	fault.DomainUnproven:       {400, "Domain not verified"},
	fault.DomainTaken:          {400, "Domain already in use"},
	fault.DomainUnknown:        {404, "Domain not found"},
	fault.ConnectionUnready:    {400, "Single sign-on is not ready"},
	fault.DomainInvalid:        {400, "Invalid domain"},
	fault.IssuerInvalid:        {400, "Invalid issuer"},
	fault.SetupLinkInvalid:     {404, "Invalid or expired link"},
	fault.KeyInvalid:           {401, "Not authenticated"},
	fault.KeyPinned:            {403, "Insufficient permissions"},
	fault.APIKeyUnknown:        {404, "API key not found"},

	fault.UserUnknown:       {404, "User not found"},
	fault.TenantUnknown:     {404, "Tenant not found"},
	fault.InviteUnknown:     {404, "Invite not found"},
	fault.WebhookUnknown:    {404, "Webhook not found"},
	fault.DeliveryUnknown:   {404, "Delivery not found"},
	fault.DeliveryPending:   {400, "Delivery is pending"},
	fault.RoleInvalid:       {400, "Invalid role: %s"},
	fault.EventInvalid:      {400, "Invalid event: %s"},
	fault.WebhookURLInvalid: {400, "Invalid webhook URL"},
	fault.InviteSpent:       {400, "Invite already used"},
	fault.EnrolmentState:    {400, "Enrolment is not in the required state"},
	fault.FileUnsupported:   {400, "Unsupported file type"},
	fault.FileTooLarge:      {413, "File too large"},
	fault.SlugTaken:         {400, "Slug already in use"},
	fault.LastAdministrator: {400, "Cannot remove the last platform administrator"},
	fault.FieldInvalid:      {422, "%s"},
}

// methods words the refusal of a sign-in method.
var methods = map[string]string{
	"password":   "Password login not enabled",
	"magic_link": "Magic link login not enabled",
}

// detail is the words of a fault.
func detail(f *fault.Error) string {
	param := ""
	if len(f.Params) > 0 {
		param = f.Params[0]
	}
	if f.Code == fault.MethodDisabled {
		if s, ok := methods[param]; ok {
			return s
		}
		return "Provider not enabled"
	}
	d := answers[f.Code].detail
	if strings.Contains(d, "%s") {
		d = fmt.Sprintf(d, param)
	}
	return d
}

func status(f *fault.Error) int {
	if f.Code == fault.MethodDisabled {
		return http.StatusBadRequest
	}
	return answers[f.Code].status
}

type plainError struct {
	Detail string `json:"detail"`
}

// rateLimited is the superset of the two bodies that the contract names for a
// 429 (§1.2).
type rateLimited struct {
	Error      string `json:"error"`
	RetryAfter int    `json:"retry_after"`
	Detail     string `json:"detail"`
}

type validationError struct {
	Detail wire.Problems `json:"detail"`
}

type structuredError struct {
	Detail struct {
		Error    string `json:"error"`
		Message  string `json:"message"`
		SetupURL string `json:"setup_url"`
	} `json:"detail"`
}

// fail answers with an error: a fault in the contract's words, a bad request
// as FastAPI puts it, anything else as a 500 that only the log explains.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var bad *wire.BodyError
	var problems wire.Problems
	switch f, ok := wire.Fault(err); {
	case ok:
		a.failFault(w, f)
	case errors.As(err, &problems):
		wire.WriteJSON(w, http.StatusUnprocessableEntity, validationError{problems})
	case errors.As(err, &bad):
		failBody(w, bad)
	case errors.Is(err, context.Canceled):
		// The client has gone; nobody reads the answer.
		wire.WriteJSON(w, http.StatusServiceUnavailable, plainError{answers[fault.Unavailable].detail})
	default:
		a.Log.ErrorContext(r.Context(), "request failed", "request_id", wire.OriginOf(r.Context()).RequestID, "path", r.URL.Path, "err", err)
		a.Crash(w, r)
	}
}

func (a *API) failFault(w http.ResponseWriter, f *fault.Error) {
	if f.Code == fault.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	st := status(f)
	switch {
	case f.Code == fault.FactorSetupRequired:
		failSetup(w)
	case st == http.StatusTooManyRequests:
		wait := retryAfter(w, f.RetryAfter)
		wire.WriteJSON(w, st, rateLimited{Error: "rate_limited", RetryAfter: wait, Detail: detail(f)})
	case st == http.StatusServiceUnavailable:
		retryAfter(w, f.RetryAfter)
		wire.WriteJSON(w, st, plainError{detail(f)})
	case st == http.StatusUnprocessableEntity:
		p := wire.Problem{Loc: append([]string{"body"}, strings.Split(f.Field, ".")...), Msg: detail(f), Kind: wire.Invalid}
		wire.WriteJSON(w, st, validationError{wire.Problems{p}})
	default:
		wire.WriteJSON(w, st, plainError{detail(f)})
	}
}

func retryAfter(w http.ResponseWriter, d time.Duration) int {
	wait := limit.RetryAfter(d)
	w.Header().Set("Retry-After", strconv.Itoa(wait))
	return wait
}

// failSetup says that the app wants a second factor which the user has not got.
func failSetup(w http.ResponseWriter) {
	var e structuredError
	e.Detail.Error = "2fa_required"
	e.Detail.Message = "This app requires two-factor authentication."
	e.Detail.SetupURL = "/account"
	wire.WriteJSON(w, http.StatusForbidden, e)
}

func failBody(w http.ResponseWriter, bad *wire.BodyError) {
	switch bad.Kind {
	case wire.WrongType:
		wire.WriteJSON(w, http.StatusUnsupportedMediaType, plainError{"Unsupported Media Type"})
	case wire.TooLarge:
		wire.WriteJSON(w, http.StatusRequestEntityTooLarge, plainError{"Request body too large"})
	default:
		wire.WriteJSON(w, http.StatusUnprocessableEntity, validationError{wire.Problems{
			{Loc: []string{"body"}, Msg: "body could not be read", Kind: "json_invalid"},
		}})
	}
}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusNotFound, plainError{"Not Found"})
}

// MethodNotAllowed answers a method that a path does not have.
func (a *API) MethodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusMethodNotAllowed, plainError{"Method Not Allowed"})
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, _ *http.Request) {
	wire.WriteJSON(w, http.StatusInternalServerError, plainError{"Internal server error"})
}
