package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/outbound"
	"sallyport/internal/secret"
)

// answer is what a provider sent.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one request; it is never made again, because a code is spent by
// the first. A redirect is an answer that nobody gives to these questions.
func (b *Broker) send(req *http.Request) (answer, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Sallyport") // GitHub answers nobody without a name
	res, err := b.http.Do(req)
	if err != nil {
		return answer{}, unreached(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, unreached(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: body}
	switch {
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && req.Method == http.MethodGet && a.header.Get("Retry-After") != "": // so GitHub, too
		return a, &Failure{Reason: ErrThrottled, RetryAfter: retryAfter(a.header.Get("Retry-After")), Detail: "at " + req.URL.Host}
	case a.status >= http.StatusInternalServerError:
		return a, fail(ErrUnreachable, "status %d of %s", a.status, req.URL.Host)
	case a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest:
		return a, fail(ErrLies, "status %d of %s", a.status, req.URL.Host)
	}
	return a, nil
}

// unreached is the failure of a request that got no whole answer. The error of
// package url is left out: it quotes the URL, which may hold a code.
func unreached(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, outbound.ErrTooLarge) {
		return fail(ErrLies, "%v", err)
	}
	return fail(ErrUnreachable, "%v", err)
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

// reads decodes an answer that is to be JSON. Providers that are not quite right
// about its media type exist; those that send a page do not get past the decoder.
func (a answer) reads(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
		return fail(ErrLies, "status %d, %d bytes of %q that are not the JSON expected", a.status, len(a.body), kind)
	}
	return nil
}

// tokens is the answer of a token endpoint (RFC 6749 §5). GitHub answers errors
// with status 200.
type tokens struct {
	Access    string      `json:"access_token"`
	Refresh   string      `json:"refresh_token"`
	ID        string      `json:"id_token"`
	Scope     word        `json:"scope"`
	ExpiresIn json.Number `json:"expires_in"`
	Error     word        `json:"error"`
}

// redeem makes the code exchange (RFC 6749 §4.1.3). basic has the credentials in
// the header, as RFC 6749 §2.3.1 writes them; else they are in the form.
func (b *Broker) redeem(ctx context.Context, endpoint, id, password string, form url.Values, basic bool) (tokens, error) {
	if !basic {
		form.Set("client_id", id)
		form.Set("client_secret", password)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, fail(ErrLies, "token endpoint: not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(password))
	}
	a, err := b.send(req)
	if err != nil {
		return tokens{}, err
	}
	var t tokens
	readable := a.reads(&t)
	switch {
	case a.status >= http.StatusBadRequest || readable == nil && t.Error != "":
		return tokens{}, refusedCode(a.status, string(t.Error))
	case readable != nil:
		return tokens{}, readable
	case t.Access == "":
		return tokens{}, fail(ErrLies, "no access token")
	}
	return t, nil
}

// asProfile are the tokens as a profile has them.
func (t tokens) asProfile(now time.Time) Tokens {
	all := Tokens{Access: secret.Value(t.Access), Refresh: secret.Value(t.Refresh), ID: secret.Value(t.ID), Scope: string(t.Scope)}
	if n, err := t.ExpiresIn.Int64(); err == nil && n > 0 && n < int64(10*365*24*time.Hour/time.Second) {
		all.ExpiresAt = now.Add(time.Duration(n) * time.Second)
	}
	return all
}

// get reads a document about the person.
func (b *Broker) get(ctx context.Context, endpoint, authorization string, header http.Header, v any) error {
	return during(AtPerson, b.getDocument(ctx, endpoint, authorization, header, v))
}

// getDocument makes the request. A provider that has just given the token and
// now refuses it says nothing about the person.
func (b *Broker) getDocument(ctx context.Context, endpoint, authorization string, header http.Header, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return fail(ErrLies, "endpoint: not a URL")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", authorization)
	a, err := b.send(req)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fail(ErrLies, "status %d of %s", a.status, req.URL.Host)
	}
	return a.reads(v)
}
