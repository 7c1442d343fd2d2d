package pages_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
	"sallyport/internal/surface/pages"
	"sallyport/internal/wire"
)

// asked is what a page answers to a request at the root.
func asked(p *pages.Pages, r *http.Request) *httptest.ResponseRecorder {
	mux := &wire.Mux{NotFound: p.NotFound}
	mux.Add(p.Routes(), p.MethodNotAllowed)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r.WithContext(wire.WithMount(r.Context(), wire.Mount{Base: rig.Base, Secure: true})))
	return w
}

func TestOversizedFormsAreRefused(t *testing.T) {
	_, p := surfaces(t, rig.New(t, dbtest.SQLite(t)), rig.Base)
	form := url.Values{"email": {strings.Repeat("x", wire.MaxBody)}}.Encode()
	// What a provider says, and what is said of one, may be long.
	long := map[string]string{
		"/setup/theirs": "The form could not be read.", "/sso/saml/acs": "The answer of your provider could not be read.",
		"/sso/saml/slo/{org}": "The message of your provider could not be read.",
	}
	for _, route := range p.Routes() {
		if route.Method != http.MethodPost {
			continue
		}
		body, words := form, "The form could not be read."
		if says := long[route.Pattern]; says != "" {
			body, words = strings.Repeat(form+"&", 2+(1<<20)/len(form)), says
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, route.Pattern, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := asked(p, r)
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), words) {
			t.Errorf("%s: got %d, want 413 and words", route.Pattern, w.Code)
		}
	}
}

// What nobody expected is told to the log alone; a browser that went away, to
// nobody.
func TestUnexpectedFailuresSayNothing(t *testing.T) {
	d := dbtest.SQLite(t)
	w := newTown(t, d, "https://app.example.com")
	_, p := surfaces(t, w.Rig, rig.Base)
	var log strings.Builder
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	get := func(ctx context.Context) *httptest.ResponseRecorder {
		return asked(p, httptest.NewRequestWithContext(ctx, http.MethodGet, "/login?app_id="+w.vars["demo"], nil))
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if got := get(gone); got.Code != http.StatusInternalServerError || log.Len() > 0 {
		t.Errorf("gone: got %d and the log %q, want 500 and none", got.Code, &log)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	got := get(t.Context())
	if got.Code != http.StatusInternalServerError && got.Code != http.StatusServiceUnavailable {
		t.Errorf("closed: got %d, want 500 or 503", got.Code)
	}
	for _, tell := range []string{"sqlite", "closed", "database", "sql"} {
		if strings.Contains(strings.ToLower(got.Body.String()), tell) {
			t.Errorf("the page tells of %q:\n%s", tell, got.Body)
		}
	}
}

// Whose application was changed while they signed in is sent nowhere, and the
// operator learns what does not fit any more.
func TestMismatchIsToldToTheOperator(t *testing.T) {
	d := dbtest.SQLite(t)
	w := newTown(t, d, "https://app.example.com")
	_, p := surfaces(t, w.Rig, rig.Base)
	var log strings.Builder
	p.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.Mount(p.Routes(), p.MethodNotAllowed)
	w.Mount(provider(w.Rig, p, rig.Base).Routes(), p.MethodNotAllowed)
	began := visit(w.Handler(), "GET", w.authorize("demo", ""), "").Header().Get("Location")
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		c, err := client.ByID(ctx, tx, client.ID(w.vars["demo"]))
		if err != nil {
			return err
		}
		c.Policy.RedirectURIs = []string{"https://app.example.com/Callback"}
		return client.Update(ctx, tx, c, w.Now())
	})
	got := visit(w.Handler(), "GET", began, "")
	if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "start again: redirect_uri is not registered for this application.") {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	if !strings.Contains(log.String(), "differ from character 25 on") || strings.Contains(got.Body.String(), "character") {
		t.Errorf("got the log %q, want it, and it alone, to say where they differ", &log)
	}
}
