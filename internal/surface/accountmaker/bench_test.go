package accountmaker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

func checkIn(id client.ID, email string) signin.CheckEmailIn {
	return signin.CheckEmailIn{ClientID: id, Email: email}
}

func verified(t testing.TB, r *rig.Rig, email string) bool {
	t.Helper()
	var u identity.User
	err := r.DB.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = identity.ByEmail(ctx, tx, email)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return u.EmailVerified
}

// desk is a signed-in person before a handler without a network.
type desk struct {
	*rig.Rig
	h       http.Handler
	access  string
	refresh string
}

func newDesk(b testing.TB) *desk {
	b.Helper()
	r := rig.New(b, dbtest.SQLite(b))
	demo := r.Client("Demo", func(c *client.Client) {
		policy(&c.Policy)
		c.Policy.RefreshToken.ReuseGrace = 0
		c.Policy.AccessToken.Cookie, c.Policy.RefreshToken.Cookie = &client.Cookie{}, &client.Cookie{}
	})
	api := newAPI(b, r, func() client.ID { return demo.ID })
	r.Mount(api.Routes(), api.MethodNotAllowed)
	d := &desk{Rig: r, h: r.Handler()}
	w := d.ask("POST", "/auth/sign-up", `{"email":"ada@example.com","password":"`+password+`"}`, nil)
	for _, k := range w.Result().Cookies() {
		switch k.Name {
		case "access_token":
			d.access = k.Value
		case "refresh_token":
			d.refresh = k.Value
		}
	}
	if d.access == "" || d.refresh == "" {
		b.Fatalf("sign-up: %d %s", w.Code, w.Body)
	}
	return d
}

func (d *desk) ask(method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "https://auth.example.com"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, req)
	return w
}

func BenchmarkMe(b *testing.B) {
	d := newDesk(b)
	for b.Loop() {
		if w := d.ask("GET", "/auth/me", "", map[string]string{"Authorization": "Bearer " + d.access}); w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

func BenchmarkRefreshCookie(b *testing.B) {
	d := newDesk(b)
	token := d.refresh
	for b.Loop() {
		w := d.ask("POST", "/auth/refresh", "", map[string]string{"Cookie": "refresh_token=" + token, "Origin": "https://auth.example.com"})
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, k := range w.Result().Cookies() {
			if k.Name == "refresh_token" {
				token = k.Value
			}
		}
	}
}

// What the busy calls cost the database: me one read, a refresh one write beside
// the read that judges the token, a sign-in the count of the attempt before its
// hash and one write after it, with a read for each of what it needs and answers.
func TestBusyCallsCostFewTransactions(t *testing.T) {
	d := newDesk(t)
	me := func() *httptest.ResponseRecorder {
		return d.ask("GET", "/auth/me", "", map[string]string{"Authorization": "Bearer " + d.access})
	}
	me() // the first call of a while also reads the client
	for _, c := range []struct {
		name          string
		call          func() *httptest.ResponseRecorder
		reads, writes int64
	}{
		{"me", me, 1, 0},
		{"refresh", func() *httptest.ResponseRecorder {
			return d.ask("POST", "/auth/refresh", `{"refresh_token":"`+d.refresh+`"}`, nil)
		}, 2, 1},
		{"sign-in", func() *httptest.ResponseRecorder {
			return d.ask("POST", "/auth/sign-in", `{"email":"ada@example.com","password":"`+password+`"}`, nil)
		}, 2, 2},
	} {
		before := d.DB.Stats()
		if w := c.call(); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, w.Code, w.Body)
		}
		after := d.DB.Stats()
		if reads, writes := after.Reads-before.Reads, after.Transactions-before.Transactions; reads != c.reads || writes != c.writes {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", c.name, reads, writes, c.reads, c.writes)
		}
	}
}
