package audit_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func write(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, d *db.DB, at time.Time, events ...audit.Event) {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		for _, e := range events {
			if err := audit.Record(ctx, tx, at, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func list(t *testing.T, d *db.DB, f audit.Filter) (entries []audit.Entry, total int) {
	t.Helper()
	err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		entries, total, err = audit.List(ctx, tx, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, total
}

func announced(t *testing.T, d *db.DB, n int) (entries []audit.Entry) {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
		entries, err = audit.Announced(ctx, tx, n)
		return err
	})
	return entries
}

func requests(entries []audit.Entry) string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.RequestID)
	}
	return strings.Join(ids, " ")
}

func TestEntryHoldsTheEvent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		full := audit.Event{
			Actor: audit.User("u1"), Action: audit.UserRoleChanged, ClientID: "c1", UserID: "u2", IP: "2001:db8::1", RequestID: "r1",
			Detail:   map[string]any{"roles": []any{"user", "admin"}, "count": float64(2), "nested": map[string]any{"a": nil}, "text": "<é\x00>"},
			Announce: true,
		}
		record(t, d, now, full)
		record(t, d, now.Add(time.Second), audit.Event{Action: audit.UserLoginFailed})
		want := []audit.Entry{
			{At: now.Add(time.Second), Event: audit.Event{Actor: audit.Actor{Kind: audit.KindAnonymous}, Action: audit.UserLoginFailed, Detail: map[string]any{}}},
			{At: now, Event: full},
		}
		got, total := list(t, d, audit.Filter{Limit: 10})
		if total != 2 {
			t.Errorf("total %d, want 2", total)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Entry{}, "ID")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, e := range got {
			if id, ok := identity.ParseID(e.ID); !ok || id != e.ID {
				t.Errorf("id %q is not a UUID", e.ID)
			}
		}
	})
}

func TestEntryAndCauseAreOneTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		refused := errors.New("refused")
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := audit.Record(ctx, tx, now, audit.Event{Action: audit.UserLogin, Announce: true}); err != nil {
				return err
			}
			return refused
		})
		if err != refused {
			t.Fatalf("got %v, want %v", err, refused)
		}
		if _, total := list(t, d, audit.Filter{}); total != 0 {
			t.Errorf("%d entries of an operation that was rolled back", total)
		}
	})
}

func TestDetailIsBounded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		many := make([]string, 1000)
		for i := range many {
			many[i] = "0123456789"
		}
		record(t, d, now,
			audit.Event{Action: audit.UserLoginFailed, RequestID: "exact", Detail: map[string]any{"email": strings.Repeat("x", audit.MaxText)}},
			audit.Event{Action: audit.UserLoginFailed, RequestID: "long", Detail: map[string]any{"email": strings.Repeat("é", 40_000), "reason": "password"}},
			audit.Event{Action: audit.UserLoginFailed, RequestID: "not text", Detail: map[string]any{"email": strings.Repeat("\xff", 2000)}},
			audit.Event{Action: audit.UserUpdated, RequestID: "many", Detail: map[string]any{"fields": many}},
			audit.Event{Action: audit.UserUpdated, RequestID: "secret", Detail: map[string]any{"token": secret.Value("hunter2")}},
		)
		entries, _ := list(t, d, audit.Filter{Limit: 10})
		for _, e := range entries {
			email, _ := e.Detail["email"].(string)
			switch e.RequestID {
			case "exact":
				if email != strings.Repeat("x", audit.MaxText) {
					t.Errorf("a text of the greatest size became %d bytes", len(email))
				}
			case "long":
				if len(email) > audit.MaxText || len(email) < audit.MaxText-8 || !strings.HasSuffix(email, "é…") || e.Detail["reason"] != "password" {
					t.Errorf("long text became %d bytes ending in %q, beside %v", len(email), email[max(0, len(email)-8):], e.Detail["reason"])
				}
			case "not text":
				if !utf8.ValidString(email) {
					t.Errorf("stored %q", email)
				}
			case "many":
				if diff := cmp.Diff(map[string]any{"truncated": true}, e.Detail); diff != "" {
					t.Errorf("large detail (-want +got):\n%s", diff)
				}
			case "secret":
				if e.Detail["token"] != "[secret]" {
					t.Errorf("secret was stored as %q", e.Detail["token"])
				}
			}
		}
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return audit.Record(ctx, tx, now, audit.Event{Action: audit.UserUpdated, Detail: map[string]any{"f": func() {}}})
		})
		if err == nil {
			t.Error("a detail without JSON was recorded")
		}
	})
}

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tenant := client.Tenant{ID: client.TenantID(identity.NewID()), Slug: "acme", Name: "Acme", CreatedAt: now}
		shop := client.Client{ID: client.NewID(), Tenant: tenant, Name: "Shop", CreatedAt: now}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			if err := client.CreateTenant(ctx, tx, tenant); err != nil {
				return err
			}
			return client.Create(ctx, tx, shop)
		})
		for i, e := range []audit.Event{
			{Actor: audit.User("u1"), Action: audit.UserLogin, ClientID: shop.ID, UserID: "u1"},
			{Actor: audit.User("u2"), Action: audit.UserLogin, ClientID: shop.ID, UserID: "u2"},
			{Actor: audit.User("u1"), Action: audit.UserSuspended, ClientID: shop.ID, UserID: "u2"},
			{Actor: audit.Service("c2"), Action: audit.ServiceLogin, ClientID: "c2"},
			{Actor: audit.User("u1"), Action: audit.UserLogin, ClientID: "c2", UserID: "u1"},
			{Actor: audit.System(), Action: audit.KeyRotated, Detail: map[string]any{"key": "i_1"}},
		} {
			e.RequestID = fmt.Sprint(i + 1)
			record(t, d, now.Add(time.Duration(i)*time.Hour), e)
		}
		for _, c := range []struct {
			f     audit.Filter
			want  string
			total int
		}{
			{audit.Filter{Limit: 10}, "6 5 4 3 2 1", 6},
			{audit.Filter{Limit: 2}, "6 5", 6},
			{audit.Filter{Limit: 2, Offset: 4}, "2 1", 6},
			{audit.Filter{Limit: 2, Offset: 6}, "", 6},
			{audit.Filter{}, "", 6},
			{audit.Filter{ClientID: shop.ID, Limit: 10}, "3 2 1", 3},
			{audit.Filter{Tenant: tenant.ID, Limit: 10}, "3 2 1", 3},
			{audit.Filter{Tenant: "none", Limit: 10}, "", 0},
			{audit.Filter{UserID: "u1", Limit: 10}, "5 1", 2},
			{audit.Filter{UserID: "u1", ClientID: shop.ID, Limit: 10}, "1", 1},
			{audit.Filter{Action: audit.UserLogin, Limit: 10}, "5 2 1", 3},
			{audit.Filter{Any: []audit.Action{audit.UserSuspended, audit.ServiceLogin}, Limit: 10}, "4 3", 2},
			{audit.Filter{Any: []audit.Action{audit.UserLogin, audit.KeyRotated}, UserID: "u1", Limit: 1}, "5", 2},
			{audit.Filter{Noun: "user", Limit: 10}, "5 3 2 1", 4},
			{audit.Filter{Noun: "use_", Limit: 10}, "", 0},
			{audit.Filter{Noun: "%", Limit: 10}, "", 0},
			{audit.Filter{By: "u2", Limit: 10}, "3 2", 2},
			{audit.Filter{By: "u1", Limit: 10}, "5 3 1", 3},
			{audit.Filter{About: "u2", Limit: 10}, "3 2", 2},
			{audit.Filter{About: "i_1", Limit: 10}, "6", 1},
			{audit.Filter{About: "i%1", Limit: 10}, "", 0},
			{audit.Filter{About: "key", Limit: 10}, "", 0}, // the name of a detail is no id
			{audit.Filter{Actor: audit.User("u1"), Limit: 10}, "5 3 1", 3},
			{audit.Filter{Actor: audit.System(), Limit: 10}, "6", 1},
			{audit.Filter{Since: now.Add(time.Hour), Until: now.Add(3 * time.Hour), Limit: 10}, "3 2", 2},
			{audit.Filter{Since: now.Add(6 * time.Hour), Limit: 10}, "", 0},
		} {
			got, total := list(t, d, c.f)
			if requests(got) != c.want || total != c.total {
				t.Errorf("%+v: got %q of %d, want %q of %d", c.f, requests(got), total, c.want, c.total)
			}
			if c.f.Offset > 0 || c.f.Limit == 0 {
				continue
			}
			err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				e, err := audit.Latest(ctx, tx, c.f)
				if want, _, _ := strings.Cut(c.want, " "); e.RequestID != want || (want == "") != errors.Is(err, db.ErrNotFound) {
					t.Errorf("%+v: the latest is %q, %v", c.f, e.RequestID, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAnnouncedHandsOutTheOldestOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i := range 10 {
			record(t, d, now, audit.Event{Action: audit.UserLogin, RequestID: fmt.Sprint(i), Announce: i%2 == 0})
		}
		failed := errors.New("delivery row refused")
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if _, err := audit.Announced(ctx, tx, 3); err != nil {
				return err
			}
			return failed
		})
		if err != failed {
			t.Fatal(err)
		}
		for _, want := range []string{"0 2 4", "6 8", ""} {
			if got := requests(announced(t, d, 3)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if _, total := list(t, d, audit.Filter{}); total != 10 {
			t.Errorf("%d entries are left, want all 10", total)
		}
	})
}

func TestAnnouncedIsSafeOnManyNodes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const events = 60
		for i := range events {
			record(t, d, now, audit.Event{Action: audit.UserLogin, RequestID: fmt.Sprint(i), Announce: true})
		}
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 20 {
			wg.Go(func() {
				<-start
				var got []audit.Entry
				err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
					got, err = audit.Announced(ctx, tx, 5)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, e := range got {
					seen[e.RequestID]++
				}
			})
		}
		close(start)
		wg.Wait()
		for rest := announced(t, d, 5); len(rest) > 0; rest = announced(t, d, 5) {
			for _, e := range rest {
				seen[e.RequestID]++
			}
		}
		for i := range events {
			if n := seen[fmt.Sprint(i)]; n != 1 {
				t.Errorf("entry %d was handed out %d times, want once", i, n)
			}
		}
	})
}

func TestSweepDeletesTheOldest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for i := range 8 {
			record(t, d, now.Add(time.Duration(i)*time.Hour), audit.Event{Action: audit.UserLogin, RequestID: fmt.Sprint(i), Announce: i == 0})
		}
		for _, want := range []int64{3, 2, 0} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := audit.Sweep(ctx, tx, now.Add(5*time.Hour), 3)
				if err == nil && n != want {
					t.Errorf("swept %d, want %d", n, want)
				}
				return err
			})
		}
		if got, _ := list(t, d, audit.Filter{Limit: 10}); requests(got) != "7 6 5" {
			t.Errorf("left are %q, want the last three", requests(got))
		}
	})
}

func TestActorIsReadAsWritten(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]audit.Actor{
		"user:u1": audit.User("u1"), "service:c1": audit.Service("c1"), "operator:apply": audit.Operator("apply"),
		"operator:a:b": audit.Operator("a:b"), "system": audit.System(), "anonymous": {Kind: audit.KindAnonymous}, "robot:7": {Kind: "robot", ID: "7"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%#v is written %q, want %q", a, got, want)
		}
		if got := audit.ParseActor(want); got != a {
			t.Errorf("%q is read as %#v, want %#v", want, got, a)
		}
	}
	if got := (audit.Actor{}).String(); got != "anonymous" {
		t.Errorf("nobody is written %q, want anonymous", got)
	}
}

// TestActionsListsEveryAction reads the constants from the source, so that one
// that is not in Actions cannot be forgotten.
func TestActionsListsEveryAction(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "actions.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, decl := range file.Decls {
		if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, spec := range g.Specs {
				value := spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value
				declared = append(declared, strings.Trim(value, `"`))
			}
		}
	}
	var listed []string
	form := regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	for _, a := range audit.Actions {
		if !form.MatchString(string(a)) {
			t.Errorf("%q is not of the form noun.participle", a)
		}
		listed = append(listed, string(a))
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" {
		t.Errorf("(-declared +listed):\n%s", diff)
	}
	if n := len(slices.Compact(listed)); n != len(audit.Actions) {
		t.Errorf("%d different actions of %d", n, len(audit.Actions))
	}
}
