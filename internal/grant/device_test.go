package grant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/grant"
	"sallyport/internal/secret"
)

var deviceCode = secret.Hash("device")

func newDevice(t *testing.T, d *db.DB, c client.ID) grant.Device {
	t.Helper()
	dev := grant.Device{
		ClientID: c, UserCode: "WDJBMJHT", Request: json.RawMessage(`{"scope":["openid"]}`), Status: grant.DevicePending,
		PollEvery: 5 * time.Second, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}
	run(t, d, func(ctx context.Context, tx *db.Tx) error { return grant.CreateDevice(ctx, tx, dev, deviceCode) })
	return dev
}

func TestDeviceIsFoundByItsUserCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		_, c := pair(t, d)
		want := newDevice(t, d, c)
		got := must(t, d, func(ctx context.Context, tx *db.Tx) (grant.Device, error) {
			return grant.DeviceByUserCode(ctx, tx, "WDJBMJHT")
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (any, error) {
			return nil, grant.CreateDevice(ctx, tx, want, secret.Hash("another"))
		})
		if !errors.Is(err, db.ErrConflict) {
			t.Errorf("the same user code: got %v, want ErrConflict", err)
		}
	})
}

func TestDeviceIsDecidedAndSpentOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		u, c := pair(t, d)
		newDevice(t, d, c)
		g := create(t, d, u, c, "", nil)
		spend := func() string {
			_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (grant.Device, error) {
				return grant.SpendDevice(ctx, tx, deviceCode)
			})
			return fmt.Sprint(errors.Is(err, db.ErrNotFound), err == nil)
		}
		if got := spend(); got != "true false" {
			t.Errorf("one that waits was spent: %s", got)
		}
		got := race(100, func() string {
			return fmt.Sprint(write(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) {
				return grant.DecideDevice(ctx, tx, "WDJBMJHT", grant.DeviceApproved, g.ID, now)
			}))
		})
		if got["true <nil>"] != 1 || got["false <nil>"] != 99 {
			t.Errorf("decided: got %v, want one winner", got)
		}
		if got := race(100, spend); got["false true"] != 1 || got["true false"] != 99 {
			t.Errorf("spent: got %v, want one winner", got)
		}
	})
}

func TestDeviceIsNotDecidedAfterItsEnd(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		_, c := pair(t, d)
		dev := newDevice(t, d, c)
		ok := must(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) {
			return grant.DecideDevice(ctx, tx, dev.UserCode, grant.DeviceDenied, "", dev.ExpiresAt)
		})
		if ok {
			t.Error("it was decided at its end")
		}
	})
}

func TestDeviceThatAsksTooSoonIsSlowedDown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		_, c := pair(t, d)
		newDevice(t, d, c)
		for i, step := range []struct {
			at      time.Duration
			tooSoon bool
			every   time.Duration
		}{
			{0, false, 5 * time.Second},
			{5 * time.Second, false, 5 * time.Second},
			{9 * time.Second, true, 10 * time.Second},
			{18 * time.Second, true, 15 * time.Second},
			{33 * time.Second, false, 15 * time.Second},
		} {
			var soon bool
			dev := must(t, d, func(ctx context.Context, tx *db.Tx) (dev grant.Device, err error) {
				dev, soon, err = grant.PollDevice(ctx, tx, deviceCode, now.Add(step.at))
				return dev, err
			})
			if soon != step.tooSoon || dev.PollEvery != step.every || !dev.PolledAt.Equal(now.Add(step.at)) {
				t.Errorf("poll %d: got too soon %v, every %v, at %v", i, soon, dev.PollEvery, dev.PolledAt)
			}
		}
		_, err := write(t, d, func(ctx context.Context, tx *db.Tx) (bool, error) {
			_, soon, err := grant.PollDevice(ctx, tx, secret.Hash("unknown"), now)
			return soon, err
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
	})
}
