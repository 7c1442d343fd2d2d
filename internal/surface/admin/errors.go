package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/wire"
)

// answer is a fault's place on this wire. A "%s" in detail takes the fault's first
// parameter.
type answer struct {
	status int
	detail string
}

// answers gives every fault its status and words, also those that no operation of
// this API has yet.
var answers = map[fault.Code]answer{
	fault.MethodDisabled:      {403, "The client does not offer the sign-in method %s"},
	fault.ClientUnknown:       {404, "No such client"},
	fault.CredentialsInvalid:  {401, "Wrong address or password"},
	fault.NotEnrolled:         {403, "No place in the client"},
	fault.EnrolmentPending:    {403, "Account pending approval"},
	fault.EnrolmentSuspended:  {403, "Account suspended"},
	fault.FactorSetupRequired: {403, "A second factor is required"},
	fault.ChallengeInvalid:    {400, "Invalid or expired TOTP session"},
	fault.CodeInvalid:         {401, "Invalid TOTP code"},
	fault.CodeAttempts:        {429, "Too many TOTP attempts"},
	fault.RateLimited:         {429, "Too many requests"},
	fault.Busy:                {503, "Service temporarily unavailable"},
	fault.Unavailable:         {503, "Service temporarily unavailable"},

	fault.UpstreamUnknown:      {404, "Unknown provider"},
	fault.UpstreamDenied:       {403, "The provider refused"},
	fault.UpstreamFailed:       {400, "The answer of the provider was refused"},
	fault.UpstreamStateInvalid: {400, "Unknown or expired sign-in at a provider"},
	fault.UpstreamUnreachable:  {503, "Service temporarily unavailable"},
	fault.UpstreamThrottled:    {503, "Service temporarily unavailable"},
	fault.EmailUnverified:      {403, "The address is not verified"},
	fault.LinkTaken:            {409, "The account at the provider is linked already"},

	fault.InviteRequired:         {403, "An invitation is required"},
	fault.AccountExists:          {409, "The account exists"},
	fault.EmailInvalid:           {422, "The address is not valid"},
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
	fault.AlreadyEnrolled:        {409, "They have a place in the client"},
	fault.ResetInvalid:           {400, "Invalid or expired reset token"},
	fault.MagicLinkInvalid:       {400, "Invalid or expired sign-in link"},
	fault.VerificationInvalid:    {400, "Invalid or expired verification link"},
	fault.RedirectURIInvalid:     {400, "Invalid redirect_uri"},

	fault.RefreshInvalid:     {401, "Invalid or expired refresh token"},
	fault.RefreshReused:      {401, "Invalid or expired refresh token"},
	fault.RefreshWrongClient: {401, "Token does not belong to this app"},
	fault.Unauthenticated:    {401, "No token, or one that is not good here"},
	fault.Forbidden:          {403, "You may not do this"},
	fault.ScopeMissing:       {403, "The token lacks the scope %s"},
	fault.ClientAuthFailed:   {401, "The client could not prove who it is"},
	fault.GrantUnsupported:   {400, "The grant type is not supported"},
	fault.ScopeInvalid:       {400, "The scope is not known: %s"},

	fault.ProofRequired:        {403, "Recent authentication required"},
	fault.CurrentPasswordWrong: {400, "Current password is incorrect"},
	fault.LastSignInMethod:     {409, "It is the last way to sign in"},
	fault.TOTPEnabled:          {409, "The second factor is on"},
	fault.TOTPNotStarted:       {409, "The second factor was not set up"},
	fault.TOTPDemanded:         {403, "An app you use requires two-factor authentication"},
	fault.SessionUnknown:       {404, "Session not found"},
	fault.LinkUnknown:          {404, "Provider not linked"},

	fault.OrgUnknown:      {404, "No such account"},
	fault.OrgHolds:        {409, "Something belongs to the account"},
	fault.AccountRequired: {403, "Only for who acts in an account"},
	fault.InvitePending:   {409, "The address is invited"},

	fault.SSORequired:          {403, "The organization %s demands its own sign-in"},
	fault.SSODisabled:          {404, "No single sign-on is set up"},
	fault.MFARequired:          {403, "The organization demands a second factor"},
	fault.EmailDomainForbidden: {403, "The address is of no domain that the organization has proved"},
	fault.AccountNotLinked:     {409, "Somebody has the address"},
	fault.HandleInvalid:        {401, "Unknown or expired handle"},
	fault.ConnectionChanged:    {403, "The sign-in of the organization was changed"},
	fault.DomainUnproven:       {422, "The record that proves the domain is not there: %s"},
	fault.DomainTaken:          {409, "Another organization has proved the domain"},
	fault.DomainUnknown:        {404, "The organization does not claim the domain"},
	fault.ConnectionUnready:    {409, "The organization's single sign-on is not in the state that this needs: %s"},
	fault.DomainInvalid:        {422, "It is not a domain that an organization can have: %s"},
	fault.IssuerInvalid:        {422, "What the provider publishes does not fit: %s"},
	fault.SetupLinkInvalid:     {404, "Unknown or expired set-up link"},
	fault.KeyInvalid:           {401, "No key, or one that is not good here"},
	fault.KeyPinned:            {403, "The key is good in another organization alone"},
	fault.APIKeyUnknown:        {404, "No such key"},

	fault.UserUnknown:       {404, "No such user"},
	fault.TenantUnknown:     {404, "No such tenant"},
	fault.InviteUnknown:     {404, "No such invitation"},
	fault.WebhookUnknown:    {404, "No such webhook"},
	fault.DeliveryUnknown:   {404, "No such delivery"},
	fault.DeliveryPending:   {409, "It is being delivered"},
	fault.RoleInvalid:       {422, "The role is not available: %s"},
	fault.EventInvalid:      {422, "The event is not known: %s"},
	fault.WebhookURLInvalid: {422, "The URL is not good for a webhook"},
	fault.InviteSpent:       {409, "The invitation is spent"},
	fault.EnrolmentState:    {409, "They do not wait"},
	fault.FileUnsupported:   {415, "The type of the file is not supported"},
	fault.FileTooLarge:      {413, "File too large"},
	fault.SlugTaken:         {409, "The slug is taken"},
	fault.LastAdministrator: {409, "Nobody would be left to administer it"},
	fault.FieldInvalid:      {422, "A value is not valid"},
}

// problem is an RFC 9457 problem. Its type leads to the docs page, by the fault.
type problem struct {
	huma.ErrorModel
	headers http.Header
}

// GetHeaders has huma send headers with a problem.
func (p *problem) GetHeaders() http.Header { return p.headers }

func newProblem(status int, detail string) *problem {
	return &problem{huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}, http.Header{}}
}

// problem turns an error into an answer: a fault into its words, anything else into
// a 500 that only the log explains.
func (a *API) problem(ctx context.Context, err error) *problem {
	f, ok := wire.Fault(err)
	switch {
	case ok:
	case errors.Is(err, context.Canceled):
		f = fault.New(fault.Unavailable) // the client has gone; nobody reads the answer
	default:
		a.Log.ErrorContext(ctx, "request failed", "request_id", wire.OriginOf(ctx).RequestID, "err", err)
		return crashed()
	}
	p := newProblem(answers[f.Code].status, detail(f))
	p.Type = wire.MountOf(ctx).Base + docsPath + "#" + string(f.Code)
	if f.Field != "" {
		p.Errors = []*huma.ErrorDetail{{Message: "is not valid", Location: f.Field}}
	}
	if len(f.Params) > 1 { // the first is in the detail
		p.Errors = []*huma.ErrorDetail{{Message: strings.Join(f.Params[1:], "; "), Location: f.Field}}
	}
	switch p.Status {
	case http.StatusUnauthorized:
		p.headers.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		p.headers.Set("Retry-After", strconv.Itoa(limit.RetryAfter(f.RetryAfter)))
	}
	return p
}

func detail(f *fault.Error) string {
	d := answers[f.Code].detail
	if strings.Contains(d, "%s") {
		param := ""
		if len(f.Params) > 0 {
			param = f.Params[0]
		}
		d = fmt.Sprintf(d, param)
	}
	return d
}

func crashed() *problem { return newProblem(http.StatusInternalServerError, "Something went wrong") }

// write answers with a problem where huma does not.
func write(w http.ResponseWriter, p *problem) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = encode(w, p) // a client that has gone reads nothing
}

// encode writes JSON as our other APIs do: with "<" and "&" as they are, and no line
// break behind it.
func encode(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return err
}

// NotFound answers a path that the surface does not have.
func (a *API) NotFound(w http.ResponseWriter, _ *http.Request) {
	write(w, newProblem(http.StatusNotFound, "No such path"))
}

// MethodNotAllowed answers a method that a path does not have.
func (a *API) MethodNotAllowed(w http.ResponseWriter, _ *http.Request) {
	write(w, newProblem(http.StatusMethodNotAllowed, "The path does not have this method"))
}

// Crash answers what nobody expected.
func (a *API) Crash(w http.ResponseWriter, _ *http.Request) { write(w, crashed()) }
