package resource

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// manyUsers is a file with n users who bring bcrypt hashes, each in two clients.
func manyUsers(n int) string {
	var b strings.Builder
	b.WriteString("clients: [{key: a, name: A}, {key: b, name: B}]\nusers:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {email: user%d@example.com, display_name: User %d, email_verified: true, password_hash: \"$2b$12$%022d%031d\", enrolments: [{client: a}, {client: b, roles: [admin]}]}\n",
			i, i, i%10, i)
	}
	b.WriteString("invites:\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "  - {client: a, email: invited%d@example.com}\n", i)
	}
	return b.String()
}

// TestManyUsers counts statements rather than seconds: reading is done a
// hundred users at a time, and only what changes is written.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		var statements atomic.Int64
		d, err := db.OpenWith(t.Context(), url, db.Options{Fault: func(at db.Step) error {
			if at == db.BeforeStatement {
				statements.Add(1)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if _, err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := newStage(t, d)
		const n = 1000
		text := manyUsers(n)
		f := s.parse(text)

		count := func(what string, most int64) {
			t.Helper()
			statements.Store(0)
			begun := time.Now()
			if _, err := s.Apply(t.Context(), f, Options{BaseURL: "https://auth.example.com"}); err != nil {
				t.Fatal(err)
			}
			if got := statements.Load(); got > most {
				t.Errorf("%s: got %d statements, want at most %d", what, got, most)
			}
			t.Logf("%s: %d statements, %v", what, statements.Load(), time.Since(begun))
		}
		count("making all", 9*n)
		count("changing nothing", 0)
		f = s.parse(strings.Replace(text, "User 999", "User Nine", 1))
		count("changing one", 100)
		if got := s.user("user999@example.com").DisplayName; got != "User Nine" {
			t.Errorf("got %q", got)
		}
		if changes := s.plan("clients: [{key: a, name: A}, {key: b, name: B}]\n", true); len(changes) != n+n/10 {
			t.Errorf("pruning: got %d changes, want %d", len(changes), n+n/10)
		}
		s.settled("many")
	})
}

func BenchmarkPlanOfManyUsers(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB) *db.DB
	}{{"sqlite", dbtest.SQLite}, {"postgres", dbtest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			s := newStage(b, engine.open(b))
			text := manyUsers(1000)
			s.apply(text, Options{})
			f := s.parse(text)
			for b.Loop() {
				if _, err := s.Plan(b.Context(), f, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
