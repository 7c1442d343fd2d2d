package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestFamiliesEndByWhatTheyBelongTo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.newUser("v")
		for name, c := range map[string]struct {
			end  func(context.Context, *db.Tx) (int64, error)
			want string // the families left
		}{
			"user and client": {func(ctx context.Context, tx *db.Tx) (int64, error) { return EndByUserClient(ctx, tx, "u", "c") }, "ud- vc- vds"},
			"user":            {func(ctx context.Context, tx *db.Tx) (int64, error) { return EndByUser(ctx, tx, "u") }, "vc- vds"},
			"session":         {func(ctx context.Context, tx *db.Tx) (int64, error) { return EndBySession(ctx, tx, "s") }, "uc- ud- vc-"},
			"no session":      {func(ctx context.Context, tx *db.Tx) (int64, error) { return EndBySession(ctx, tx, "") }, "uc- ucs ud- vc- vds"},
		} {
			all := map[string]string{}
			for _, f := range []Family{{UserID: "u", ClientID: "c"}, {UserID: "u", ClientID: "c", SessionID: "s"}, {UserID: "u", ClientID: "d"},
				{UserID: "v", ClientID: "c"}, {UserID: "v", ClientID: "d", SessionID: "s"}} {
				session := string(f.SessionID)
				if session == "" {
					session = "-"
				}
				all[string(f.UserID)+string(f.ClientID)+session] = w.issue(f, start)
			}
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := c.end(ctx, tx)
				if want := len(all) - len(strings.Fields(c.want)); int(n) != want {
					t.Errorf("%s: %d ended, want %d", name, n, want)
				}
				return err
			})
			var left []string
			for family, raw := range all {
				if _, err := w.find(raw, start, 0); err == nil {
					left = append(left, family)
				} else if !errors.Is(err, ErrUnknown) {
					t.Fatal(err)
				}
			}
			slices.Sort(left)
			if got := strings.Join(left, " "); got != c.want {
				t.Errorf("%s: %s are left, want %s", name, got, c.want)
			}
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM refresh_families`)
				return err
			})
		}
	})
}

func TestSweepTakesTheExpiredInBatches(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for range 5 {
			w.issue(Family{ExpiresAt: start.Add(time.Hour)}, start)
		}
		alive := w.issue(Family{}, start)
		used := w.mustRefresh(w.issue(Family{ExpiresAt: start.Add(time.Hour)}, start), start, 0)
		for i, c := range []struct {
			at   time.Time
			want int64
		}{
			{start.Add(time.Hour), 0}, // expired, but the day is not over
			{start.Add(12*time.Hour - 1000), 0},
			{start.Add(12 * time.Hour), 3}, // midnight
			{start.Add(12 * time.Hour), 2},
			{start.Add(12 * time.Hour), 0},
		} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				n, err := Sweep(ctx, tx, c.at, 3)
				if n != c.want {
					t.Errorf("sweep %d took %d, want %d", i, n, c.want)
				}
				return err
			})
		}
		for _, raw := range []string{alive, used} {
			if _, err := w.find(raw, start.Add(24*time.Hour), 0); err != nil {
				t.Errorf("a living family: %v", err)
			}
		}
	})
}
