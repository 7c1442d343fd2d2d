package hackillinois

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/wire"
)

// codeLifetime is how long the application has to bring back a code of ours
// (contract §9).
const codeLifetime = 2 * time.Minute

// bound is what a code of ours is good with: it is kept behind it, and judged
// when it comes back. The redirect URI is as it was given, "" for the default;
// the challenge is that of a client that sent one (RFC 7636).
type bound struct {
	Provider    string `json:"provider"`
	RedirectURI string `json:"redirect_uri,omitempty"`
	Challenge   string `json:"challenge,omitempty"`
}

// start is GET /auth/{provider}/ (§4.1). The redirect URI stands in the query
// unescaped, as all clients write it: it ends at the next "&".
func (a *API) start(w http.ResponseWriter, r *http.Request) {
	s, provider := a.Settings(), r.PathValue("provider")
	key := s.upstream(provider)
	if key == "" {
		refuse(w, invalidProvider)
		return
	}
	challenge, ok := challengeOf(parameter(r, "code_challenge"), parameter(r, "code_challenge_method"))
	if !ok || challenge != "" && s.passes(provider) {
		refuse(w, startWords.refused) // a challenge that nobody would hold the code against is none
		return
	}
	in := signin.UpstreamStart{
		ClientID: s.Client, Upstream: key, RedirectURI: parameter(r, "redirect_uri"), Allows: client.Client.RedirectAnyQuery,
		Legacy: s.legacy(provider), Limits: startLimits(wire.OriginOf(r.Context()), provider), Visitor: visitor(r),
	}
	if s.passes(provider) {
		location, err := a.SignIn.PassUpstream(r.Context(), in)
		if err != nil {
			a.fail(w, r, startWords, err)
			return
		}
		redirect(w, location)
		return
	}
	in.State, in.Cookie, in.Callback = parameter(r, "state"), wire.Cookie(r, cookieName(r)), base(r)+"/auth/callback/"+provider+"/"
	in.Data = marshal(bound{provider, in.RedirectURI, challenge})
	if 2*len(in.Data)+6*len(in.State) > maxKept {
		refuse(w, startWords.refused)
		return
	}
	started, err := a.SignIn.StartUpstream(r.Context(), in)
	if err != nil {
		a.fail(w, r, startWords, err)
		return
	}
	bind(w, r, started.Cookie)
	redirect(w, started.Location)
}

// parameter is a value in the query as clients write it, escaped or not: it runs to
// the next "&" (§4.1). The standard library drops a value with a semicolon or a
// stray "%", and the browser would land on another page than it was sent to.
func parameter(r *http.Request, name string) string {
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if key != name {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			return plain
		}
		return value
	}
	return ""
}

// maxKept bounds in bytes what an application has us keep for a login: its
// redirect URI twice, and its state, of which JSON makes six bytes of one at most.
// It is half of what there is room for: the other is for who comes back.
const maxKept = 8 << 10

// challengeOf reads a code challenge, which may be missing; plain ones are not
// taken (RFC 7636 §4.2, RFC 9700 §2.1.1).
func challengeOf(challenge, method string) (string, bool) {
	if challenge == "" {
		return "", method == ""
	}
	wrong := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	return challenge, method == "S256" && len(challenge) == 43 && !strings.ContainsFunc(challenge, wrong)
}

// cookieName is the name of the cookie that binds an attempt to the browser. Its
// prefix makes browsers refuse one that another host, or plain http, has set
// (RFC 6265bis §4.1.3.2).
func cookieName(r *http.Request) string {
	if wire.MountOf(r.Context()).Secure {
		return "__Host-hackillinois"
	}
	return "hackillinois"
}

// bind gives the browser the cookie, for the whole host as its prefix demands.
func bind(w http.ResponseWriter, r *http.Request, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: int(signin.UpstreamLifetime / time.Second),
		HttpOnly: true, Secure: wire.MountOf(r.Context()).Secure, SameSite: http.SameSiteLaxMode,
	})
}

// callback is GET /auth/callback/{provider}/, where a provider sends the browser
// back to us. The original has no such route. The browser goes on to the
// application with a code of ours, or with an error as RFC 6749 §4.1.2.1 names
// it; only where nobody knows to which application, it stays.
func (a *API) callback(w http.ResponseWriter, r *http.Request) {
	s, provider := a.Settings(), r.PathValue("provider")
	key := s.upstream(provider)
	if key == "" || s.passes(provider) {
		refuse(w, invalidProvider)
		return
	}
	q := r.URL.Query()
	in := signin.DeferIn{Lifetime: codeLifetime, UpstreamReturn: signin.UpstreamReturn{
		Upstream: key, State: q.Get("state"), Cookie: wire.Cookie(r, cookieName(r)), Answer: upstream.AnswerOf(q), Visitor: visitor(r),
	}}
	out, err := a.SignIn.DeferUpstream(r.Context(), in)
	if !out.Client.RedirectAnyQuery(out.RedirectURI) {
		if err == nil {
			err = fault.New(fault.RedirectURIInvalid) // taken off the list meanwhile
		}
		a.fail(w, r, callbackWords, err)
		return
	}
	answer := []string{"code", out.Handle}
	if err != nil {
		a.report(r, err)
		answer = []string{"error", errorCode(err)}
	}
	if out.State != "" {
		answer = append(answer, "state", out.State)
	}
	redirect(w, wire.WithQuery(spelled(out.RedirectURI), answer...))
}

// errorCode is what an application's page is told.
func errorCode(err error) string {
	switch f, ok := wire.Fault(err); {
	case !ok:
		return "server_error"
	case f.Code == fault.UpstreamDenied:
		return "access_denied"
	case f.Code == fault.UpstreamUnreachable, f.Code == fault.UpstreamThrottled, f.Code == fault.Unavailable, f.Code == fault.RateLimited:
		return "temporarily_unavailable"
	}
	return "server_error"
}

// spelled is a redirect URI as a header can carry it: what was written unescaped
// in a query and is no part of a URL is escaped, and nothing else is touched.
func spelled(uri string) string {
	var b strings.Builder
	for _, c := range []byte(uri) {
		if c <= ' ' || c >= 0x7f {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func marshal(b bound) json.RawMessage {
	text, err := json.Marshal(b)
	if err != nil {
		panic("hackillinois: " + err.Error()) // texts always marshal
	}
	return text
}

// unmarshal reads what marshal wrote; anything else is bound to nothing there is.
func unmarshal(raw json.RawMessage) (b bound) {
	if json.Unmarshal(raw, &b) != nil {
		return bound{}
	}
	return b
}
