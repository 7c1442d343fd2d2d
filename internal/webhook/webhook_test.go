package webhook

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		url   string
		names []string
		allow []netip.Prefix
		want  []Event
		err   string // "", "url", or the unknown event
	}{
		{"https://app.example.com/hooks", []string{"user.signup", "user.login", "user.signup"}, nil, []Event{UserSignup, UserLogin}, ""},
		{"https://app.example.com/hooks", []string{"user.logout", "user.role_changed", "user.suspended", "user.deleted", "ping"}, nil, Events[2:], ""},
		{"https://app.example.com/hooks", nil, nil, []Event{}, ""},
		{"http://127.0.0.1:9000/hooks", []string{"ping"}, loopback, []Event{Ping}, ""},
		{"https://app.example.com/hooks", []string{"user.signup", "user.exploded"}, nil, nil, "user.exploded"},
		{"https://app.example.com/hooks", []string{""}, nil, nil, "-"},
		{"https://app.example.com/hooks", []string{"USER.SIGNUP"}, nil, nil, "USER.SIGNUP"},
		{"http://app.example.com/hooks", []string{"ping"}, nil, nil, "url"},
		{"http://127.0.0.1:9000/hooks", []string{"ping"}, nil, nil, "url"},
		{"https://10.0.0.1/", []string{"ping"}, nil, nil, "url"},
		{"https://169.254.169.254/", []string{"ping"}, loopback, nil, "url"},
		{"https://user:pass@app.example.com/", []string{"ping"}, nil, nil, "url"},
		{"not a url", []string{"ping"}, nil, nil, "url"},
	} {
		got, err := Check(c.url, c.names, c.allow)
		if !slices.Equal(got, c.want) {
			t.Errorf("Check(%q, %q) = %q, want %q", c.url, c.names, got, c.want)
		}
		unknown, isUnknown := errors.AsType[*UnknownEvent](err)
		switch {
		case c.err == "" && err != nil, c.err == "url" && !errors.Is(err, ErrURL),
			c.err != "" && c.err != "url" && (!isUnknown || unknown.Name != c.err && c.err != "-"):
			t.Errorf("Check(%q, %q): %v, want %q", c.url, c.names, err, c.err)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		other := w.newClient()
		first, secret1 := w.subscribe("https://a.example/", UserSignup, UserLogin)
		w.now = start.Add(time.Minute)
		second, secret2 := w.subscribe("https://b.example/")
		foreign, _ := w.subscribeFor(other, "https://c.example/", Ping)

		if !isUUID(string(first.ID)) || !first.Active || !first.CreatedAt.Equal(start) {
			t.Errorf("got %+v", first)
		}
		if hex := regexp.MustCompile(`^[0-9a-f]{64}$`); !hex.MatchString(secret1) || !hex.MatchString(secret2) || secret1 == secret2 {
			t.Errorf("secrets %q and %q", secret1, secret2)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			list, total, err := List(ctx, tx, w.client, 50, 0)
			if err != nil {
				return err
			}
			if total != 2 || len(list) != 2 || list[0].ID != first.ID || list[1].ID != second.ID || !slices.Equal(list[0].Events, first.Events) || list[1].Events == nil {
				t.Errorf("list: %+v of %d", list, total)
			}
			page, total, err := List(ctx, tx, w.client, 1, 1)
			if err != nil || total != 2 || len(page) != 1 || page[0].ID != second.ID {
				t.Errorf("second page: %+v of %d, %v", page, total, err)
			}
			sealed, err := db.All(ctx, tx, func(r db.Row) (b []byte, err error) { err = r.Scan(&b); return b, err }, `SELECT sealed FROM webhooks`)
			for _, s := range sealed {
				if slices.Contains([]string{secret1, secret2}, string(s)) || len(s) < 64+28 {
					t.Error("a secret is stored as it is")
				}
			}
			return err
		})

		// Another client's is not there, for reading, testing and deleting.
		w.write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := ByID(ctx, tx, w.client, foreign.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("ByID of another client's: %v", err)
			}
			if _, err := SendPing(ctx, tx, w.client, foreign.ID, w.now); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("SendPing to another client's: %v", err)
			}
			if err := Delete(ctx, tx, w.client, foreign.ID); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("Delete of another client's: %v", err)
			}
			got, err := ByID(ctx, tx, other, foreign.ID)
			if err != nil || got.URL != "https://c.example/" {
				t.Errorf("ByID: %+v, %v", got, err)
			}
			return nil
		})
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, _, err := Subscribe(ctx, tx, w.key, Webhook{ClientID: "nobody", URL: "https://a.example/"}, w.now)
			return err
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("Subscribe for no client: %v, want ErrNotFound", err)
		}
	})
}

// hasWebhooks returns the client's mark and the number of its subscriptions.
func (w *world) hasWebhooks(c client.ID) (marked bool, n int64) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) (err error) {
		if marked, err = db.One(ctx, tx, db.Bool, `SELECT has_webhooks FROM clients WHERE id = $1`, c); err == nil {
			n, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM webhooks WHERE client_id = $1`, c)
		}
		return err
	})
	return marked, n
}

func TestClientKnowsWhetherItHasWebhooks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		check := func(want int64) {
			t.Helper()
			if marked, n := w.hasWebhooks(w.client); marked != (want > 0) || n != want {
				t.Errorf("marked %v with %d subscriptions, want %d", marked, n, want)
			}
		}
		remove := func(h Webhook) {
			t.Helper()
			w.write(func(ctx context.Context, tx *db.Tx) error { return Delete(ctx, tx, w.client, h.ID) })
		}
		check(0)
		a, _ := w.subscribe("https://a.example/")
		check(1)
		b, _ := w.subscribe("https://b.example/")
		remove(a)
		check(1)
		remove(b)
		check(0)
	})
}

// TestSubscribeAndDeleteRace: however subscribing and deleting mix, the client's
// mark says in the end what is there.
func TestSubscribeAndDeleteRace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for round := range 10 {
			keep := round%2 == 0
			old, _ := w.subscribe("https://old.example/")
			var all sync.WaitGroup
			all.Go(func() {
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Delete(ctx, tx, w.client, old.ID) })
				if err != nil {
					t.Error(err)
				}
			})
			for range 3 {
				all.Go(func() {
					var h Webhook
					err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
						h, _, err = Subscribe(ctx, tx, w.key, Webhook{ClientID: w.client, URL: "https://new.example/"}, start)
						return err
					})
					if err == nil && !keep {
						err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Delete(ctx, tx, w.client, h.ID) })
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if marked, n := w.hasWebhooks(w.client); marked != (n > 0) {
				t.Errorf("round %d: marked %v with %d subscriptions", round, marked, n)
			}
			w.write(func(ctx context.Context, tx *db.Tx) error {
				hs, _, err := List(ctx, tx, w.client, 100, 0)
				for _, h := range hs {
					if err == nil {
						err = Delete(ctx, tx, w.client, h.ID)
					}
				}
				return err
			})
		}
	})
}

func TestSweepKeepsThirtyDays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		hook, _ := w.subscribe("https://a.example/")
		for range 3 {
			w.ping(hook)
			w.now = w.now.Add(time.Hour)
		}
		sweep := func(now time.Time, n int) (swept int64) {
			w.write(func(ctx context.Context, tx *db.Tx) (err error) {
				swept, err = Sweep(ctx, tx, now, n)
				return err
			})
			return swept
		}
		if n := sweep(start.Add(Kept), 10); n != 0 {
			t.Errorf("swept %d at thirty days, want 0", n)
		}
		if n := sweep(start.Add(Kept+90*time.Minute), 1); n != 1 {
			t.Errorf("swept %d, want the 1 asked for", n)
		}
		if n := sweep(start.Add(Kept+90*time.Minute), 10); n != 1 || len(w.log(hook.ID)) != 1 {
			t.Errorf("swept %d and %d are left, want 1 and 1", n, len(w.log(hook.ID)))
		}
	})
}
