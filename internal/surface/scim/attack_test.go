package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

// call asks the surface and returns the status and the answer.
func (s *site) call(t testing.TB, srv *httptest.Server, method, path, token, body string, headers ...string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, srv.URL+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
		}
	}
	return res.StatusCode, out
}

func (s *site) serve(t *testing.T) *httptest.Server {
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return srv
}

// TestAnotherOrganizationsDirectory: a good token is good for one organization. Every
// route is asked with the other one's ids.
func TestAnotherOrganizationsDirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t))
	srv := s.serve(t)
	jane := string(s.people["jane"].ID)
	_, g := s.call(t, srv, "POST", "/Groups", s.tokens["acme"], `{"displayName":"Staff","members":[{"value":"`+jane+`"}]}`)
	staff, _ := g["id"].(string)
	patch := `{"Operations":[{"op":"replace","value":{"active":false,"displayName":"Taken"}}]}`
	for _, r := range [][3]string{
		{"GET", "/Users/" + jane, ""}, {"PUT", "/Users/" + jane, `{"userName":"x@evil.example"}`}, {"PATCH", "/Users/" + jane, patch}, {"DELETE", "/Users/" + jane, ""},
		{"GET", "/Groups/" + staff, ""}, {"PUT", "/Groups/" + staff, `{"displayName":"Taken"}`}, {"PATCH", "/Groups/" + staff, `{"Operations":[{"op":"remove","path":"members"}]}`}, {"DELETE", "/Groups/" + staff, ""},
	} {
		for _, headers := range [][]string{nil, {"If-Match", "*"}, {"If-Match", `W/"1"`}} {
			if status, out := s.call(t, srv, r[0], r[1], s.tokens["evil"], r[2], headers...); status != 404 {
				t.Errorf("%s %s %v: %d %v", r[0], r[1], headers, status, out)
			}
		}
	}
	for _, filter := range []string{`id eq "` + jane + `"`, `userName eq "jane@acme.com"`, `emails.value eq "jane@acme.com"`, `userName pr`, `not (userName eq "x")`, `meta.created pr or active eq true`} {
		status, out := s.call(t, srv, "GET", "/Users?filter="+url.QueryEscape(filter), s.tokens["evil"], "")
		if text, _ := json.Marshal(out); status != 200 || strings.Contains(string(text), "acme") {
			t.Errorf("%s: %d %s", filter, status, text)
		}
	}
	for _, filter := range []string{`members eq "` + jane + `"`, `displayName eq "Staff"`, `id pr`} {
		if status, out := s.call(t, srv, "GET", "/Groups?filter="+url.QueryEscape(filter), s.tokens["evil"], ""); status != 200 || out["totalResults"] != 0.0 {
			t.Errorf("%s: %d %v", filter, status, out)
		}
	}
	bulk := fmt.Sprintf(`{"Operations":[{"method":"DELETE","path":"/Users/%s"},{"method":"DELETE","path":"/scim/v2/Users/%s"},{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"G","members":[{"value":"%s"}]}}]}`, jane, jane, jane)
	_, out := s.call(t, srv, "POST", "/Bulk", s.tokens["evil"], bulk)
	for _, o := range out["Operations"].([]any) {
		if status := o.(map[string]any)["status"]; status != "404" && status != "400" {
			t.Errorf("bulk: %v", o)
		}
	}
	if status, got := s.call(t, srv, "GET", "/Users/"+jane, s.tokens["acme"], ""); status != 200 || got["active"] != true || got["userName"] != "jane@acme.com" || len(got["groups"].([]any)) != 1 {
		t.Errorf("after all of it: %d %v", status, got)
	}
}

// TestTakingAnAddressOver: an address that is not the organization's own is refused in
// every place where one may stand, and nobody's account changes.
func TestTakingAnAddressOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t))
	srv := s.serve(t)
	status, own := s.call(t, srv, "POST", "/Users", s.tokens["evil"], `{"userName":"own@evil.example"}`)
	if status != 201 {
		t.Fatal(status, own)
	}
	at := "/Users/" + own["id"].(string)
	for _, victim := range []string{"jane@acme.com", "bob@other.example", "unknown@acme.com", "JANE@ACME.COM"} {
		for _, r := range [][3]string{
			{"POST", "/Users", `{"userName":"%s"}`},
			{"POST", "/Users", `{"userName":"x","emails":[{"value":"%s"}]}`},
			{"POST", "/Users", `{"userName":"x@evil.example","emails":[{"value":"y@evil.example","type":"work"},{"value":"%s","primary":true}]}`},
			{"PUT", at, `{"userName":"own@evil.example","emails":[{"value":"%s","primary":true}]}`},
			{"PUT", at, `{"userName":"%s"}`},
			{"PATCH", at, `{"Operations":[{"op":"replace","path":"emails[type eq \"work\"].value","value":"%s"}]}`},
			{"PATCH", at, `{"Operations":[{"op":"add","path":"emails","value":[{"value":"%s","primary":true}]}]}`},
			{"PATCH", at, `{"Operations":[{"op":"remove","path":"emails"},{"op":"replace","path":"userName","value":"%s"}]}`},
		} {
			status, out := s.call(t, srv, r[0], r[1], s.tokens["evil"], fmt.Sprintf(r[2], victim))
			if status != 400 || out["scimType"] != "invalidValue" || !strings.Contains(fmt.Sprint(out["detail"]), "not of a domain") {
				t.Errorf("%s %s: %d %v", r[0], fmt.Sprintf(r[2], victim), status, out)
			}
		}
	}
	for name, was := range s.people {
		s.Write(func(ctx context.Context, tx *db.Tx) error {
			is, err := identity.ByID(ctx, tx, was.ID)
			if err == nil && (is.Email != was.Email || is.DisplayName != was.DisplayName || is.Status != was.Status || is.PasswordHash != was.PasswordHash) {
				t.Errorf("%s became %+v", name, is)
			}
			return err
		})
	}
}

// TestBombs: requests that would cost more than they may.
func TestBombs(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t))
	srv := s.serve(t)
	jane := "/Users/" + string(s.people["jane"].ID)
	deep := strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40)
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	for name, r := range map[string]struct {
		method, path, body string
		want               int
	}{
		"a body beyond its bound":   {"POST", "/Users", `{"userName":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		"nested":                    {"POST", "/Users", deep, 400},
		"too many values":           {"POST", "/Groups", `{"displayName":"G","members":[` + many(66_000, `1`) + `]}`, 400},
		"bulk operations":           {"POST", "/Bulk", `{"Operations":[` + many(101, `{"method":"DELETE","path":"/Users/x"}`) + `]}`, 413},
		"bulk within bulk":          {"POST", "/Bulk", `{"Operations":[{"method":"POST","path":"/Bulk","bulkId":"b","data":{"Operations":[]}}]}`, 200},
		"operations of a PATCH":     {"PATCH", jane, `{"Operations":[` + many(1001, `{"op":"add","path":"title","value":"x"}`) + `]}`, 413},
		"a large resource":          {"PATCH", jane, `{"Operations":[{"op":"add","path":"title","value":"` + strings.Repeat("x", 17<<10) + `"}]}`, 400},
		"values that double":        {"PATCH", jane, `{"Operations":[` + many(900, `{"op":"add","path":"emails","value":[{"value":"a@acme.com","type":"t"},{"value":"b@acme.com"}]}`) + `]}`, 200},
		"a name":                    {"POST", "/Groups", `{"displayName":"` + strings.Repeat("x", 257) + `"}`, 400},
		"a filter":                  {"GET", "/Users?filter=" + strings.Repeat("(", 8000), "", 400},
		"a filter of many terms":    {"GET", "/Users?filter=" + url.QueryEscape(strings.Repeat(`title pr or `, 200)+`title pr`), "", 400},
		"members who are nobody":    {"POST", "/Groups", `{"displayName":"G","members":[` + many(5000, `{"value":"x"}`) + `]}`, 400},
		"a page beyond all numbers": {"GET", "/Users?startIndex=9999999999999999999999", "", 400},
		"a page far away":           {"GET", "/Users?startIndex=1000000000&count=200", "", 200},
		"bulkIds that name others":  {"POST", "/Bulk", `{"Operations":[` + many(100, `{"method":"PUT","path":"/Users/bulkId:a","data":{"userName":"bulkId:b","title":"bulkId:c"}}`) + `]}`, 200},
	} {
		if status, out := s.call(t, srv, r.method, r.path, s.tokens["acme"], r.body); status != r.want {
			t.Errorf("%s: %d %.300v, want %d", name, status, out, r.want)
		}
	}
}

// TestTokensInOtherPlaces: a token is taken from the header and from nowhere else, and one
// request has one.
func TestTokensInOtherPlaces(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t))
	srv := s.serve(t)
	acme, evil := s.tokens["acme"], s.tokens["evil"]
	for name, headers := range map[string][]string{
		"none":        nil,
		"two":         {"Authorization", "Bearer " + acme, "Authorization", "Bearer " + evil},
		"no scheme":   {"Authorization", acme},
		"Basic":       {"Authorization", "Basic " + acme},
		"upper case":  {"Authorization", "Bearer " + strings.ToUpper(acme)},
		"cut":         {"Authorization", "Bearer " + acme[:len(acme)-1]},
		"longer":      {"Authorization", "Bearer " + acme + "0"},
		"with more":   {"Authorization", "Bearer " + acme + " " + evil},
		"its hash":    {"Authorization", "Bearer scim_" + fmt.Sprintf("%x", acme)[:64]},
		"as a cookie": {"Cookie", "token=" + acme},
		"as a key":    {"X-Api-Key", acme},
	} {
		for _, path := range []string{"/Users", "/Users?access_token=" + acme, "/ServiceProviderConfig"} {
			if status, out := s.call(t, srv, "GET", path, "", "", headers...); status != 401 {
				t.Errorf("%s: %d %v", name, status, out)
			}
		}
	}
	// Whose token it is comes before all else: nothing of a body is told to a stranger.
	if status, out := s.call(t, srv, "POST", "/Users", "", `{"userName":1,`); status != 401 {
		t.Errorf("a body without a token: %d %v", status, out)
	}
}

// TestChangesAtOnceAreAllKept: each changes an attribute of its own, without naming a
// version.
func TestChangesAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		srv := s.serve(t)
		jane := "/Users/" + string(s.people["jane"].ID)
		names := []string{"title", "nickName", "userType", "locale"}
		var wg sync.WaitGroup
		for _, name := range names {
			wg.Go(func() {
				if status, out := s.call(t, srv, "PATCH", jane, s.tokens["acme"], `{"Operations":[{"op":"add","path":"`+name+`","value":"x"}]}`); status != 200 {
					t.Errorf("%s: %d %v", name, status, out)
				}
			})
		}
		wg.Wait()
		_, got := s.call(t, srv, "GET", jane, s.tokens["acme"], "")
		for _, name := range names {
			if got[name] != "x" {
				t.Errorf("%s is lost: %v", name, got)
			}
		}
	})
}

// TestNobodyLearnsOfFailures: what goes wrong with us is told in no detail.
func TestNobodyLearnsOfFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t, dbtest.SQLite(t))
	srv := s.serve(t)
	w := httptest.NewRecorder()
	s.api.Crash(w, nil)
	if got := w.Body.String(); w.Code != 500 || got != `{"detail":"Something went wrong.","schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"500"}` {
		t.Errorf("crash: %d %s", w.Code, got)
	}
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if status, out := s.call(t, srv, "GET", "/Users", s.tokens["acme"], ""); status != 503 || out["detail"] != "Not now; try again." {
		t.Errorf("without a database: %d %v", status, out)
	}
}
