package oauth_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/oauth"
)

// asked sends Jane to a consent page and returns its handle.
func (w gate) asked(p oauth.Params, cookie string) string {
	w.t.Helper()
	d := w.decide(p, cookie)
	w.wantNext("the first time", d, nil, "consent")
	return d.Consent
}

func (w gate) answer(handle, cookie string, allow bool) (oauth.Decision, error) {
	return w.OAuth.Consent(w.t.Context(), oauth.ConsentIn{Handle: handle, Cookie: cookie, Allow: allow, Visitor: visitor})
}

func TestConsentIsRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		handle := w.asked(wanting(w.asks, "scope", "openid email"), cookie)
		p, err := w.OAuth.Pending(t.Context(), handle, cookie)
		if err != nil || p.Client.ID != w.asks.ID || p.User.ID != w.jane.ID || !p.Mine || !slices.Equal(p.AskScope, []string{"openid", "email"}) {
			t.Errorf("page: got %+v, %v", p, err)
		}
		out, err := w.answer(handle, cookie, true)
		w.wantNext("agreed", out, err, "code")
		for _, c := range []struct {
			name  string
			pairs []string
			want  string
		}{
			{"the same", []string{"scope", "openid email"}, "code"},
			{"less", []string{"scope", "email"}, "code"},
			{"without asking", []string{"scope", "openid", "prompt", "none"}, "code"},
			{"more", []string{"scope", "openid email profile"}, "consent"},
			{"for long", []string{"scope", "openid offline_access"}, "consent"},
			{"elsewhere", []string{"resource", "https://api.example.com"}, "consent"},
			{"a claim", []string{"claims", `{"userinfo":{"birthdate":null}}`}, "consent"},
			{"a claim about the sign-in", []string{"claims", `{"id_token":{"auth_time":{"essential":true}}}`}, "code"},
			{"asked for", []string{"prompt", "consent"}, "consent"},
			{"more without asking", []string{"scope", "openid profile", "prompt", "none"}, oauth.ConsentRequired},
		} {
			w.wantNext(c.name, w.decide(wanting(w.asks, c.pairs...), cookie), nil, c.want)
		}
		p, err = w.OAuth.Pending(t.Context(), w.asked(wanting(w.asks, "scope", "openid profile"), cookie), cookie)
		if err != nil || !slices.Equal(p.AskScope, []string{"profile"}) {
			t.Errorf("page for more: got %v, %v", p.AskScope, err)
		}
		w.Write(func(ctx context.Context, tx *db.Tx) error { return grant.EndConsent(ctx, tx, w.jane.ID, w.asks.ID) })
		w.wantNext("after it was taken back", w.decide(wanting(w.asks), cookie), nil, "consent")
	})
}

func TestOperatorsOwnClientsDoNotAsk(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		w.wantNext("plain", w.decide(wanting(w.web, "scope", "openid offline_access"), cookie), nil, "code")
		handle := w.asked(wanting(w.web, "prompt", "consent"), cookie)
		out, err := w.answer(handle, cookie, true)
		w.wantNext("agreed", out, err, "code")
	})
}

// RFC 8252 §8.6: what any application on the machine could pretend to be is
// asked about each time.
func TestNativeApplicationsThatRegisteredThemselvesAskEachTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		for _, uri := range []string{"http://127.0.0.1:4711/cb", "com.example.app:/cb", "http://app.localhost/cb"} {
			for range 2 {
				out, err := w.answer(w.asked(wanting(w.native, "redirect_uri", uri), cookie), cookie, true)
				w.wantNext("agreed", out, err, "code")
			}
			w.wantNext("prompt=none", w.decide(wanting(w.native, "redirect_uri", uri, "prompt", "none"), cookie), nil, oauth.ConsentRequired)
		}
	})
}

func TestRefusalGoesBackToTheClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		handle := w.asked(wanting(w.asks), cookie)
		out, err := w.answer(handle, cookie, false)
		w.wantNext("refused", out, err, oauth.AccessDenied)
		if told(out, "state") != "s" || told(out, "iss") == "" {
			t.Errorf("got %+v", out.Reply)
		}
		_, err = w.answer(handle, cookie, true)
		wantError(t, "after the refusal", err, oauth.InvalidRequest)
		w.wantNext("another time", w.decide(wanting(w.asks), cookie), nil, "consent")
		// Who came to the sign-in page may refuse as well.
		out, err = w.answer(w.decide(wanting(w.web), "").Login.Handle, "", false)
		w.wantNext("not signed in", out, err, oauth.AccessDenied)
	})
}

// The page was shown to one person: another one's word, or nobody's, does not
// stand for theirs.
func TestConsentIsThePersonsOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		jane, otto := w.signIn(w.jane), w.signIn(w.otto)
		w.Advance(time.Minute)
		handle := w.asked(wanting(w.asks), jane)
		if p, err := w.OAuth.Pending(t.Context(), handle, otto); err != nil || p.Mine {
			t.Errorf("page for another: got %+v, %v", p, err)
		}
		out, err := w.answer(handle, otto, true)
		w.wantNext("by another person", out, err, "consent") // who is asked now
		out, err = w.answer(handle, jane, true)
		w.wantNext("by the first, who is not asked any more", out, err, "consent")
		w.Write(func(ctx context.Context, tx *db.Tx) error {
			for _, u := range []string{string(w.jane.ID), string(w.otto.ID)} {
				n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM consents WHERE user_id = $1`, u)
				if err != nil || n != 0 {
					t.Errorf("%d consents, %v, want none", n, err)
				}
			}
			return nil
		})
		for name, cookie := range map[string]string{"nobody": "", "a cookie that is none": "x"} {
			out, err = w.answer(handle, cookie, true)
			w.wantNext("by "+name, out, err, "login")
		}
		// The handle waits for a sign-in now: nobody was asked.
		out, err = w.answer(handle, jane, true)
		w.wantNext("without having been asked", out, err, "consent")
		out, err = w.answer(handle, jane, true)
		w.wantNext("once asked", out, err, "code")
		// A handle of a request that asks for nothing yet is not agreed to.
		login := w.decide(wanting(w.asks, "scope", "openid orders:read"), "").Login.Handle
		out, err = w.answer(login, jane, true)
		w.wantNext("at the sign-in page", out, err, "consent")
	})
}

func TestConsentDoesNotOutliveItsReasons(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		handle := w.asked(wanting(w.asks), cookie)
		w.Enrol(w.jane, w.asks, client.Suspended)
		out, err := w.answer(handle, cookie, true)
		w.wantNext("suspended meanwhile", out, err, oauth.AccessDenied)
		w.Enrol(w.jane, w.asks, client.Active)
		w.Advance(oauth.WaitLifetime)
		_, err = w.answer(handle, w.signIn(w.jane), true)
		wantError(t, "too late", err, oauth.InvalidRequest)
	})
}

func TestOfManyAgreementsOneGetsTheCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		handle := w.asked(wanting(w.asks), cookie)
		got := many(func(i int) string {
			out, err := w.answer(handle, cookie, i%10 != 0)
			if err != nil {
				return "gone"
			}
			return next(out)
		})
		if got["gone"] != callers-1 || !maps.Equal(got, map[string]int{"gone": callers - 1, "code": 1}) && !maps.Equal(got, map[string]int{"gone": callers - 1, oauth.AccessDenied: 1}) {
			t.Errorf("got %v, want one answer that counts", got)
		}
	})
}

// A database that stumbles gives one code all the same, or none.
func TestAgreementIsWholeWhateverTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	dbtest.EachFaulty(t, dbtest.Faults{Seed: 1, Serialization: 0.05, Lost: 0.02}, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		cookie := w.signIn(w.jane)
		for range 20 {
			out, err := w.answer(w.asked(wanting(w.asks, "prompt", "consent"), cookie), cookie, true)
			w.wantNext("agreed", out, err, "code")
		}
		for table, want := range map[string]int64{"grants": 20, "consents": 1, "onetime_secrets": 0} {
			w.Write(func(ctx context.Context, tx *db.Tx) error {
				n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+table)
				if err == nil && n != want {
					t.Errorf("%s: got %d rows, want %d", table, n, want)
				}
				return err
			})
		}
	})
}
