package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Trouble is one thing that goes wrong.
type Trouble string

// None is a fake that behaves.
const None Trouble = ""

// Troubles of an answer, wherever Behave says.
const (
	Down      Trouble = "down"       // 503
	Throttled Trouble = "throttled"  // 429
	Late      Trouble = "late"       // the answer comes, after two seconds
	Slow      Trouble = "slow"       // no answer until the asker leaves
	Drip      Trouble = "drip"       // a byte now and then, without end
	Dropped   Trouble = "dropped"    // the connection ends in place of an answer
	Cut       Trouble = "cut"        // half an answer
	HTML      Trouble = "html"       // a page in place of JSON, status 200
	ErrorPage Trouble = "error_page" // a page, status 400
	Large     Trouble = "large"      // 10 MB
	Bomb      Trouble = "bomb"       // 10 MB as 10 KB of gzip
	Redirect  Trouble = "redirect"   // sends the asker into a private network
)

// Troubles of what is said.
const (
	WrongIssuer    Trouble = "wrong_issuer"    // in the ID token
	WrongAudience  Trouble = "wrong_audience"  //
	WrongParty     Trouble = "wrong_party"     // azp
	WrongNonce     Trouble = "wrong_nonce"     //
	NoNonce        Trouble = "no_nonce"        //
	WrongSignature Trouble = "wrong_signature" //
	Unsigned       Trouble = "unsigned"        // alg none
	Shared         Trouble = "shared"          // HS256 by the client secret
	Confused       Trouble = "confused"        // HS256 by the public key
	OtherKey       Trouble = "other_key"       // by a key that is not published
	Expired        Trouble = "expired"         //
	Future         Trouble = "future"          // issued in an hour
	WrongHash      Trouble = "wrong_hash"      // at_hash
	NoIDToken      Trouble = "no_id_token"     //
	Somebody       Trouble = "somebody"        // user information about another person
	NoSubject      Trouble = "no_subject"      // an account of nobody
	TwoPrimary     Trouble = "two_primary"     // GitHub: a second primary address, unverified
	BadSecret      Trouble = "bad_secret"      // refuses our credentials
	OtherMetadata  Trouble = "other_metadata"  // metadata of another issuer
	WrongIss       Trouble = "wrong_iss"       // RFC 9207: names another issuer in the answer
	NoIss          Trouble = "no_iss"          // RFC 9207: announces iss, and leaves it out
	Unfinished     Trouble = "unfinished"      // WorkOS wants a second factor
	NoPKCE         Trouble = "no_pkce"         // knows no code challenge, and so compares none
)

// Place is a part of the provider where an answer can be in trouble.
type Place string

// The places.
const (
	AtPage     Place = "page" // the authorization endpoint
	AtToken    Place = "token"
	AtPerson   Place = "person" // user information and the like
	AtMetadata Place = "metadata"
	AtKeys     Place = "keys"
)

// Behave has the fake misbehave until it is called again. A trouble of an answer
// is at the places named; without any, Down is everywhere but at the page, the
// others at the token endpoint.
func (f *Fake) Behave(t Trouble, places ...Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble, f.places = t, places
	if len(places) == 0 {
		f.places = []Place{AtToken}
		if t == Down {
			f.places = []Place{AtToken, AtPerson, AtMetadata, AtKeys}
		}
	}
}

func (f *Fake) is(t Trouble) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble == t
}

// place is what is served at a path.
func (f *Fake) place(path string) Place {
	e := f.endpoints()
	switch {
	case path == e.authorize || path == e.ssoAuthorize && path != "":
		return AtPage
	case path == e.token || path == e.ssoToken && path != "":
		return AtToken
	case path == e.metadata && path != "":
		return AtMetadata
	case path == e.keys && path != "":
		return AtKeys
	case slices.Contains(e.people, path):
		return AtPerson
	}
	return ""
}

// spoilt answers in place of an endpoint whose answers are in trouble.
func spoilt(w http.ResponseWriter, r *http.Request, t Trouble) bool {
	switch t {
	case Down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case Throttled:
		w.Header().Set("Retry-After", "42")
		w.WriteHeader(http.StatusTooManyRequests)
	case Late:
		select {
		case <-time.After(2 * time.Second):
		case <-r.Context().Done():
		}
		return false
	case Slow:
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case Drip:
		drip(w, r)
	case Dropped:
		panic(http.ErrAbortHandler)
	case Cut:
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"access_token":`))
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>Sign in</title>"))
	case ErrorPage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte("<!doctype html><title>Error</title>"))
	case Large:
		w.Header().Set("Content-Type", "application/json")
		w.Write(large())
	case Bomb:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(squeezed(large()))
	case Redirect:
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	default:
		return false
	}
	return true
}

func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		w.Write([]byte(" "))
		w.(http.Flusher).Flush()
		time.Sleep(10 * time.Millisecond)
	}
}

func large() []byte {
	return []byte(`{"access_token":"` + strings.Repeat("x", 10<<20) + `"}`)
}

func squeezed(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil || z.Close() != nil {
		panic("upstreamtest: gzip into memory")
	}
	return out.Bytes()
}
