package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/internal/outbound"
	"sallyport/internal/token"
)

// metadata is an issuer's description of itself (OpenID Connect Discovery §3),
// as far as it is used; the endpoints are where they are called.
type metadata struct {
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

// document reads a published document by way of the cache and hands it to parse,
// unless these very bytes were parsed before. One that does not parse is read
// anew: what is kept may be of a bad moment of the publisher's.
func document[T any](ctx context.Context, b *Broker, address string, f outbound.Fetch, parse func([]byte) (T, error)) (T, error) {
	var none T
	for {
		body, err := b.docs.Get(ctx, address, f)
		if err != nil {
			return none, unread(err)
		}
		if last, ok := b.read.Load(address); ok && bytes.Equal(last.(parsed).body, body) {
			if what, ok := last.(parsed).what.(T); ok {
				return what, nil
			}
		}
		what, err := parse(body)
		if err == nil {
			b.read.Store(address, parsed{body, what})
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
		return fail(ErrLies, "%v", err)
	}
	return unreached(err)
}

// metadata returns what the upstream's issuer publishes. An issuer that calls
// itself something else is an impostor's (OpenID Connect Discovery §4.3).
func (b *Broker) metadata(ctx context.Context, u Upstream) (metadata, error) {
	// The issuer's path below the base URL, if there is one: an issuer may be
	// reached by another way than its name.
	address := strings.TrimSuffix(u.at(u.Issuer()), "/") + "/.well-known/openid-configuration"
	m, err := document(ctx, b, address, outbound.Fetch{MaxBytes: maxMetadata, Accept: "application/json"}, func(body []byte) (metadata, error) {
		var m metadata
		if err := json.Unmarshal(body, &m); err != nil {
			return m, fail(ErrLies, "metadata of %s: %d bytes that are not the JSON expected", u.Issuer(), len(body))
		}
		if !u.isIssuer(u.Issuer(), m.Issuer) {
			return m, fail(ErrLies, "metadata of %s are another issuer's", u.Issuer())
		}
		return m, nil
	})
	if err != nil {
		return metadata{}, err
	}
	if !u.isIssuer(u.Issuer(), m.Issuer) { // where an upstream of another issuer has read them
		return metadata{}, fail(ErrLies, "metadata of %s are another issuer's", u.Issuer())
	}
	for _, at := range []*string{&m.Authorization, &m.Token, &m.Userinfo, &m.Keys, &m.EndSession} {
		*at = u.at(*at)
	}
	for name, at := range map[string]string{"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys,
		"userinfo_endpoint": or(m.Userinfo, m.Token), "end_session_endpoint": or(m.EndSession, m.Token)} { // the last two may be missing
		if _, err := outbound.CheckURL(at, everywhere); err != nil {
			return metadata{}, fail(ErrLies, "metadata of %s: %s: %v", u.Issuer(), name, err)
		}
	}
	return m, nil
}

// isIssuer reports whether an issuer calls itself what it should.
func (u Upstream) isIssuer(want, got string) bool {
	switch {
	case u.Kind == Microsoft:
		return u.isMicrosoft(got)
	case u.Kind == LinkedIn && got == strings.TrimSuffix(want, "/oauth"):
		return true // what LinkedIn called itself until 2024, and its documentation still does
	case u.Kind == Google && "https://"+got == want:
		return true // what Google called itself before the standard
	}
	return got == want
}

// algs are what an ID token may be signed with: what the issuer announces of what
// we take, RS256 if it announces nothing (OpenID Connect Core §2). None and
// HS256 are in no case taken: who knows a client secret is no issuer.
func (m metadata) algs() []string {
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

// basic reports whether credentials go in the header: RFC 6749 §2.3.1 has every
// server take that, so a server that lists only the form is believed.
func (m metadata) basic(u Upstream) bool {
	return u.kind().basic && (len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic"))
}

// verifySigned verifies a JWT by the keys at address, once more by the newest
// ones if none of those we know made it (OpenID Connect Core §10.1.1). keep, if
// not nil, says which of the keys may be used.
func (b *Broker) verifySigned(ctx context.Context, address string, algs []string, raw string, keep func([]byte) []byte) (token.JWT, error) {
	for _, fresh := range []bool{false, true} {
		keys, err := b.keys(ctx, address, fresh, keep)
		if err != nil {
			return token.JWT{}, err
		}
		jwt, err := keys.Verify(algs, raw)
		switch {
		case err == nil:
			return jwt, nil
		case !errors.Is(err, token.ErrSignature):
			return token.JWT{}, fail(ErrLies, "a token that is no JWT, or of an algorithm that is not taken")
		}
	}
	return token.JWT{}, fail(ErrLies, "a token that none of the issuer's keys signed")
}

func (b *Broker) keys(ctx context.Context, address string, fresh bool, keep func([]byte) []byte) (token.KeySet, error) {
	f := outbound.Fetch{MaxBytes: token.MaxKeySet, Accept: "application/jwk-set+json, application/json", Fresh: fresh}
	if keep == nil {
		return document(ctx, b, address, f, parseKeys)
	}
	whole, err := document(ctx, b, address, f, func(body []byte) ([]byte, error) {
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
		return set, fail(ErrLies, "%v", err)
	}
	return set, nil
}

// Refresh reads anew what the upstreams publish, so that no sign-in waits for
// it. The server calls it now and then; what fails is left as it was, and told
// for the log.
func (b *Broker) Refresh(ctx context.Context, all []Upstream) error {
	var failures []error
	for _, u := range all {
		if !u.kind().openID {
			continue
		}
		if err := b.refresh(ctx, u); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func (b *Broker) refresh(ctx context.Context, u Upstream) error {
	ctx, stop := context.WithTimeout(ctx, b.timeout)
	defer stop()
	m, err := b.metadata(ctx, u)
	if err != nil {
		return err
	}
	_, err = b.keys(ctx, m.Keys, true, nil)
	return err
}
