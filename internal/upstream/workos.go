package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/secret"
)

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
	var res struct {
		User struct {
			ID            string       `json:"id"`
			Email         openid.Word  `json:"email"`
			EmailVerified openid.Truth `json:"email_verified"`
			First         openid.Word  `json:"first_name"`
			Last          openid.Word  `json:"last_name"`
			Picture       openid.Word  `json:"profile_picture_url"`
			Locale        openid.Word  `json:"locale"`
		} `json:"user"`
		Organization openid.Word `json:"organization_id"`
		Access       string      `json:"access_token"`
		Refresh      string      `json:"refresh_token"`
		Impersonator *struct {
			Email openid.Word `json:"email"`
		} `json:"impersonator"`
	}
	err := b.workOSRedeem(ctx, u, "/user_management/authenticate", map[string]string{
		"grant_type": "authorization_code", "code": x.Code, "code_verifier": x.Verifier, "ip_address": x.Visitor.IP, "user_agent": x.Visitor.UserAgent,
	}, &res)
	if err != nil {
		return Profile{}, err
	}
	if s := u.Settings; s.Organization != "" && string(res.Organization) != s.Organization {
		return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrOutsider, "organization"))
	}
	c, err := b.workOSToken(ctx, u, res.Access)
	if err != nil {
		return Profile{}, openid.During(openid.AtToken, err)
	}
	if c.Subject != res.User.ID {
		return Profile{}, openid.During(openid.AtToken, openid.Fail(openid.ErrLies, "an access token of somebody else"))
	}
	p := Profile{Issuer: u.Issuer(), Subject: res.User.ID, Picture: string(res.User.Picture), Locale: string(res.User.Locale), Organization: string(res.Organization),
		Session: c.Session, Roles: c.Roles, Tokens: Tokens{Access: secret.Value(res.Access), Refresh: secret.Value(res.Refresh), ExpiresAt: c.expiresAt()}}
	if c.Role != "" && len(p.Roles) == 0 {
		p.Roles = []string{string(c.Role)}
	}
	if res.Impersonator != nil {
		p.Impersonator = or(shown(string(res.Impersonator.Email)), "somebody")
	}
	p.setNames("", string(res.User.First), string(res.User.Last))
	p.setEmail(u.Settings, string(res.User.Email), res.User.EmailVerified.Is, true, anyDomain)
	return p, nil
}

// workOSClaims are those of an access token of AuthKit. Its issuer is WorkOS or
// a domain of the customer's: whose it is, the keys say, which are of one client.
type workOSClaims struct {
	Subject string       `json:"sub"`
	Session string       `json:"sid"`
	Expires float64      `json:"exp"`
	Role    openid.Word  `json:"role"`
	Roles   openid.Words `json:"roles"`
}

func (c workOSClaims) expiresAt() time.Time { return time.Unix(int64(c.Expires), 0).UTC() }

func (b *Broker) workOSToken(ctx context.Context, u Upstream, raw string) (c workOSClaims, err error) {
	jwt, err := b.asker(u).Verify(ctx, u.workOSBase()+"/sso/jwks/"+url.PathEscape(u.Settings.ClientID), []string{"RS256"}, raw, nil)
	if err != nil {
		return c, err
	}
	if err := jwt.Claims(&c); err != nil {
		return c, openid.Fail(openid.ErrLies, "access token with claims that are not what they should be")
	}
	if err := jwt.CheckTimes(b.now(), openid.Leeway); err != nil {
		return c, openid.Fail(openid.ErrLies, "access token that is not valid now")
	}
	return c, nil
}

// workOSProfile is SSO: WorkOS passes on what a customer's own provider says,
// and a customer may write any address there. Only the domains that the operator
// lists are believed.
func (b *Broker) workOSProfile(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	type role struct {
		Slug openid.Word `json:"slug"`
	}
	var res struct {
		Access  string `json:"access_token"`
		Profile struct {
			ID           string       `json:"id"`
			Connection   string       `json:"connection_id"`
			Provider     string       `json:"connection_type"`
			Organization openid.Word  `json:"organization_id"`
			Email        openid.Word  `json:"email"`
			First        openid.Word  `json:"first_name"`
			Last         openid.Word  `json:"last_name"`
			Role         role         `json:"role"`
			Roles        []role       `json:"roles"`
			Groups       openid.Words `json:"groups"`
		} `json:"profile"`
	}
	if err := b.workOSRedeem(ctx, u, "/sso/token", map[string]string{"grant_type": "authorization_code", "code": x.Code}, &res); err != nil {
		return Profile{}, err
	}
	from := res.Profile
	if s := u.Settings; s.Connection != "" && from.Connection != s.Connection || s.Organization != "" && string(from.Organization) != s.Organization ||
		s.Provider != "" && from.Provider != s.Provider {
		return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrOutsider, "connection, organization or provider"))
	}
	p := Profile{Issuer: u.Issuer(), Subject: from.ID, Organization: string(from.Organization), Groups: from.Groups, Tokens: Tokens{Access: secret.Value(res.Access)}}
	if len(from.Roles) == 0 {
		from.Roles = []role{from.Role}
	}
	for _, r := range from.Roles[:min(len(from.Roles), openid.MaxWords)] {
		if r.Slug != "" {
			p.Roles = append(p.Roles, string(r.Slug))
		}
	}
	p.setNames("", string(from.First), string(from.Last))
	p.setEmail(u.Settings, string(from.Email), false, false, noDomain)
	return p, nil
}

// workOSRenew is AuthKit's alone: SSO gives no refresh tokens.
func (b *Broker) workOSRenew(ctx context.Context, u Upstream, refresh secret.Value) (Tokens, error) {
	var res struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	err := b.workOSRedeem(ctx, u, "/user_management/authenticate", map[string]string{"grant_type": "refresh_token", "refresh_token": refresh.Reveal()}, &res)
	if err != nil {
		return Tokens{}, err
	}
	c, err := b.workOSToken(ctx, u, res.Access)
	return Tokens{Access: secret.Value(res.Access), Refresh: secret.Value(res.Refresh), ExpiresAt: c.expiresAt()}, err
}

// workOSRedeem has WorkOS give tokens, JSON both ways. Members that are empty are
// left out.
func (b *Broker) workOSRedeem(ctx context.Context, u Upstream, path string, in map[string]string, out any) error {
	in["client_id"], in["client_secret"] = u.Settings.ClientID, u.Secret.Reveal()
	for name, value := range in {
		if value == "" {
			delete(in, name)
		}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return openid.Fail(openid.ErrLies, "%v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.workOSBase()+path, bytes.NewReader(body))
	if err != nil {
		return openid.Fail(openid.ErrLies, "token endpoint: not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+u.Secret.Reveal())
	a, err := b.asker(u).Send(req)
	if err != nil {
		return err
	}
	if a.Status >= http.StatusBadRequest {
		return workOSRefusal(a)
	}
	return a.Reads(out)
}

// unfinished are the steps that WorkOS wants the person to take on its own pages.
var unfinished = []string{
	"email_verification_required", "mfa_enrollment", "mfa_challenge", "organization_selection_required", "sso_required",
	"organization_authentication_methods_required",
}

// workOSRefusal reads an error of WorkOS', which comes in two shapes and, for one
// cause, with several statuses: the code tells.
func workOSRefusal(a openid.Answer) error {
	var is struct {
		Code  openid.Word `json:"code"`
		Error openid.Word `json:"error"`
	}
	if err := json.Unmarshal(a.Body, &is); err != nil {
		is.Code, is.Error = "", "" // a page, which is no worse than an error without a code
	}
	code := openid.ErrorCode(or(string(is.Code), string(is.Error)))
	f := &openid.Failure{Reason: openid.ErrClient, Code: code, Detail: fmt.Sprintf("status %d of WorkOS", a.Status)}
	switch {
	case slices.Contains(unfinished, code):
		f.Reason = openid.ErrUnfinished
	case code == "invalid_grant":
		f.Reason = openid.ErrInvalidGrant
	}
	return f
}
