package invite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/secret"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

const week = 7 * 24 * time.Hour

func newKey(t *testing.T, fill byte) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(bytes.Repeat([]byte{fill}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// office is a database with one client, and what the tests do to it.
type office struct {
	*testing.T
	d      *db.DB
	k      *secret.Key
	client client.ID
}

func open(t *testing.T, d *db.DB) office {
	t.Helper()
	o := office{t, d, newKey(t, 1), ""}
	o.client = o.newClient(client.Tenant{})
	return o
}

func (o office) write(fn func(context.Context, *db.Tx) error) {
	o.Helper()
	if err := o.d.Write(o.Context(), fn); err != nil {
		o.Fatal(err)
	}
}

func (o office) newClient(tenant client.Tenant) client.ID {
	o.Helper()
	c := client.Client{ID: client.NewID(), Tenant: tenant, Name: "Shop", Active: true, CreatedAt: now}
	o.write(func(ctx context.Context, tx *db.Tx) error { return client.Create(ctx, tx, c) })
	return c.ID
}

func (o office) create(in invite.Invite, at time.Time) (i invite.Invite, code string, err error) {
	err = o.d.Write(o.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		i, code, err = invite.Create(ctx, tx, o.k, in, at)
		return err
	})
	return i, code, err
}

// invite creates an invitation for a week.
func (o office) invite(email string, at time.Time) (invite.Invite, string) {
	o.Helper()
	i, code, err := o.create(invite.Invite{ClientID: o.client, Email: email, Roles: []string{"user"}, InvitedBy: "user:1", ExpiresAt: at.Add(week)}, at)
	if err != nil {
		o.Fatal(err)
	}
	return i, code
}

func (o office) byCode(k *secret.Key, code string, at time.Time) (i invite.Invite, err error) {
	err = o.d.Read(o.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		i, err = invite.ByCode(ctx, tx, k, code, at)
		return err
	})
	return i, err
}

func (o office) byID(id string, at time.Time) invite.Invite {
	o.Helper()
	var i invite.Invite
	err := o.d.Read(o.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		i, err = invite.ByID(ctx, tx, id, at)
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return i
}

func (o office) accept(id string, by identity.UserID, at time.Time) error {
	return o.d.Write(o.Context(), func(ctx context.Context, tx *db.Tx) error { return invite.Accept(ctx, tx, id, by, at) })
}

func (o office) revoke(id string) error {
	return o.d.Write(o.Context(), func(ctx context.Context, tx *db.Tx) error { return invite.Revoke(ctx, tx, id) })
}

func (o office) list(f invite.Filter, at time.Time) (list []invite.Invite, total int) {
	o.Helper()
	err := o.d.Read(o.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		list, total, err = invite.List(ctx, tx, f, at)
		return err
	})
	if err != nil {
		o.Fatal(err)
	}
	return list, total
}

func TestInviteIsFoundByItsCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		i, code := o.invite("jane@example.com", now)
		want := invite.Invite{
			ID: i.ID, ClientID: o.client, Email: "jane@example.com", Roles: []string{"user"}, Status: invite.Pending,
			InvitedBy: "user:1", CreatedAt: now, ExpiresAt: now.Add(week),
		}
		if diff := cmp.Diff(want, i); diff != "" {
			t.Errorf("Create (-want +got):\n%s", diff)
		}
		if len(code) != invite.CodeLength || strings.Trim(code, invite.Alphabet) != "" {
			t.Errorf("code is %q, want %d characters of %s", code, invite.CodeLength, invite.Alphabet)
		}
		for _, typed := range []string{code, strings.ToLower(code), "  " + code + "\n"} {
			got, err := o.byCode(o.k, typed, now)
			if err != nil {
				t.Fatalf("typed %q: %v", typed, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("typed %q (-want +got):\n%s", typed, diff)
			}
		}
		if diff := cmp.Diff(want, o.byID(i.ID, now)); diff != "" {
			t.Errorf("ByID (-want +got):\n%s", diff)
		}
	})
}

func TestUnusableCodesAreNotFound(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		i, code := o.invite("", now)
		revoked, revokedCode := o.invite("", now)
		if err := o.revoke(revoked.ID); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			k    *secret.Key
			code string
			at   time.Time
		}{
			"expired":           {o.k, code, now.Add(week)},
			"revoked":           {o.k, revokedCode, now},
			"another key":       {newKey(t, 2), code, now},
			"empty":             {o.k, "", now},
			"cut short":         {o.k, code[:7], now},
			"with a 1":          {o.k, code[:7] + "1", now},
			"two letters as ff": {o.k, code[:5] + "ﬀ", now},
		} {
			if _, err := o.byCode(c.k, c.code, c.at); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, err)
			}
		}
		if err := o.accept(i.ID, "u1", now.Add(week)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("accept at expiry: got %v, want ErrNotFound", err)
		}
		if err := o.accept(revoked.ID, "u1", now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("accept a revoked one: got %v, want ErrNotFound", err)
		}
		if err := o.accept(i.ID, "u1", now.Add(week-time.Microsecond)); err != nil {
			t.Fatalf("accept a microsecond before expiry: %v", err)
		}
		if _, err := o.byCode(o.k, code, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("accepted: got %v, want ErrNotFound", err)
		}
		got := o.byID(i.ID, now.Add(2*week))
		if got.Status != invite.Accepted || got.AcceptedBy != "u1" || !got.AcceptedAt.Equal(now.Add(week-time.Microsecond)) {
			t.Errorf("accepted invitation is %+v", got)
		}
	})
}

func TestAcceptHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		i, _ := o.invite("", now)
		errs := race(100, func(n int) error { return o.accept(i.ID, identity.UserID(fmt.Sprint("u", n)), now) })
		won := -1
		for n, err := range errs {
			switch {
			case err == nil && won >= 0:
				t.Errorf("callers %d and %d both won", won, n)
			case err == nil:
				won = n
			case !errors.Is(err, db.ErrNotFound):
				t.Error(err)
			}
		}
		if got, want := o.byID(i.ID, now).AcceptedBy, identity.UserID(fmt.Sprint("u", won)); got != want {
			t.Errorf("accepted by %q, want %q", got, want)
		}
	})
}

// race runs n callers at once and returns their errors.
func race(n int, call func(int) error) []error {
	start, errs := make(chan struct{}), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func TestAcceptOrRevokeHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		for range 10 {
			i, _ := o.invite("", now)
			errs := race(8, func(n int) error {
				if n%2 == 0 {
					return o.accept(i.ID, "u1", now)
				}
				return o.revoke(i.ID)
			})
			accepted, revoked := 0, 0
			for n, err := range errs {
				switch {
				case n%2 == 0 && err == nil:
					accepted++
				case n%2 == 1 && err == nil:
					revoked++
				case n%2 == 0 && !errors.Is(err, db.ErrNotFound), n%2 == 1 && !errors.Is(err, invite.ErrAccepted):
					t.Error(err)
				}
			}
			got := o.byID(i.ID, now).Status
			if got == invite.Accepted && (accepted != 1 || revoked != 0) || got == invite.Revoked && (accepted != 0 || revoked != 4) {
				t.Errorf("%s after %d accepts and %d revocations", got, accepted, revoked)
			}
		}
	})
}

func TestNewInviteTakesThePlaceOfTheEarlier(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		first, firstCode := o.invite("jane@example.com", now)
		john, _ := o.invite("john@example.com", now)
		open1, _ := o.invite("", now)
		open2, _ := o.invite("", now)
		second, secondCode := o.invite("jane@example.com", now)
		for _, c := range []struct {
			name string
			id   string
			want invite.Status
		}{
			{"first", first.ID, invite.Revoked}, {"second", second.ID, invite.Pending}, {"other address", john.ID, invite.Pending},
			{"unbound", open1.ID, invite.Pending}, {"unbound too", open2.ID, invite.Pending},
		} {
			if got := o.byID(c.id, now).Status; got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
		if _, err := o.byCode(o.k, firstCode, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("code of the first: got %v, want ErrNotFound", err)
		}
		if err := o.accept(second.ID, "u1", now); err != nil {
			t.Fatal(err)
		}
		third, _ := o.invite("jane@example.com", now)
		if got := o.byID(second.ID, now).Status; got != invite.Accepted {
			t.Errorf("an accepted invitation became %s", got)
		}
		other := o
		other.client = o.newClient(client.Tenant{})
		other.invite("jane@example.com", now)
		if got := o.byID(third.ID, now).Status; got != invite.Pending {
			t.Errorf("an invitation by another client made this one %s", got)
		}
		if _, err := o.byCode(o.k, secondCode, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("code of an accepted one: got %v, want ErrNotFound", err)
		}
	})
}

func TestConcurrentInvitesLeaveOnePending(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		errs := race(24, func(int) error {
			_, _, err := o.create(invite.Invite{ClientID: o.client, Email: "jane@example.com", ExpiresAt: now.Add(week)}, now)
			return err
		})
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else if !errors.Is(err, db.ErrConflict) {
				t.Error(err)
			}
		}
		if made == 0 {
			t.Error("nobody could invite")
		}
		if _, n := o.list(invite.Filter{Status: invite.Pending}, now); n != 1 {
			t.Errorf("%d are pending, want 1", n)
		}
		if _, n := o.list(invite.Filter{}, now); n != made {
			t.Errorf("%d invitations, want the %d that were made", n, made)
		}
	})
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		pending, _ := o.invite("", now)
		expired, _ := o.invite("", now.Add(-2*week))
		accepted, _ := o.invite("", now)
		if err := o.accept(accepted.ID, "u1", now); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, id string
			want     error
			status   invite.Status
		}{
			{"pending", pending.ID, nil, invite.Revoked},
			{"revoked", pending.ID, nil, invite.Revoked},
			{"expired", expired.ID, nil, invite.Revoked},
			{"accepted", accepted.ID, invite.ErrAccepted, invite.Accepted},
		} {
			if err := o.revoke(c.id); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if got := o.byID(c.id, now).Status; got != c.status {
				t.Errorf("%s: is now %s, want %s", c.name, got, c.status)
			}
		}
		if err := o.revoke(identity.NewID()); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
	})
}

func TestInviteNeedsItsClient(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := open(t, d)
		_, code := o.invite("jane@example.com", now)
		if _, _, err := o.create(invite.Invite{ClientID: client.NewID(), ExpiresAt: now.Add(week)}, now); !errors.Is(err, db.ErrReference) {
			t.Errorf("unknown client: got %v, want ErrReference", err)
		}
		o.write(func(ctx context.Context, tx *db.Tx) error { return client.Delete(ctx, tx, o.client) })
		if _, err := o.byCode(o.k, code, now); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("after the client ended: got %v, want ErrNotFound", err)
		}
	})
}
