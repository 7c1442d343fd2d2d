package openid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport/internal/outbound"
	"sallyport/internal/token"
)

// Metadata is an issuer's description of itself (OpenID Connect Discovery §3),
// as far as it is used; the endpoints are where they are called.
type Metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	Keys          string   `json:"jwks_uri"`
	EndSession    string   `json:"end_session_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Algs          []string `json:"id_token_signing_alg_values_supported"`
	NamesItself   bool     `json:"authorization_response_iss_parameter_supported"`
}

// maxMetadata bounds a metadata document; the largest we know has 8 KiB.
const maxMetadata = 256 << 10

// parsed is a document with what was made of it, so that the next reader of the
// same bytes need not.
type parsed struct {
	body []byte
	what any
}

// maxReadings bounds what is kept parsed, in each generation: addresses may be of
// strangers, who have as many as they like.
const maxReadings = 2048

// readings are documents by address and use. When there are too many, those that
// nobody has asked for since the last time are forgotten.
type readings struct {
	mu         sync.Mutex
	young, old map[string]parsed
}

func (r *readings) load(at string) (parsed, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.young[at]
	if !ok {
		if p, ok = r.old[at]; ok {
			r.put(at, p)
		}
	}
	return p, ok
}

func (r *readings) store(at string, p parsed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(at, p)
}

// put is called with the lock held.
func (r *readings) put(at string, p parsed) {
	if r.young == nil || len(r.young) >= maxReadings {
		r.old, r.young = r.young, map[string]parsed{}
	}
	r.young[at] = p
}

// document reads a published document by way of the cache and hands it to parse,
// unless these very bytes were parsed before for the same use. One that does not
// parse is read anew: what is kept may be of a bad moment of the publisher's.
func document[T any](ctx context.Context, a *Asker, address, use string, f outbound.Fetch, parse func([]byte) (T, error)) (T, error) {
	var none T
	at := address + " " + use
	for {
		body, err := a.docs.Get(ctx, address, f)
		if err != nil {
			return none, unread(err)
		}
		if last, ok := a.read.load(at); ok && bytes.Equal(last.body, body) {
			if what, ok := last.what.(T); ok {
				return what, nil
			}
		}
		what, err := parse(body)
		if err == nil {
			a.read.store(at, parsed{body, what})
			return what, nil
		}
		if f.Fresh {
			return none, err
		}
		f.Fresh = true
	}
}

// busyFor is how long a document that we were too busy for is not asked for.
const busyFor = 10 * time.Second

func unread(err error) error {
	no, ok := errors.AsType[*outbound.NoDocument](err)
	switch {
	case ok && no.Status == http.StatusTooManyRequests:
		return &Failure{Reason: ErrThrottled, RetryAfter: busyFor, Detail: err.Error()}
	case ok && no.Status < http.StatusInternalServerError:
		return Fail(ErrLies, "%v", err)
	}
	return unreached(err)
}

// Issuer is whom metadata are asked of. Is tells whether the issuer that they
// name is the right one; At is where an endpoint that they name is called. Use is
// another for all whose Is or At differ, because what is made of a document is
// kept.
type Issuer struct {
	Name    string
	Address string // of the metadata
	Use     string
	Is      func(issuer string) bool
	At      func(endpoint string) string
}

// Metadata returns what an issuer publishes. An issuer that calls itself something
// else is an impostor's (OpenID Connect Discovery §4.3).
func (a *Asker) Metadata(ctx context.Context, i Issuer) (Metadata, error) {
	return document(ctx, a, i.Address, i.Use, outbound.Fetch{MaxBytes: maxMetadata, Accept: "application/json"},
		func(body []byte) (Metadata, error) { return i.judge(body, a.allow) })
}

// judge reads metadata and refuses those that cannot be the issuer's. Browsers may
// be sent to any network; we ourselves call no other than allow has.
func (i Issuer) judge(body []byte, allow []netip.Prefix) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return m, Fail(ErrLies, "metadata of %s: %d bytes that are not the JSON expected", i.Name, len(body))
	}
	if !i.Is(m.Issuer) {
		return m, Fail(ErrLies, "metadata of %s are another issuer's", i.Name)
	}
	for _, one := range []struct {
		name     string
		at       *string
		optional bool
		allow    []netip.Prefix
	}{
		{"authorization_endpoint", &m.Authorization, false, Everywhere}, {"token_endpoint", &m.Token, false, allow}, {"jwks_uri", &m.Keys, false, allow},
		{"userinfo_endpoint", &m.Userinfo, true, allow}, {"end_session_endpoint", &m.EndSession, true, Everywhere},
	} {
		if one.optional && *one.at == "" {
			continue
		}
		*one.at = i.At(*one.at)
		if _, err := outbound.CheckURL(*one.at, one.allow); err != nil {
			return m, Fail(ErrLies, "metadata of %s: %s: %v", i.Name, one.name, err)
		}
	}
	return m, nil
}

// algs are what an ID token may be signed with: what the issuer announces of what
// we take, RS256 if it announces nothing (OpenID Connect Core §2). None and
// HS256 are in no case taken: who knows a client secret is no issuer.
func (m Metadata) algs() []string {
	if len(m.Algs) == 0 {
		return []string{"RS256"}
	}
	var some []string
	for _, alg := range token.ClientAlgs {
		if slices.Contains(m.Algs, alg) {
			some = append(some, alg)
		}
	}
	return some
}

// Basic reports whether credentials may go in the header: RFC 6749 §2.3.1 has
// every server take that, so a server that lists only the form is believed.
func (m Metadata) Basic() bool {
	return len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic")
}

// Verify verifies a JWT by the keys at address, once more by the newest ones if
// none of those we know made it (OpenID Connect Core §10.1.1). keep, if not nil,
// says which of the keys may be used.
func (a *Asker) Verify(ctx context.Context, address string, algs []string, raw string, keep func([]byte) []byte) (token.JWT, error) {
	for _, fresh := range []bool{false, true} {
		keys, err := a.Keys(ctx, address, fresh, keep)
		if err != nil {
			return token.JWT{}, err
		}
		jwt, err := keys.Verify(algs, raw)
		switch {
		case err == nil:
			return jwt, nil
		case !errors.Is(err, token.ErrSignature):
			return token.JWT{}, Fail(ErrLies, "a token that is no JWT, or of an algorithm that is not taken")
		}
	}
	return token.JWT{}, Fail(ErrLies, "a token that none of the issuer's keys signed")
}

// Keys are those at an address, for verifying.
func (a *Asker) Keys(ctx context.Context, address string, fresh bool, keep func([]byte) []byte) (token.KeySet, error) {
	f := outbound.Fetch{MaxBytes: token.MaxKeySet, Accept: "application/jwk-set+json, application/json", Fresh: fresh}
	if keep == nil {
		return document(ctx, a, address, "", f, parseKeys)
	}
	whole, err := document(ctx, a, address, "whole", f, func(body []byte) ([]byte, error) {
		_, err := parseKeys(body)
		return body, err
	})
	if err != nil {
		return token.KeySet{}, err
	}
	return parseKeys(keep(whole))
}

func parseKeys(body []byte) (token.KeySet, error) {
	set, err := token.ParseKeySet(body)
	if err != nil {
		return set, Fail(ErrLies, "%v", err)
	}
	return set, nil
}
