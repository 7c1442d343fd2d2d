package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/openid"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
)

// DefaultTimeout is how long one operation may take, all of its requests
// together.
const DefaultTimeout = 10 * time.Second

// Options are what a Broker works with.
type Options struct {
	Now     func() time.Time
	Timeout time.Duration  // 0: DefaultTimeout
	Roots   *x509.CertPool // trusted certificate authorities; nil: the system's
	// Allow are the networks that an upstream of an organization may be in although
	// they are not public. The operator's own may be anywhere.
	Allow []netip.Prefix
}

// Broker asks upstreams. It keeps what they publish about themselves, and
// nothing about people; any number of goroutines may use one.
type Broker struct {
	ask     *openid.Asker
	guarded *openid.Asker // for upstreams whose addresses strangers chose
	now     func() time.Time
	timeout time.Duration
}

// NewBroker returns a Broker; its owner ends it with Close.
func NewBroker(o Options) *Broker {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	ask := openid.Options{Now: o.Now, Timeout: o.Timeout, Roots: o.Roots, Allow: openid.Everywhere, IdlePerHost: 16}
	guarded := ask
	guarded.Allow, guarded.IdlePerHost = o.Allow, 0
	return &Broker{ask: openid.New(ask), guarded: openid.New(guarded), now: o.Now, timeout: o.Timeout}
}

// asker is who asks u: what the two keep is apart, too.
func (b *Broker) asker(u Upstream) *openid.Asker {
	if u.Guarded {
		return b.guarded
	}
	return b.ask
}

// Close ends connections that lie idle.
func (b *Broker) Close() {
	b.ask.Close()
	b.guarded.Close()
}

// Start is what a sign-in begins with. State comes back with the answer; it is
// single-use, bound to the browser, and what the caller finds the Attempt by.
// LoginHint may be empty. Again asks for the person to choose or prove an
// account anew where the provider knows how. Legacy is LinkedIn as it was before
// OpenID Connect, for applications that still have its scopes. Offline asks for a
// refresh token, too, for tokens that are to be kept.
type Start struct {
	RedirectURI string
	State       string
	LoginHint   string
	Again       bool
	Legacy      bool
	Offline     bool
	Party       saml.Party // who we are to a SAML upstream; RedirectURI is not for those
}

// Attempt is what has to be known when the answer comes; it is kept, as JSON,
// with the state and on our side only.
type Attempt struct {
	Upstream    string `json:"upstream"`
	Issuer      string `json:"issuer"`
	RedirectURI string `json:"redirect_uri"`
	Nonce       string `json:"nonce,omitempty"`
	Verifier    string `json:"verifier,omitempty"`
	Legacy      bool   `json:"legacy,omitempty"`

	// Of SAML: who we were, and the request that the answer must be to. Form, which
	// is not kept, is what the browser posts where there is no location to go to.
	Party   saml.Party `json:"party,omitzero"`
	Request string     `json:"request,omitempty"`
	Form    *saml.Form `json:"-"`
}

// Begin returns the address to send the browser to. It asks the provider where
// that is, if it is not known yet.
func (b *Broker) Begin(ctx context.Context, u Upstream, s Start) (location string, a Attempt, err error) {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	if u.Kind == SAML {
		return b.beginSAML(u, s)
	}
	k := u.kind()
	a = Attempt{Upstream: u.Key, Issuer: u.Issuer(), RedirectURI: s.RedirectURI, Legacy: s.Legacy && u.Kind == LinkedIn}
	q := u.request(s.RedirectURI, u.scopes())
	q.Set("state", s.State)
	if k.pkce && u.Settings.Mode != ModeSSO {
		a.Verifier = base64.RawURLEncoding.EncodeToString(secret.Bytes(32))
		q.Set("code_challenge", Challenge(a.Verifier))
		q.Set("code_challenge_method", "S256")
	}
	if k.nonce != noNonce && !a.Legacy {
		a.Nonce = secret.Hex(16)
		q.Set("nonce", a.Nonce)
	}
	u.ask(q, s)
	endpoint, err := b.authorizationEndpoint(ctx, u)
	if err != nil {
		return "", Attempt{}, err
	}
	return withQuery(endpoint, q), a, nil
}

// request are the parameters that every authorization request has.
func (u Upstream) request(redirectURI string, scopes []string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {u.Settings.ClientID}, "redirect_uri": {redirectURI}}
	if len(scopes) > 0 {
		q.Set("scope", strings.Join(scopes, " "))
	}
	if u.kind().formPost {
		q.Set("response_mode", "form_post")
	}
	return q
}

// Challenge is the S256 code challenge of a verifier (RFC 7636 §4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask adds the parameters that not all providers share.
func (u Upstream) ask(q url.Values, s Start) {
	hint, again := "login_hint", "select_account"
	switch u.Kind {
	case GitHub:
		hint = "login"
		q.Del("response_type")
	case LinkedIn:
		hint, again = "", ""
		if s.Legacy {
			q.Set("scope", strings.Join(u.kind().plain, " "))
		}
	case Apple:
		hint, again = "", ""
	case Okta:
		again = "login"
	case OIDC:
		again = "login"
	case OAuth2:
		hint, again = "", ""
	case WorkOS:
		again = u.askWorkOS(q)
	}
	if s.LoginHint != "" && hint != "" {
		q.Set(hint, s.LoginHint)
	}
	if s.Again && again != "" {
		q.Set("prompt", again)
	}
	if s.Offline {
		u.askOffline(q)
	}
}

// AuthorizationURL is where to send a browser whose answer does not come to us,
// but to a page of the application's that brings its code to Exchange: a request
// without state, nonce and code challenge, its parameters in the order of their
// names. legacy has LinkedIn asked as before OpenID Connect.
func (b *Broker) AuthorizationURL(ctx context.Context, u Upstream, redirectURI string, legacy bool) (string, error) {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	scopes := u.scopes()
	if plain := u.kind().plain; len(plain) > 0 && u.Kind != LinkedIn && len(u.Settings.Scopes) == 0 {
		scopes = plain
	}
	q := u.request(redirectURI, scopes)
	u.ask(q, Start{Legacy: legacy})
	endpoint, err := b.authorizationEndpoint(ctx, u)
	if err != nil {
		return "", err
	}
	return withQuery(endpoint, q), nil
}

// askOffline asks for a refresh token. Apple and AuthKit give one unasked, GitHub
// and OAuth 2.0 servers as the application is registered there. Google and, by
// OpenID Connect Core §11, others give one only with a consent, so that each
// sign-in asks for it.
func (u Upstream) askOffline(q url.Values) {
	switch u.Kind {
	case Google:
		q.Set("access_type", "offline")
		q.Set("prompt", strings.TrimSpace(q.Get("prompt")+" consent"))
	case Microsoft, Okta, OIDC:
		if scope := strings.Fields(q.Get("scope")); !slices.Contains(scope, "offline_access") {
			q.Set("scope", strings.Join(append(scope, "offline_access"), " "))
		}
		if u.Kind == OIDC {
			q.Set("prompt", strings.TrimSpace(q.Get("prompt")+" consent"))
		}
	case GitHub, LinkedIn, Apple, WorkOS, OAuth2, SAML:
	}
}

func (b *Broker) authorizationEndpoint(ctx context.Context, u Upstream) (string, error) {
	switch u.Kind {
	case GitHub:
		return u.at("https://github.com/login/oauth/authorize"), nil
	case WorkOS:
		return u.workOSAuthorization(), nil
	case OAuth2:
		return u.at(u.Settings.AuthorizationEndpoint), nil
	}
	m, err := b.metadata(ctx, u)
	return m.Authorization, err
}

// withQuery adds q to an endpoint, whose own query stays (RFC 6749 §3.1).
func withQuery(endpoint string, q url.Values) string {
	sep := "?"
	if strings.Contains(endpoint, "?") {
		sep = "&"
	}
	return endpoint + sep + q.Encode()
}

// Answer is what the provider sent the browser back with, as far as it is ours
// to read; State is the caller's.
type Answer struct {
	Code   string
	Error  string
	Issuer string
	User   string // Apple: a JSON object, once
	SAML   string // SAMLResponse, of a form
}

// AnswerOf reads an answer from the parameters of the query, or of the form that
// Apple's page posts.
func AnswerOf(p url.Values) Answer {
	return Answer{Code: p.Get("code"), Error: p.Get("error"), Issuer: p.Get("iss"), User: p.Get("user"), SAML: p.Get("SAMLResponse")}
}

// Visitor is whose browser it is; WorkOS wants to know.
type Visitor struct{ IP, UserAgent string }

// Finish judges the answer to an attempt and returns who it is. The attempt must
// be one that Begin made for u, and its state spent. Fails with a *openid.Failure.
func (b *Broker) Finish(ctx context.Context, u Upstream, a Attempt, ans Answer, v Visitor) (Profile, error) {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	if a.Upstream != u.Key || a.Issuer != u.Issuer() {
		return Profile{}, openid.Fail(openid.ErrLies, "the attempt was made for another upstream") // or the upstream was pointed elsewhere since
	}
	if u.Kind == SAML {
		return b.finishSAML(u, a.Party, a.Request, ans)
	}
	if err := b.checkIssuer(ctx, u, ans); err != nil {
		return Profile{}, err
	}
	if ans.Error != "" {
		return Profile{}, openid.Refusal(ans.Error)
	}
	return b.exchange(ctx, u, Exchange{
		Code: ans.Code, RedirectURI: a.RedirectURI, Verifier: a.Verifier, Nonce: a.Nonce, User: ans.User, Legacy: a.Legacy, Visitor: v,
	})
}

// checkIssuer is RFC 9207 §2.4: the answer says who sent it, so that one
// provider's code is not carried to another.
func (b *Broker) checkIssuer(ctx context.Context, u Upstream, ans Answer) error {
	want, announced := u.Settings.Issuer, false
	if u.kind().openID {
		m, err := b.metadata(ctx, u)
		if err != nil {
			return err
		}
		want, announced = m.Issuer, m.NamesItself
	}
	switch {
	case ans.Issuer == "" && announced:
		return openid.Fail(openid.ErrLies, "the answer does not name its issuer")
	case ans.Issuer != "" && want != "" && !u.isIssuer(want, ans.Issuer):
		return openid.Fail(openid.ErrLies, "the answer names another issuer")
	}
	return nil
}

// Exchange is a code whose authorization request somebody else made, such as a
// web page that posts us what it got. Verifier and Nonce are empty if that
// request had none; what it had is checked. User is for Apple. An application on a
// phone, whose provider signs in there, brings the IDToken in place of a code, and
// with it the AccessToken if it has that; then RedirectURI and Verifier mean nothing.
type Exchange struct {
	Code        string
	IDToken     string
	AccessToken string
	RedirectURI string
	Verifier    string
	Nonce       string
	User        string
	Legacy      bool
	Visitor     Visitor
}

// Exchange redeems a code, once, and returns who it is. Fails with a *openid.Failure.
func (b *Broker) Exchange(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	return b.exchange(ctx, u, x)
}

// maxCode bounds a code; Microsoft's have more than a thousand characters.
const maxCode = 4096

func (b *Broker) exchange(ctx context.Context, u Upstream, x Exchange) (Profile, error) {
	if x.Code == "" && x.IDToken == "" {
		return Profile{}, openid.Fail(openid.ErrLies, "neither a code nor an error")
	}
	if len(x.Code) > maxCode || len(x.AccessToken) > maxCode {
		return Profile{}, openid.Fail(openid.ErrInvalidGrant, "a code of %d bytes", len(x.Code))
	}
	var p Profile
	var err error
	switch {
	case x.IDToken != "":
		p, err = b.presented(ctx, u, x)
	case u.Kind == GitHub:
		p, err = b.gitHub(ctx, u, x)
	case u.Kind == WorkOS:
		p, err = b.workOS(ctx, u, x)
	case u.Kind == OAuth2:
		p, err = b.oauth2(ctx, u, x)
	case x.Legacy && u.Kind == LinkedIn:
		p, err = b.linkedInLegacy(ctx, u, x)
	default:
		p, err = b.openID(ctx, u, x)
	}
	if err != nil {
		return Profile{}, openid.During(openid.AtExchange, err)
	}
	if !validSubject(p.Subject) {
		return Profile{}, openid.During(openid.AtPerson, openid.Fail(openid.ErrLies, "no usable subject"))
	}
	p.Upstream = u.Key
	p.Picture, p.Username, p.Locale = picture(p.Picture), shown(p.Username), shown(p.Locale)
	return p, nil
}

// form is the code exchange as RFC 6749 §4.1.3 and RFC 7636 §4.5 have it.
func (x Exchange) form() url.Values {
	f := url.Values{"grant_type": {"authorization_code"}, "code": {x.Code}}
	if x.RedirectURI != "" {
		f.Set("redirect_uri", x.RedirectURI)
	}
	if x.Verifier != "" {
		f.Set("code_verifier", x.Verifier)
	}
	return f
}
