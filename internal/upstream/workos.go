package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/workos/workos-go/v7"

	"sallyport/internal/secret"
	"sallyport/internal/token"
)

// workOSClient is the official SDK on our HTTP client. It makes each request
// once: it would repeat a code exchange, and a code is spent by the first.
func (b *Broker) workOSClient(u Upstream) *workos.Client {
	return workos.NewClient(u.Secret.Reveal(), workos.WithClientID(u.Settings.ClientID), workos.WithBaseURL(u.workOSBase()),
		workos.WithHTTPClient(b.http), workos.WithMaxRetries(0))
}

func (u Upstream) workOSBase() string {
	return or(strings.TrimSuffix(u.Settings.BaseURL, "/"), u.kind().base)
}

func (u Upstream) workOSAuthorization() string {
	if u.Settings.Mode == ModeSSO {
		return u.workOSBase() + "/sso/authorize"
	}
	return u.workOSBase() + "/user_management/authorize"
}

// askWorkOS says by which connection the person comes, and returns the prompt
// that makes them sign in again.
func (u Upstream) askWorkOS(q url.Values) (again string) {
	s := u.Settings
	connection, organization, provider, again := "connection_id", "organization_id", s.Provider, "login"
	if s.Mode == ModeSSO {
		connection, organization, again = "connection", "organization", ""
	} else if s.Connection == "" && s.Organization == "" {
		provider = or(provider, "authkit")
	}
	for name, value := range map[string]string{connection: s.Connection, organization: s.Organization, "provider": provider} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return again
}

func (b *Broker) workOS(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	if u.Settings.Mode == ModeSSO {
		return b.workOSProfile(ctx, u, x)
	}
	return b.workOSUser(ctx, u, x)
}

// workOSUser is AuthKit. The session that its logout needs is in the access
// token, which WorkOS signs with keys of this client.
func (b *Broker) workOSUser(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	res, err := b.workOSClient(u).UserManagement().AuthenticateWithCode(ctx, &workos.UserManagementAuthenticateWithCodeParams{
		Code: x.Code, CodeVerifier: given(x.Verifier), IPAddress: given(x.Visitor.IP), UserAgent: given(x.Visitor.UserAgent),
	})
	if err != nil {
		return Profile{}, workOSFailure(err)
	}
	if res.User == nil || res.User.ID == "" {
		return Profile{}, fail(ErrLies, "an answer without a user")
	}
	c, err := b.workOSToken(ctx, u, res.AccessToken)
	if err != nil {
		return Profile{}, err
	}
	if c.Subject != res.User.ID {
		return Profile{}, fail(ErrLies, "an access token of somebody else")
	}
	p := Profile{Issuer: u.Issuer(), Subject: res.User.ID, Picture: text(res.User.ProfilePictureURL), Organization: text(res.OrganizationID),
		Session: c.Session, Roles: c.Roles, Tokens: Tokens{Access: secret.Value(res.AccessToken), Refresh: secret.Value(res.RefreshToken)}}
	if c.Role != "" && len(p.Roles) == 0 {
		p.Roles = []string{string(c.Role)}
	}
	if res.Impersonator != nil {
		p.Impersonator = or(shown(res.Impersonator.Email), "somebody")
	}
	p.setNames("", text(res.User.FirstName), text(res.User.LastName))
	p.setEmail(u.Settings, res.User.Email, res.User.EmailVerified, true, anyDomain)
	return p, nil
}

// workOSClaims are those of an access token of AuthKit. Its issuer is WorkOS or
// a domain of the customer's: whose it is, the keys say, which are of one client.
type workOSClaims struct {
	Subject string `json:"sub"`
	Session string `json:"sid"`
	Role    word   `json:"role"`
	Roles   words  `json:"roles"`
}

func (b *Broker) workOSToken(ctx context.Context, u Upstream, raw string) (c workOSClaims, err error) {
	jwt, err := b.verifySigned(ctx, u.workOSBase()+"/sso/jwks/"+url.PathEscape(u.Settings.ClientID), []string{"RS256"}, raw, nil)
	if err != nil {
		return c, err
	}
	if err := jwt.Claims(&c); err != nil {
		return c, fail(ErrLies, "access token with claims that are not what they should be")
	}
	if err := jwt.CheckTimes(b.now(), leeway); errors.Is(err, token.ErrExpired) || err != nil {
		return c, fail(ErrLies, "access token that is not valid now")
	}
	return c, nil
}

// workOSProfile is SSO: WorkOS passes on what a customer's own provider says,
// and a customer may write any address there. Only the domains that the operator
// lists are believed.
func (b *Broker) workOSProfile(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	res, err := b.workOSClient(u).SSO().GetProfileAndToken(ctx, &workos.SSOGetProfileAndTokenParams{Code: x.Code})
	if err != nil {
		return Profile{}, workOSFailure(err)
	}
	if res.Profile == nil {
		return Profile{}, fail(ErrLies, "an answer without a profile")
	}
	from := res.Profile
	if s := u.Settings; s.Connection != "" && from.ConnectionID != s.Connection || s.Organization != "" && text(from.OrganizationID) != s.Organization {
		return Profile{}, fail(ErrOutsider, "connection or organization")
	}
	p := Profile{Issuer: u.Issuer(), Subject: from.ID, Organization: text(from.OrganizationID), Groups: from.Groups,
		Tokens: Tokens{Access: secret.Value(res.AccessToken)}}
	for _, r := range from.Roles {
		if r != nil {
			p.Roles = append(p.Roles, r.Slug)
		}
	}
	if from.Role != nil && len(p.Roles) == 0 {
		p.Roles = []string{from.Role.Slug}
	}
	p.setNames("", text(from.FirstName), text(from.LastName))
	p.setEmail(u.Settings, from.Email, false, false, noDomain)
	return p, nil
}

// workOSFailure reads the SDK's error, whose text holds what the provider said,
// pending tokens too, and is not kept.
func workOSFailure(err error) error {
	api, ok := errors.AsType[*workos.APIError](err)
	if !ok {
		if network, ok := errors.AsType[*workos.NetworkError](err); ok {
			return unreached(network.Err)
		}
		return fail(ErrLies, "an answer that is not the JSON expected, or too large")
	}
	code := or(api.Code, api.ErrorCode)
	switch {
	case api.StatusCode == http.StatusTooManyRequests:
		return &Failure{Reason: ErrThrottled, RetryAfter: min(max(time.Duration(api.RetryAfter)*time.Second, time.Second), longestWait)}
	case api.StatusCode >= http.StatusInternalServerError:
		return fail(ErrUnreachable, "status %d", api.StatusCode)
	}
	switch code {
	case workos.EmailVerificationRequiredCode, workos.MFAEnrollmentCode, workos.MFAChallengeCode, workos.OrganizationSelectionRequiredCode,
		workos.SSORequiredCode, workos.OrganizationAuthenticationMethodsRequiredCode:
		return &Failure{Reason: ErrUnfinished, Code: code}
	case "invalid_grant":
		return &Failure{Reason: ErrInvalidGrant, Code: code}
	}
	return &Failure{Reason: ErrClient, Code: errorCode(code), Detail: http.StatusText(api.StatusCode)}
}

// given is a parameter of the SDK's: none for an empty one.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
