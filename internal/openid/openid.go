// Package openid asks other people's OAuth 2.0 and OpenID Connect servers, as
// their client: it reads what an issuer publishes, exchanges codes, and checks ID
// tokens. It knows no provider by name and no person: who is asked, what for, and
// what of the answer is believed is package upstream's.
//
//	Metadata ─▶ Redeem (a code, a refresh token) ─▶ IDToken ─▶ Complete
//
// It follows RFC 6749, OpenID Connect Core and Discovery 1.0. Each failure is of
// a closed list, because what a person is told, and whether they may try again,
// depends on it.
package openid

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"sallyport/internal/outbound"
)

// Asker makes the requests. It keeps what servers publish about themselves, and
// nothing about people; any number of goroutines may use one. It calls by https
// only, except on loopback, and follows no redirect.
type Asker struct {
	http  *http.Client
	docs  *outbound.Documents
	now   func() time.Time
	allow []netip.Prefix
	read  readings
}

// Options are what an Asker works with. Allow are the networks that it reaches
// although they are not public: Everywhere where all addresses are the operator's
// own.
type Options struct {
	Now         func() time.Time
	Timeout     time.Duration  // of a request
	Roots       *x509.CertPool // trusted certificate authorities; nil: the system's
	Allow       []netip.Prefix
	IdlePerHost int // connections that are kept; 0 is one
}

// Everywhere are all networks.
var Everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// New returns an Asker. Its owner ends it with Close.
func New(o Options) *Asker {
	limits := outbound.Options{Allow: o.Allow, Timeout: o.Timeout, Roots: o.Roots, IdlePerHost: o.IdlePerHost}
	a := &Asker{http: outbound.Client(limits), now: o.Now, allow: o.Allow}
	// Nobody but the provider can have us look for newer keys: the ID token is
	// read from the provider itself. So a second is patience enough.
	limits.Patience = time.Second
	a.docs = outbound.NewDocuments(limits, o.Now)
	return a
}

// Close ends connections that lie idle.
func (a *Asker) Close() {
	a.http.CloseIdleConnections()
	a.docs.Close()
}

// Answer is what a server sent.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send makes one request; it is never made again, because a code is spent by
// the first. A redirect is an answer that nobody gives to these questions.
func (a *Asker) Send(req *http.Request) (Answer, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Sallyport") // GitHub answers nobody without a name
	res, err := a.http.Do(req)
	if err != nil {
		return Answer{}, unreached(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, unreached(err)
	}
	got := Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	switch {
	case got.Status == http.StatusTooManyRequests, got.Status == http.StatusForbidden && req.Method == http.MethodGet && got.Header.Get("Retry-After") != "": // so GitHub, too
		return got, &Failure{Reason: ErrThrottled, RetryAfter: retryAfter(got.Header.Get("Retry-After")), Detail: "at " + req.URL.Host}
	case got.Status >= http.StatusInternalServerError:
		return got, Fail(ErrUnreachable, "status %d of %s", got.Status, req.URL.Host)
	case got.Status >= http.StatusMultipleChoices && got.Status < http.StatusBadRequest:
		return got, Fail(ErrLies, "status %d of %s", got.Status, req.URL.Host)
	}
	return got, nil
}

// unreached is the failure of a request that got no whole answer. The error of
// package url is left out: it quotes the URL, which may hold a code.
func unreached(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, outbound.ErrTooLarge) {
		return Fail(ErrLies, "%v", err)
	}
	return Fail(ErrUnreachable, "%v", err)
}

// longestWait bounds what a provider may ask us to tell people.
const longestWait = time.Hour

// retryAfter reads seconds; a date is not worth its clock.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return time.Second
	}
	return min(max(time.Duration(n)*time.Second, time.Second), longestWait)
}

// Reads decodes an answer that is to be JSON. Providers that are not quite right
// about its media type exist; those that send a page do not get past the decoder.
func (a Answer) Reads(v any) error {
	if err := json.Unmarshal(a.Body, v); err != nil {
		kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		return Fail(ErrLies, "status %d, %d bytes of %q that are not the JSON expected", a.Status, len(a.Body), kind)
	}
	return nil
}

// Get reads a document about the person.
func (a *Asker) Get(ctx context.Context, endpoint, authorization string, header http.Header, v any) error {
	return During(AtPerson, a.getDocument(ctx, endpoint, authorization, header, v))
}

// getDocument makes the request. A provider that has just given the token and
// now refuses it says nothing about the person.
func (a *Asker) getDocument(ctx context.Context, endpoint, authorization string, header http.Header, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return Fail(ErrLies, "endpoint: not a URL")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", authorization)
	got, err := a.Send(req)
	if err != nil {
		return err
	}
	if got.Status != http.StatusOK {
		return Fail(ErrLies, "status %d of %s", got.Status, req.URL.Host)
	}
	return got.Reads(v)
}
