package oauth

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/client"
	"sallyport/internal/identity"
)

// Request is an authorization request that was found valid (RFC 6749 §4.1.1,
// OpenID Connect Core §3.1.2.1). Issuer is who we were to the client when it
// came, CreatedAt when that was. ACREssential are the values of acr of which one
// must be met (Core §5.5.1.1); IDTokenHintSubject is who must be signed in.
// Object names the request object it came in, if that may come once; Pushed
// says that the client pushed it. With a UserCode it is of a device that shows
// that code: no code comes of it, and nothing goes back by the browser.
type Request struct {
	Issuer             string          `json:"issuer"`
	ClientID           client.ID       `json:"client_id"`
	RedirectURI        string          `json:"redirect_uri"`
	RedirectURIGiven   bool            `json:"redirect_uri_given,omitempty"`
	ResponseMode       string          `json:"response_mode"`
	State              string          `json:"state,omitempty"`
	Scope              []string        `json:"scope,omitempty"`
	Resources          []string        `json:"resources,omitempty"`
	Nonce              string          `json:"nonce,omitempty"`
	Challenge          string          `json:"challenge,omitempty"`
	ChallengeMethod    string          `json:"challenge_method,omitempty"`
	JKT                string          `json:"jkt,omitempty"`
	Prompt             []string        `json:"prompt,omitempty"`
	MaxAge             *int64          `json:"max_age,omitempty"`
	LoginHint          string          `json:"login_hint,omitempty"`
	IDTokenHintSubject string          `json:"id_token_hint_subject,omitempty"`
	ACRValues          []string        `json:"acr_values,omitempty"`
	ACREssential       []string        `json:"acr_essential,omitempty"`
	Claims             json.RawMessage `json:"claims,omitempty"`
	UILocales          []string        `json:"ui_locales,omitempty"`
	Object             string          `json:"object,omitempty"`
	ObjectExpires      time.Time       `json:"object_expires,omitzero"`
	Pushed             bool            `json:"pushed,omitempty"`
	UserCode           string          `json:"user_code,omitempty"`
	CreatedAt          time.Time       `json:"created_at"`
}

// stored is the request as it is kept while it waits.
func (r Request) stored() (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // which would make it six times as long
	err := e.Encode(r)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// The values of prompt (Core §3.1.2.1; Initiating User Registration 1.0).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptSelect  = "select_account"
	promptCreate  = "create"
)

// Prompts are the values of prompt that are understood.
var Prompts = []string{promptNone, promptLogin, promptConsent, promptSelect, promptCreate}

// Asks reports whether the request has the prompt.
func (r Request) Asks(prompt string) bool { return slices.Contains(r.Prompt, prompt) }

// The response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post; JARM §2.3).
const (
	ModeQuery       = "query"
	ModeFragment    = "fragment"
	ModeFormPost    = "form_post"
	ModeQueryJWT    = "query.jwt"
	ModeFragmentJWT = "fragment.jwt"
	ModeFormPostJWT = "form_post.jwt"
)

// ResponseModes are the modes that are understood; jwt is query.jwt for a code.
var ResponseModes = []string{ModeQuery, ModeFragment, ModeFormPost, "jwt", ModeQueryJWT, ModeFragmentJWT, ModeFormPostJWT}

// The bounds of what a request may carry, in bytes.
const (
	maxParam  = 2 << 10
	maxAll    = 7 << 10 // of all but JWTs: half of what is kept, since JSON escapes some
	maxClaims = 4 << 10
	maxDepth  = 5
	maxNames  = 64 // of scopes, and of resources
)

// modeOf is the response mode that the parameters ask for, ModeQuery if that
// is none we know: refusals go back so too.
func modeOf(p Params) (mode string, known bool) {
	switch mode = p.Get("response_mode"); {
	case mode == "":
		return ModeQuery, true
	case mode == "jwt":
		return ModeQueryJWT, true
	case slices.Contains(ResponseModes, mode):
		return mode, true
	}
	return ModeQuery, false
}

// begin is a Request with no more than a refusal needs: where it goes and how.
// Its error must not be redirected.
func (c *Core) begin(cl client.Client, p Params, issuer string) (Request, *Error) {
	if len(p["redirect_uri"]) > 1 {
		return Request{}, refuse(InvalidRequest, "redirect_uri is given more than once")
	}
	given := p.Get("redirect_uri")
	must := cl.Policy.FAPI() || slices.Contains(strings.Fields(p.Get("scope")), ScopeOpenID)
	uri, refused := redirectURI(cl, given, must)
	if refused != nil {
		return Request{}, refused
	}
	r := Request{Issuer: issuer, ClientID: cl.ID, RedirectURI: uri, RedirectURIGiven: given != "", CreatedAt: c.Now()}
	r.ResponseMode = ModeQuery
	if len(p["response_mode"]) < 2 {
		r.ResponseMode, _ = modeOf(p)
	}
	if state := p.Get("state"); len(p["state"]) < 2 && len(state) <= maxParam && utf8.ValidString(state) {
		r.State = state
	}
	return r, nil
}

// fill reads the rest of the parameters into r. Its error may go back to the
// client, by what r has already.
func (c *Core) fill(r *Request, cl client.Client, p Params) *Error {
	for _, check := range []func(*Request, client.Client, Params) *Error{
		c.fillForm, c.fillPKCE, c.fillScope, c.fillPrompt, c.fillClaims, c.fillHint,
	} {
		if e := check(r, cl, p); e != nil {
			return e
		}
	}
	return nil
}

// fillForm checks what every request must be, before what it asks for.
func (c *Core) fillForm(r *Request, cl client.Client, p Params) *Error {
	if e := wellFormed(p); e != nil {
		return e
	}
	if _, ok := modeOf(p); !ok {
		return refuse(InvalidRequest, "response_mode is not one of "+strings.Join(ResponseModes, ", "))
	}
	switch t := p.Get("response_type"); {
	case t == "":
		return refuse(InvalidRequest, "response_type is missing")
	case t != "code":
		return refuse(UnsupportedResponseType, "response_type must be code")
	}
	if p.Has("registration") {
		return refuse(RegistrationUnsupported, "registration is not supported")
	}
	if !cl.Policy.MayUse(client.GrantCode) {
		return refuse(UnauthorizedClient, "the client may not use authorization codes")
	}
	if (cl.Policy.OAuth.RequirePAR || cl.Policy.FAPI()) && !r.Pushed {
		return refuse(InvalidRequest, "the client must push its authorization requests")
	}
	r.Nonce, r.LoginHint = p.Get("nonce"), p.Get("login_hint")
	r.UILocales = strings.Fields(p.Get("ui_locales"))
	r.ACRValues = strings.Fields(p.Get("acr_values"))
	if len(r.ACRValues) == 0 {
		r.ACRValues = cl.Policy.OAuth.DefaultACR
	}
	return nil
}

// longParams are JWTs, which have bounds of their own.
var longParams = []string{"request", "id_token_hint", "client_assertion"}

// wellFormed refuses what two readers could understand in two ways, and what is
// too long to be meant.
func wellFormed(p Params) *Error {
	if name := p.Duplicate(); name != "" {
		return refuse(InvalidRequest, named(name)+" is given more than once")
	}
	all := 0
	for name, values := range p {
		most := maxParam
		switch {
		case slices.Contains(longParams, name):
			continue
		case name == "claims":
			most = maxClaims
		}
		for _, v := range values {
			all += len(v)
			switch {
			case !utf8.ValidString(v) || name != "claims" && strings.ContainsFunc(v, unicode.IsControl):
				return refuse(InvalidRequest, named(name)+" holds a control character or is not UTF-8")
			case len(v) > most || all > maxAll:
				return refuse(InvalidRequest, named(name)+" is too long")
			}
		}
	}
	return nil
}

// named is how a refusal speaks of a parameter: it repeats no names but those
// that a specification could have.
func named(parameter string) string {
	if parameter == "" || len(parameter) > 40 || strings.Trim(parameter, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "a parameter"
	}
	return "parameter " + parameter
}

// fillPKCE demands a code challenge (RFC 7636, OAuth 2.1 §4.1.1, RFC 9700 §2.1.1).
func (c *Core) fillPKCE(r *Request, cl client.Client, p Params) *Error {
	r.Challenge, r.ChallengeMethod, r.JKT = p.Get("code_challenge"), p.Get("code_challenge_method"), p.Get("dpop_jkt")
	plain := cl.Policy.PKCE == client.PKCEPlain
	if r.ChallengeMethod == "" && r.Challenge != "" && plain {
		r.ChallengeMethod = "plain" // RFC 7636 §4.3
	}
	optional := cl.Policy.PKCE == client.PKCEOptional && confidential(cl) && !cl.Policy.FAPI()
	switch {
	case r.JKT != "" && !base64url(r.JKT, 43):
		return refuse(InvalidRequest, "dpop_jkt is not a thumbprint of SHA-256")
	case r.Challenge == "" && r.ChallengeMethod == "" && optional:
		return nil
	case r.Challenge == "":
		return refuse(InvalidRequest, "code_challenge is missing")
	case r.ChallengeMethod == "S256" && !base64url(r.Challenge, 43):
		return refuse(InvalidRequest, "code_challenge is not the base64url of a SHA-256")
	case r.ChallengeMethod == "S256":
		return nil
	case r.ChallengeMethod == "plain" && plain && !cl.Policy.FAPI():
		if len(r.Challenge) < 43 || len(r.Challenge) > 128 {
			return refuse(InvalidRequest, "code_challenge does not have 43 to 128 characters")
		}
		return nil
	}
	return refuse(InvalidRequest, "code_challenge_method must be S256")
}

// base64url reports whether s is n characters of the URL-safe alphabet.
func base64url(s string, n int) bool {
	return len(s) == n && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// fillScope reads scope and resource (RFC 6749 §3.3, RFC 8707 §2). Scopes that
// the client may not have are left out where OpenID Connect is spoken (Core
// §3.1.2.1), and refused elsewhere.
func (c *Core) fillScope(r *Request, cl client.Client, p Params) *Error {
	asked := strings.Fields(p.Get("scope"))
	if len(asked) == 0 {
		asked = cl.Policy.OAuth.Scopes
	}
	if len(asked) > maxNames {
		return refuse(InvalidScope, "scope has too many names")
	}
	openid := slices.Contains(asked, ScopeOpenID)
	for _, s := range asked {
		known := slices.Contains(Scopes, s) || slices.Contains(cl.Policy.OAuth.Scopes, s)
		switch {
		case !known && !openid:
			e := refuse(InvalidScope, "scope holds a name that the client may not ask for")
			e.Detail = "scope " + strconv.Quote(short(s))
			return e
		case !known, slices.Contains(r.Scope, s):
		case s == ScopeOffline && !cl.Policy.MayUse(client.GrantRefresh): // Core §11: ignored
		default:
			r.Scope = append(r.Scope, s)
		}
	}
	var e *Error
	r.Resources, e = c.targets(r.Issuer, p.All("resource"))
	return e
}

// targets checks the resources that tokens are asked for (RFC 8707 §2): those
// that the operator names, or the issuer. A slash at the end makes no other.
func (c *Core) targets(issuer string, asked []string) ([]string, *Error) {
	if len(asked) > maxNames {
		return nil, refuse(InvalidTarget, "too many resources")
	}
	known := append([]string{issuer}, c.settings().Resources...)
	var out []string
	for _, given := range asked {
		at := slices.IndexFunc(known, func(k string) bool { return strings.TrimSuffix(k, "/") == strings.TrimSuffix(given, "/") })
		if at < 0 {
			e := refuse(InvalidTarget, "resource is not one that tokens are made for")
			e.Detail = "resource " + strconv.Quote(short(given))
			return nil, e
		}
		if !slices.Contains(out, known[at]) {
			out = append(out, known[at])
		}
	}
	return out, nil
}

// fillPrompt reads how the person is to be asked.
func (c *Core) fillPrompt(r *Request, cl client.Client, p Params) *Error {
	for s := range strings.FieldsSeq(p.Get("prompt")) {
		if !slices.Contains(Prompts, s) {
			return refuse(InvalidRequest, "prompt holds an unknown value")
		}
		if !r.Asks(s) {
			r.Prompt = append(r.Prompt, s)
		}
	}
	if r.Asks(promptNone) && len(r.Prompt) > 1 {
		return refuse(InvalidRequest, "prompt=none stands alone")
	}
	r.MaxAge = cl.Policy.OAuth.DefaultMaxAge
	if s := p.Get("max_age"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return refuse(InvalidRequest, "max_age is not a number of seconds")
		}
		// A century is for ever, and does not overflow a duration.
		n = min(n, int64(100*365*24*time.Hour/time.Second))
		r.MaxAge = &n
	}
	return nil
}

// fillHint reads id_token_hint: whoever is not its subject is not the one meant.
// It may have expired (OpenID Connect RP-Initiated Logout §2 says so for
// itself, and a hint proves nothing here).
func (c *Core) fillHint(r *Request, cl client.Client, p Params) *Error {
	raw := p.Get("id_token_hint")
	if raw == "" {
		return nil
	}
	hint, err := c.hint(raw)
	switch {
	case err != nil:
		return &Error{Code: InvalidRequest, Description: "id_token_hint is not an ID token of ours", Err: err}
	case !slices.Contains(hint.Audience, string(cl.ID)):
		return refuse(InvalidRequest, "id_token_hint was made for another client")
	case r.IDTokenHintSubject != "" && r.IDTokenHintSubject != hint.Subject:
		return refuse(InvalidRequest, "id_token_hint and claims name two people")
	}
	r.IDTokenHintSubject = hint.Subject
	return nil
}

// confidential reports whether the client can prove who it is.
func confidential(cl client.Client) bool {
	method := cl.Policy.OAuth.TokenEndpointAuth
	return method != client.AuthNone && (method != client.AuthSecretBasicOrPost || cl.Confidential())
}

// meant reports whether the request is for this user.
func (c *Core) meant(r Request, cl client.Client, u identity.UserID) bool {
	return r.IDTokenHintSubject == "" || r.IDTokenHintSubject == c.Subject(cl, u)
}
