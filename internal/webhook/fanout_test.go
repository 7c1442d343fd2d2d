package webhook

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// TestFanOutBodies: each event's body is the contract's, member for member
// (§9.2), with the time of what happened.
func TestFanOutBodies(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		hook, _ := w.subscribe("https://a.example/", Events...)
		u := w.newUser(map[client.ID]client.Status{w.client: client.Active})
		who := map[string]any{"email": "user@example.com", "name": "Jane <Doe> & Söhne"}
		head := func(e string) string {
			return `{"event":"` + e + `","timestamp":"2026-03-17T12:00:00Z","app_id":"` + string(w.client) +
				`","data":{"user_id":"` + string(u) + `","email":"user@example.com","name":"Jane <Doe> & Söhne"`
		}
		for _, c := range []struct {
			action audit.Action
			detail map[string]any
			event  Event
			want   string
		}{
			{audit.UserSignup, nil, UserSignup, head("user.signup") + `}}`},
			{audit.UserLogin, map[string]any{"method": "password"}, UserLogin, head("user.login") + `,"method":"password"}}`},
			{audit.UserLogout, nil, UserLogout, head("user.logout") + `}}`},
			{audit.UserRoleChanged, map[string]any{"roles": []string{"user", "admin"}, "previous_roles": []string{"user"}}, UserRoleChanged,
				head("user.role_changed") + `,"roles":["user","admin"],"previous_roles":["user"]}}`},
			{audit.UserRoleChanged, map[string]any{"roles": []string{}}, UserRoleChanged, head("user.role_changed") + `,"roles":[],"previous_roles":[]}}`},
			{audit.UserSuspended, map[string]any{"reason": "not told"}, UserSuspended, head("user.suspended") + `}}`},
			{audit.UserDeleted, nil, UserDeleted, head("user.deleted") + `}}`},
		} {
			w.now = start.Add(123456 * time.Microsecond)
			detail := map[string]any{}
			for _, m := range []map[string]any{who, c.detail} {
				maps.Copy(detail, m)
			}
			w.record(audit.Event{Action: c.action, ClientID: w.client, UserID: u, Detail: detail})
			w.now = w.now.Add(time.Hour)
			w.fanOut()
			got := w.log(hook.ID)[0]
			if got.Body != c.want || got.Event != c.event || got.Status != Pending || got.Attempts != 0 || !got.CreatedAt.Equal(w.now) || !isUUID(got.ID) {
				t.Errorf("%s:\n got %s, %+v\nwant %s", c.action, got.Body, got, c.want)
			}
			w.now = start
			w.write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM deliveries`)
				return err
			})
		}
	})
}

// TestFanOutChoosesSubscribers: only those of the client, only for events they
// asked for, and each entry once.
func TestFanOutChoosesSubscribers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		other := w.newClient()
		both, _ := w.subscribe("https://both.example/", UserSignup, UserLogin)
		login, _ := w.subscribe("https://login.example/", UserLogin)
		none, _ := w.subscribe("https://none.example/")
		foreign, _ := w.subscribeFor(other, "https://other.example/", Events...)
		u := w.newUser(map[client.ID]client.Status{w.client: client.Active, other: client.Active})
		for _, a := range []audit.Action{audit.UserSignup, audit.UserLogin, audit.UserLogin, audit.UserLoginFailed, audit.ClientUpdated} {
			w.record(audit.Event{Action: a, ClientID: w.client, UserID: u})
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { // not announced: nobody hears of it
			return audit.Record(ctx, tx, w.now, audit.Event{Action: audit.UserLogin, ClientID: w.client, UserID: u})
		})
		w.fanOut()
		w.fanOut()
		for _, c := range []struct {
			hook Webhook
			want int
		}{{both, 3}, {login, 2}, {none, 0}, {foreign, 0}} {
			if n := len(w.log(c.hook.ID)); n != c.want {
				t.Errorf("%s has %d deliveries, want %d", c.hook.URL, n, c.want)
			}
		}
	})
}

// TestLogoutGoesToEveryClient: also to those the entry does not name, but not
// where the user only waits for approval. The same holds for what befalls the
// user everywhere.
func TestLogoutGoesToEveryClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		active, suspended, pending, stranger := w.newClient(), w.newClient(), w.newClient(), w.newClient()
		hooks := map[client.ID]Webhook{}
		for _, c := range []client.ID{active, suspended, pending, stranger} {
			hooks[c], _ = w.subscribeFor(c, "https://a.example/", UserLogout, UserSuspended)
		}
		u := w.newUser(map[client.ID]client.Status{active: client.Active, suspended: client.Suspended, pending: client.Pending})
		w.record(audit.Event{Action: audit.UserLogout, ClientID: active, UserID: u})
		w.record(audit.Event{Action: audit.UserLogout, UserID: u})
		w.record(audit.Event{Action: audit.UserSuspended, UserID: u})
		w.record(audit.Event{Action: audit.UserSuspended, ClientID: active, UserID: u})
		w.fanOut()
		for c, want := range map[client.ID][2]int{active: {2, 2}, suspended: {2, 1}, pending: {0, 0}, stranger: {0, 0}} {
			var logout, suspend int
			for _, d := range w.log(hooks[c].ID) {
				switch d.Event {
				case UserLogout:
					logout++
				case UserSuspended:
					suspend++
				}
			}
			if got := [2]int{logout, suspend}; got != want {
				t.Errorf("client of status %v: %v deliveries of logout and suspension, want %v", c, got, want)
			}
		}
	})
}

// TestFanOutRace: many nodes make one delivery of each entry, over several
// batches.
func TestFanOutRace(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		hook, _ := w.subscribe("https://a.example/", UserLogin)
		u := w.newUser(nil)
		const entries = 2*fanOutBatch + 7
		w.write(func(ctx context.Context, tx *db.Tx) error {
			for range entries {
				if err := audit.Record(ctx, tx, w.now, audit.Event{Action: audit.UserLogin, ClientID: w.client, UserID: u, Announce: true}); err != nil {
					return err
				}
			}
			return nil
		})
		var nodes sync.WaitGroup
		for range 6 {
			nodes.Go(func() {
				if err := w.courier.FanOut(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		nodes.Wait()
		w.fanOut() // what a node that lost left behind
		if n := len(w.log(hook.ID)); n != entries {
			t.Errorf("%d deliveries of %d entries", n, entries)
		}
	})
}

func TestDeliveriesArePaged(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		hook, _ := w.subscribe("https://a.example/")
		var ids []string
		for range 5 {
			ids = append(ids, w.ping(hook))
			w.now = w.now.Add(time.Second)
		}
		slices.Reverse(ids)
		w.write(func(ctx context.Context, tx *db.Tx) error {
			page, total, err := Deliveries(ctx, tx, hook.ID, 2, 2)
			if err == nil && (total != 5 || len(page) != 2 || page[0].ID != ids[2] || page[1].ID != ids[3]) {
				t.Errorf("second page: %+v of %d, want %v", page, total, ids[2:4])
			}
			return err
		})
	})
}
