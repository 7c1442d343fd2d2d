package client

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Registration says how a person comes to be enrolled.
type Registration string

// The registration policies.
const (
	Open     Registration = "open"     // whoever signs in is enrolled
	Approval Registration = "approval" // enrolled pending, until approved
	Invite   Registration = "invite"   // only with an invitation
)

// Our own sign-in methods; any other method is the key of an upstream.
const (
	MethodPassword  = "password"
	MethodMagicLink = "magic_link"
	MethodEmailCode = "email_code"
	MethodPasskey   = "passkey"
)

// Whether a client demands a second factor.
const (
	FactorOptional = "optional"
	FactorRequired = "required"
)

// Whether an upstream account may find a user by the e-mail address. Empty is
// LinkingVerified.
const (
	LinkingVerified = "verified_email"
	LinkingNever    = "never" // one upstream account is one user
)

// Policy is how a client signs people in. Every difference in behaviour
// between two applications, or two of the APIs we speak, is a field here.
// Zero values mean the defaults that WithDefaults fills in. MagicLinkButton has
// mailed sign-in links lead to a page whose button signs in, for readers whose
// mail is opened by scanners that run a browser; with MagicLinkExisting they go
// to users there are and make no new ones, and with MagicLinkNewest the newest
// of a user's is the only one that works.
//
// AllowedDomains are those whose verified addresses are let in whatever Registration
// says (Door).
//
// Accounts gives each new user an account of their own, an org whose owner they
// are, and has tokens name the one they act in. VerifiedEmail lets nobody in by a
// password whose address nobody proved; VerifyLater keeps the mail that asks
// for the proof from going out with the sign-up. ResetVerified mails links to a
// new password to proved addresses only. StrictCSRF wants a token even of pages
// whose origin is allowed.
//
// KeepUpstreamTokens keeps the tokens that an upstream gives at a sign-in, sealed,
// for the client to fetch.
type Policy struct {
	RedirectURIs           []string       `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string       `json:"post_logout_redirect_uris,omitempty"`
	AllowedOrigins         []string       `json:"allowed_origins,omitempty"`
	Registration           Registration   `json:"registration,omitzero"`
	AllowedDomains         []string       `json:"allowed_domains,omitempty"`
	Methods                []string       `json:"methods,omitempty"`
	SecondFactor           string         `json:"second_factor,omitempty"`
	Password               PasswordPolicy `json:"password,omitzero"`
	AccessToken            AccessToken    `json:"access_token,omitzero"`
	RefreshToken           RefreshToken   `json:"refresh_token,omitzero"`
	Linking                string         `json:"linking,omitempty"`
	Issuer                 string         `json:"issuer,omitempty"`
	Audience               string         `json:"audience,omitempty"`
	Links                  Links          `json:"links,omitzero"`
	MagicLinkButton        bool           `json:"magic_link_button,omitempty"`
	MagicLinkExisting      bool           `json:"magic_link_existing,omitempty"`
	MagicLinkNewest        bool           `json:"magic_link_newest,omitempty"`
	Accounts               bool           `json:"accounts,omitempty"`
	VerifiedEmail          bool           `json:"verified_email,omitempty"`
	VerifyLater            bool           `json:"verify_later,omitempty"`
	ResetVerified          bool           `json:"reset_verified,omitempty"`
	StrictCSRF             bool           `json:"strict_csrf,omitempty"`
	Roles                  Roles          `json:"roles,omitzero"`
	Grants                 []string       `json:"grants,omitempty"`
	Profile                string         `json:"profile,omitempty"`
	PKCE                   string         `json:"pkce,omitempty"`
	JWKSURI                string         `json:"jwks_uri,omitempty"`
	BackchannelLogoutURI   string         `json:"backchannel_logout_uri,omitempty"`
	KeepUpstreamTokens     bool           `json:"keep_upstream_tokens,omitempty"`
	OAuth                  OAuth          `json:"oauth,omitzero"`
	Branding               Branding       `json:"branding,omitzero"`
	Notifications          bool           `json:"notifications,omitempty"`
}

// PasswordPolicy is what a new password must meet; MinLength and MaxLength count
// Unicode code points, and a MaxLength of 0 is the greatest there is. RefuseEmail
// refuses one that holds the local part of the user's own address. Its fields are
// those of package password's policy.
type PasswordPolicy struct {
	MinLength        int  `json:"min_length"`
	RequireUppercase bool `json:"require_uppercase"`
	RequireLowercase bool `json:"require_lowercase"`
	RequireDigit     bool `json:"require_digit"`
	RequireSymbol    bool `json:"require_symbol"`
	MaxLength        int  `json:"max_length,omitempty"`
	RefuseEmail      bool `json:"refuse_email,omitempty"`
}

// MinPassword is the least length that any policy may ask for.
const MinPassword = 8

// Stricter joins two policies part by part.
func (p PasswordPolicy) Stricter(q PasswordPolicy) PasswordPolicy {
	return PasswordPolicy{
		MinLength:        max(p.MinLength, q.MinLength, MinPassword),
		RequireUppercase: p.RequireUppercase || q.RequireUppercase,
		RequireLowercase: p.RequireLowercase || q.RequireLowercase,
		RequireDigit:     p.RequireDigit || q.RequireDigit,
		RequireSymbol:    p.RequireSymbol || q.RequireSymbol,
		MaxLength:        lesser(p.MaxLength, q.MaxLength),
		RefuseEmail:      p.RefuseEmail || q.RefuseEmail,
	}
}

// lesser is the smaller of two limits, of which 0 is none.
func lesser(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// AccessToken is how a client's access tokens are signed. Alg is RS256, ES256,
// EdDSA or HS256; empty leaves it to the surface that signs. Format is FormatJWT
// or FormatOpaque, for the provider's own tokens; empty is FormatJWT. Cookie, if
// set, also gives browsers the token as a cookie where an API has one.
type AccessToken struct {
	Lifetime Duration `json:"lifetime,omitempty"`
	Alg      string   `json:"alg,omitempty"`
	Format   string   `json:"format,omitempty"`
	Cookie   *Cookie  `json:"cookie,omitempty"`
}

// Cookie is how a token's cookie is set: its name ("" is the API's own), what
// SameSite says (lax, strict or none; "" is lax), and whether it is Open to
// scripts or Plain, for http on this machine. Both are off where it matters.
type Cookie struct {
	Name     string `json:"name,omitempty"`
	SameSite string `json:"same_site,omitempty"`
	Open     bool   `json:"open,omitempty"`
	Plain    bool   `json:"plain,omitempty"`
}

// RefreshToken is how long a refresh token lives after each rotation, how long
// it may lie unused, and how long after a rotation the old one is still
// answered with its successor (a client with many tabs). MaxAge, if set, ends
// the family that long after its sign-in, however often it was rotated.
type RefreshToken struct {
	Lifetime   Duration `json:"lifetime,omitempty"`
	Idle       Duration `json:"idle,omitempty"`
	ReuseGrace Duration `json:"reuse_grace,omitempty"`
	MaxAge     Duration `json:"max_age,omitempty"`
	Cookie     *Cookie  `json:"cookie,omitempty"`
}

// Links are pages of the application that mails point to; empty means ours.
type Links struct {
	MagicLink     string `json:"magic_link,omitempty"`
	ResetPassword string `json:"reset_password,omitempty"`
	VerifyEmail   string `json:"verify_email,omitempty"`
	Invite        string `json:"invite,omitempty"`
}

// Roles are the roles that may be given in a client and those a new enrolment gets.
type Roles struct {
	Available []string `json:"available,omitempty"`
	Default   []string `json:"default,omitempty"`
}

// Branding is how a client looks on our pages and in our mails. LogoHeight is
// in CSS pixels.
type Branding struct {
	LogoURL    string `json:"logo_url,omitempty"`
	Color      string `json:"color,omitempty"`
	LogoHeight int    `json:"logo_height,omitempty"`
}

// The defaults of a policy.
const (
	DefaultAccessLifetime  = 15 * time.Minute
	DefaultRefreshLifetime = 30 * 24 * time.Hour
	DefaultColor           = "#2d5bff"
	DefaultLogoHeight      = 80
)

// WithDefaults returns p with every unset part that has a default filled in.
func (p Policy) WithDefaults() Policy {
	if p.Registration == "" {
		p.Registration = Invite
	}
	if p.SecondFactor == "" {
		p.SecondFactor = FactorOptional
	}
	if p.AccessToken.Lifetime == 0 {
		p.AccessToken.Lifetime = Duration(DefaultAccessLifetime)
	}
	if p.RefreshToken.Lifetime == 0 {
		p.RefreshToken.Lifetime = Duration(DefaultRefreshLifetime)
	}
	if p.Branding.Color == "" {
		p.Branding.Color = DefaultColor
	}
	if p.Branding.LogoHeight == 0 {
		p.Branding.LogoHeight = DefaultLogoHeight
	}
	p.Password = p.Password.Stricter(PasswordPolicy{})
	return p
}

// RefreshExpiry is when a refresh token that is issued now ends.
func (p Policy) RefreshExpiry(now time.Time) time.Time {
	d := p.RefreshToken.Lifetime.D()
	if idle := p.RefreshToken.Idle.D(); idle > 0 {
		d = min(d, idle)
	}
	return now.Add(d)
}

// Rotated is when a refresh token ends that is issued now to a family that
// began at began.
func (p Policy) Rotated(began, now time.Time) time.Time {
	end := p.RefreshExpiry(now)
	if most := p.RefreshToken.MaxAge.D(); most > 0 && began.Add(most).Before(end) {
		end = began.Add(most)
	}
	return end
}

// Origins are the web origins whose pages may call us for this client: those
// named, and those of its redirect URIs.
func (p Policy) Origins() []string {
	var all []string
	for _, o := range p.AllowedOrigins {
		if o := Origin(o); o != "" {
			all = append(all, o)
		}
	}
	for _, u := range p.RedirectURIs {
		if o := Origin(u); o != "" {
			all = append(all, o)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Origin returns scheme://host[:port] of an http(s) URL as a browser writes it
// in the Origin header (RFC 6454 §6.2), or "".
func Origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// ErrRedirectURI reports a redirect URI that may not be registered.
var ErrRedirectURI = errors.New("client: a redirect URI is absolute, has no fragment, and is https, loopback http, or a private-use scheme with a dot")

// CheckRedirectURI tells whether a redirect URI may be registered: absolute,
// without fragment or user information, https, or http on a loopback host, or
// a private-use scheme that holds a dot (RFC 8252 §7.1, §7.3; RFC 9700 §2.1).
func CheckRedirectURI(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || !u.IsAbs() || u.Fragment != "" || strings.Contains(raw, "#") || u.User != nil || strings.ContainsFunc(raw, notPrintableASCII) {
		return ErrRedirectURI
	}
	switch {
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case strings.Contains(u.Scheme, "."):
		return nil
	}
	return ErrRedirectURI
}

func notPrintableASCII(r rune) bool { return r <= ' ' || r > '~' }

// Loopback reports whether host is localhost or a loopback address.
func Loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Duration is a time.Duration written as text: "15m", "720h", "30d".
type Duration time.Duration

// D returns d as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText writes the largest unit that divides d: days, hours, minutes,
// seconds, else Go's form.
func (d Duration) MarshalText() ([]byte, error) {
	units := []struct {
		d time.Duration
		s string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	for _, u := range units {
		if n := time.Duration(d); n != 0 && n%u.d == 0 {
			return []byte(strconv.FormatInt(int64(n/u.d), 10) + u.s), nil
		}
	}
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration does, and whole days as "30d".
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("duration %q: not a number of days", s)
		}
		*d = Duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("duration %q: write it like 90s, 15m, 720h or 30d", s)
	}
	*d = Duration(v)
	return nil
}

// Color reports whether s is a colour as branding has it: "#" and six
// hexadecimal digits.
func Color(s string) bool {
	if len(s) != 7 || s[0] != '#' {
		return false
	}
	return strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}
