package pages_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/rig"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire"
)

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// overheard is browsed with all that it logs, at the lowest level.
func overheard(t *testing.T) (town, http.Handler, *journal) {
	w := newTown(t, dbtest.SQLite(t), "https://app.example.com")
	api, pages := surfaces(t, w.Rig, rig.Base)
	j := &journal{}
	log := slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
	api.Log, pages.Log = log, log
	w.Mount(api.Routes(), api.MethodNotAllowed)
	w.Mount(pages.Routes(), pages.MethodNotAllowed)
	return w, wire.Requests{Now: w.Now, Log: log}.Wrap(w.Handler()), j
}

// audited is all of the audit log.
func (w town) audited(t *testing.T) string {
	t.Helper()
	var all []string
	w.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = db.All(ctx, tx, func(r db.Row) (s string, err error) { err = r.Scan(&s); return s, err }, `SELECT detail FROM audit`)
		return err
	})
	if len(all) == 0 {
		t.Fatal("the audit log is empty")
	}
	return strings.Join(all, "\n")
}

// However a sign-in ends, neither log nor audit log hold what would sign somebody
// in: codes, states, waiting secrets, cookies, tokens.
func TestUpstreamSecretsAreNotLogged(t *testing.T) {
	w, h, log := overheard(t)
	secrets := map[string]bool{}
	note := func(b *rider, urls ...string) {
		for _, raw := range urls {
			raw = strings.Replace(raw, "#totp_session=", "&totp_session=", 1)
			for _, name := range []string{"code", "state", "nonce", "code_challenge", "access_token", "refresh_token", "oauth_token", "prove", "totp_session"} {
				if v := mustQuery(t, raw).Get(name); v != "" {
					secrets[v] = true
				}
			}
		}
		for _, v := range b.jar {
			secrets[v] = true
		}
	}
	try := func(upstream, app, who string, trouble upstreamtest.Trouble) {
		b := w.rider(t, h)
		away := b.start(upstream, app)
		back := b.choose(upstream, away, who).String()
		w.abroad[upstream].Behave(trouble)
		to := b.get(back).Header().Get("Location")
		w.abroad[upstream].Behave(upstreamtest.None)
		note(b, away, back, to)
		note(b, to, b.get(back).Header().Get("Location")) // again
	}
	for _, trouble := range []upstreamtest.Trouble{
		upstreamtest.None, upstreamtest.Down, upstreamtest.Throttled, upstreamtest.HTML, upstreamtest.ErrorPage, upstreamtest.Cut, upstreamtest.Redirect,
		upstreamtest.WrongNonce, upstreamtest.WrongSignature, upstreamtest.BadSecret, upstreamtest.Expired,
	} {
		try("google", "social", "nia", trouble)
		try("corp", "social", "jane", trouble)
		try("github", "social", "una", trouble)
	}
	try("github", "social", "claimant", upstreamtest.None)
	try("google", "club", "nia", upstreamtest.None)
	try("google", "social", "tom", upstreamtest.None)
	if len(secrets) < 100 || len(log.String()) < 1000 || !strings.Contains(log.String(), "sign-in at an upstream failed") {
		t.Fatalf("%d secrets, and a log of %d bytes: this tests nothing", len(secrets), len(log.String()))
	}
	all := log.String() + w.audited(t)
	for s := range secrets {
		if len(s) > 8 && strings.Contains(all, s) {
			t.Errorf("%q is in a log", s)
		}
	}
	if strings.Contains(all, upstreamtest.ClientSecret) {
		t.Error("the client secret is in a log")
	}
}
