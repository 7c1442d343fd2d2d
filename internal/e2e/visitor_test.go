package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// visitor is somebody with a network address of their own, so that no other
// visitor's attempts count against theirs, and a browser that keeps cookies and
// follows no redirects.
type visitor struct {
	t    testing.TB
	base string
	ip   string
	http *http.Client
}

var visitors atomic.Uint32

// address is one that no caller had before: of 10.0.0.0/8, which the nodes
// believe because this machine is a trusted proxy.
func address() string {
	n := visitors.Add(1)
	return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

func (s *site) visitor(t testing.TB) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &visitor{t: t, base: s.base, ip: address(), http: &http.Client{
		Transport: tr, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// send sends a request; target is a path or a whole URL. Headers are pairs.
func (v *visitor) send(method, target, contentType, body string, headers ...string) answer {
	v.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = v.base + target
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", v.ip)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{v.t, method + " " + req.URL.Path, res.StatusCode, res.Header, b}
}

func (v *visitor) get(target string, headers ...string) answer {
	v.t.Helper()
	return v.send("GET", target, "", "", headers...)
}

// fields are the members of a JSON body.
type fields map[string]any

func (v *visitor) post(path string, body fields, headers ...string) answer {
	v.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.send("POST", path, "application/json", string(text), headers...)
}

// submit posts a form.
func (v *visitor) submit(path string, form url.Values, headers ...string) answer {
	v.t.Helper()
	return v.send("POST", path, "application/x-www-form-urlencoded", form.Encode(), headers...)
}

// want demands a status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: got %d %s, want %d", a.what, a.status, a.body, status)
	}
	return a
}

// is demands a status and exactly this JSON.
func (a answer) is(status int, body string) {
	a.t.Helper()
	var got, want any
	if err := json.Unmarshal([]byte(body), &want); err != nil {
		a.t.Fatal(err)
	}
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != status || !reflect.DeepEqual(got, want) {
		a.t.Fatalf("%s:\n got %d %s\nwant %d %s", a.what, a.status, a.body, status, body)
	}
}

// refused demands a status and a detail, and for 429 all that comes with it.
func (a answer) refused(status int, detail string) {
	a.t.Helper()
	if status != http.StatusTooManyRequests {
		a.is(status, `{"detail":`+quote(detail)+`}`)
		return
	}
	var body struct {
		Error  string `json:"error"`
		Wait   int    `json:"retry_after"`
		Detail string `json:"detail"`
	}
	a.json(status, &body)
	if body.Detail != detail || body.Error != "rate_limited" || body.Wait < 1 || a.header.Get("Retry-After") != fmt.Sprint(body.Wait) {
		a.t.Fatalf("%s: got %s with Retry-After %q, want detail %q", a.what, a.body, a.header.Get("Retry-After"), detail)
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// json demands a status and reads the body.
func (a answer) json(status int, into any) {
	a.t.Helper()
	a.want(status)
	if err := json.Unmarshal(a.body, into); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.what, err, a.body)
	}
}

// tokens are the tokens of a sign-in.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
}

// tokens demands the token response of the contract (§2), and nothing beside it.
func (a answer) tokens() tokens {
	a.t.Helper()
	a.want(200)
	var tk tokens
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&tk); err != nil || strings.Count(tk.Access, ".") != 2 || len(tk.Refresh) != 64 || tk.Type != "Bearer" || tk.Expires != 900 {
		a.t.Fatalf("%s: got %s, want tokens (%v)", a.what, a.body, err)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s: tokens with Cache-Control %q", a.what, a.header.Get("Cache-Control"))
	}
	return tk
}

// bearer is the header that carries an access token.
func (tk tokens) bearer() []string { return []string{"Authorization", "Bearer " + tk.Access} }
