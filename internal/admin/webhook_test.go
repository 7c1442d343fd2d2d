package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/outbound"
	"sallyport/internal/webhook"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// delivered is what an application was sent.
type delivered struct {
	event, signature string
	body             string
}

// subscriber is an application that takes all that it is sent.
func (o office) subscriber(t *testing.T) (url string, got chan delivered) {
	got = make(chan delivered, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- delivered{r.Header.Get("X-Keymaster-Event"), r.Header.Get("X-Keymaster-Signature"), string(b)}
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

// deliver hands out what was announced until nothing is left to do.
func (o office) deliver(t *testing.T) {
	t.Helper()
	c := outbound.Client(outbound.Options{Allow: loopback, Timeout: webhook.Timeout})
	defer c.CloseIdleConnections()
	courier := &webhook.Courier{DB: o.DB, Key: o.Key, Client: c, Now: o.Now}
	if err := courier.FanOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Jobs.Handlers[webhook.Kind] = courier.Handler()
	o.Work()
}

func TestWhatChangesIsAnnouncedToTheApp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.Admin.Outbound = loopback
		url, got := o.subscriber(t)
		amy, board, uma := o.callers["amy"], o.apps["board"].ID, o.people["uma"]
		hook, secret, err := o.Admin.Subscribe(t.Context(), amy, board, url, []string{"user.signup", "user.role_changed", "user.suspended", "user.deleted"})
		if err != nil {
			t.Fatal(err)
		}
		for _, do := range []func() error{
			func() error { return o.Admin.SetRoles(t.Context(), amy, uma.ID, board, []string{"user", "manager"}) },
			func() error { return o.Admin.SetRoles(t.Context(), amy, uma.ID, board, []string{"user", "manager"}) }, // no change
			func() error { return o.Admin.Suspend(t.Context(), amy, uma.ID, board) },
			func() error { return o.Admin.Suspend(t.Context(), amy, uma.ID, board) }, // no change
			func() error { return o.Admin.Unenrol(t.Context(), amy, uma.ID, board) },
			func() error {
				_, err := o.Admin.CreateUser(t.Context(), o.callers["service-board"], admin.UserIn{Email: "stub@example.com", DisplayName: "Stub"})
				return err
			},
			func() error { // another app's events are not for this one
				_, err := o.Admin.CreateUser(t.Context(), o.callers["service-shop"], admin.UserIn{Email: "other@example.com"})
				return err
			},
			func() error { _, err := o.Admin.Ping(t.Context(), amy, board, hook.ID); return err },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		o.deliver(t)
		close(got)
		data := map[string]map[string]any{}
		for d := range got {
			if want := webhook.Signature([]byte(secret), d.body); d.signature != want {
				t.Errorf("%s is signed %s, want %s", d.event, d.signature, want)
			}
			var body struct {
				AppID string         `json:"app_id"`
				Data  map[string]any `json:"data"`
			}
			if err := json.Unmarshal([]byte(d.body), &body); err != nil || body.AppID != string(board) {
				t.Errorf("%s: %v", d.body, err)
			}
			if data[d.event] != nil {
				t.Errorf("%s came twice", d.event)
			}
			data[d.event] = body.Data
		}
		about := map[string]any{"user_id": string(uma.ID), "email": uma.Email, "name": uma.DisplayName}
		stub := data["user.signup"]
		if stub["email"] != "stub@example.com" {
			t.Errorf("user.signup is about %v", stub)
		}
		delete(data, "user.signup")
		want := map[string]map[string]any{
			"user.role_changed": {
				"user_id": about["user_id"], "email": about["email"], "name": about["name"],
				"roles": []any{"user", "manager"}, "previous_roles": []any{"user"},
			},
			"user.suspended": about, "user.deleted": about, "ping": {"message": "ping"},
		}
		if diff := cmp.Diff(want, data); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		log, total, err := o.Admin.Deliveries(t.Context(), amy, board, hook.ID, admin.Page{Number: 1, Size: 10})
		if err != nil || total != 5 || slices.ContainsFunc(log, func(d webhook.Delivery) bool { return d.Status != webhook.Delivered }) {
			t.Errorf("the log has %d entries: %+v, %v", total, log, err)
		}
	})
}

// A subscription that leads to our own network is refused when it is made; one
// that comes to lead there, when it is delivered.
func TestWebhooksStayOutOfOurNetwork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		amy, board := o.callers["amy"], o.apps["board"].ID
		url, got := o.subscriber(t)
		_, _, err := o.Admin.Subscribe(t.Context(), amy, board, url, []string{"ping"})
		if c := code(t, err); c != fault.WebhookURLInvalid {
			t.Errorf("%s: %q, want %q", url, c, fault.WebhookURLInvalid)
		}
		o.Admin.Outbound = loopback
		hook, _, err := o.Admin.Subscribe(t.Context(), amy, board, url, []string{"ping"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Admin.Ping(t.Context(), amy, board, hook.ID); err != nil {
			t.Fatal(err)
		}
		c := outbound.Client(outbound.Options{})
		defer c.CloseIdleConnections()
		o.Jobs.Handlers[webhook.Kind] = (&webhook.Courier{DB: o.DB, Key: o.Key, Client: c, Now: o.Now}).Handler()
		o.Work()
		log, _, err := o.Admin.Deliveries(t.Context(), amy, board, hook.ID, admin.Page{Number: 1, Size: 1})
		if err != nil || len(log) != 1 || log[0].Status == webhook.Delivered || log[0].Error == "" || len(got) != 0 {
			t.Errorf("delivery %+v, %v, %d received; want it refused", log, err, len(got))
		}
	})
}

// A subscription is found under its own app alone, whoever asks.
func TestAnotherAppsWebhookIsNotThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		root, board, shop := o.callers["root"], o.apps["board"].ID, o.apps["shop"].ID
		hook, _, err := o.Admin.Subscribe(t.Context(), root, board, "https://hooks.example.com/", []string{"ping"})
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func(ctx context.Context, who admin.Caller, id client.ID) error{
			"Ping": func(ctx context.Context, who admin.Caller, id client.ID) error {
				_, err := o.Admin.Ping(ctx, who, id, hook.ID)
				return err
			},
			"Deliveries": func(ctx context.Context, who admin.Caller, id client.ID) error {
				_, _, err := o.Admin.Deliveries(ctx, who, id, hook.ID, admin.Page{Number: 1, Size: 1})
				return err
			},
			"Unsubscribe": func(ctx context.Context, who admin.Caller, id client.ID) error {
				return o.Admin.Unsubscribe(ctx, who, id, hook.ID)
			},
		} {
			for who, want := range map[string]fault.Code{"root": fault.WebhookUnknown, "tess": fault.WebhookUnknown, "amy": fault.Forbidden} {
				if got := code(t, do(t.Context(), o.callers[who], shop)); got != want {
					t.Errorf("%s by %s: %q, want %q", name, who, got, want)
				}
			}
		}
		if _, n, err := o.Admin.Webhooks(t.Context(), root, board, admin.Page{Number: 1, Size: 1}); err != nil || n != 1 {
			t.Errorf("%d webhooks are left, %v; want 1", n, err)
		}
	})
}
