package invite_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/invite"
	"sallyport/internal/org"
)

func (o office) org() org.ID {
	o.Helper()
	var id org.ID
	o.write(func(ctx context.Context, tx *db.Tx) error {
		made, err := org.Create(ctx, tx, org.Org{Name: "Acme"}, now)
		id = made.ID
		return err
	})
	return id
}

func (o office) toOrg(id org.ID, email string, at time.Time) (i invite.Invite, raw string, err error) {
	err = o.d.Write(o.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		i, raw, err = invite.CreateToOrg(ctx, tx, o.k, invite.Invite{
			OrgID: id, OrgRole: org.Member, ClientID: o.client, Email: email, InvitedBy: "user:1", ExpiresAt: at.Add(week),
		}, at)
		return err
	})
	return i, raw, err
}

func TestInviteToOrgIsFoundByItsSecretAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		made, raw, err := o.toOrg(o.org(), "new@example.com", now)
		if err != nil {
			t.Fatal(err)
		}
		o.write(func(ctx context.Context, tx *db.Tx) error {
			found, err := invite.ByToken(ctx, tx, o.k, raw, now)
			if diff := cmp.Diff(made, found); err != nil || diff != "" {
				t.Errorf("by secret: %v %s", err, diff)
			}
			for name, other := range map[string]string{"in capitals": strings.ToUpper(raw), "cut": raw[:63], "another": strings.Repeat("0", 64), "empty": ""} {
				if _, err := invite.ByToken(ctx, tx, o.k, other, now); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if _, err := invite.ByToken(ctx, tx, newKey(t, 2), raw, now); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("under another key: got %v", err)
			}
			if _, err := invite.ByToken(ctx, tx, o.k, raw, now.Add(week)); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("a week later: got %v", err)
			}
			return nil
		})
		_, code := o.invite("app@example.com", now)
		o.write(func(ctx context.Context, tx *db.Tx) error {
			if _, err := invite.ByToken(ctx, tx, o.k, code, now); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("a client's code: got %v", err)
			}
			if _, err := invite.ByCode(ctx, tx, o.k, raw, now); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("an organization's secret as a code: got %v", err)
			}
			return nil
		})
	})
}

func TestAddressIsInvitedToAnOrgOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		id := o.org()
		first, _, err := o.toOrg(id, "new@example.com", now)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.toOrg(id, "new@example.com", now.Add(week-time.Second)); !errors.Is(err, invite.ErrPending) {
			t.Errorf("while one is pending: got %v, want ErrPending", err)
		}
		if _, _, err := o.toOrg(o.org(), "new@example.com", now); err != nil {
			t.Errorf("to another organization: %v", err)
		}
		o.invite("new@example.com", now) // to the client by way of which they were invited
		if _, _, err := o.toOrg(id, "new@example.com", now.Add(week)); err != nil {
			t.Errorf("after it has expired: %v", err)
		}
		o.write(func(ctx context.Context, tx *db.Tx) error { return invite.Revoke(ctx, tx, first.ID) })
		o.write(func(ctx context.Context, tx *db.Tx) error {
			all, total, err := invite.List(ctx, tx, invite.Filter{OrgID: id, Limit: 10}, now)
			if err != nil || total != 2 || len(all) != 2 {
				t.Errorf("of the organization: got %d of %d, %v", len(all), total, err)
			}
			all, total, err = invite.List(ctx, tx, invite.Filter{ClientID: o.client, Limit: 10}, now)
			if err != nil || total != 1 || len(all) != 1 || all[0].OrgID != "" {
				t.Errorf("of the client: got %v of %d, %v", all, total, err)
			}
			return nil
		})
	})
}

func TestOneOfManyInvitersInvitesToAnOrg(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		id := o.org()
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, _, errs[i] = o.toOrg(id, "new@example.com", now) })
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			switch {
			case err == nil:
				made++
			case !errors.Is(err, invite.ErrPending):
				t.Error(err)
			}
		}
		if made != 1 {
			t.Errorf("%d were made, want 1", made)
		}
	})
}
