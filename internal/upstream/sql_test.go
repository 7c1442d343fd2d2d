package upstream_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
	"sallyport/internal/upstream"
)

func TestUpstreamsAreStored(t *testing.T) {
	t.Parallel()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		at := time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
		u := upstream.Upstream{Key: "corp", Kind: upstream.OIDC, Secret: "hush-hush",
			Settings: upstream.Settings{ClientID: "x", Issuer: "https://login.corp.example", Scopes: []string{"openid"}}}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return upstream.Put(ctx, tx, k, u, at) })
		u.Settings.Name = "Corp"
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(upstream.Put(ctx, tx, k, u, at.Add(time.Hour)), upstream.Put(ctx, tx, k, upstream.Upstream{Key: "a", Kind: upstream.GitHub}, at))
		})
		u.CreatedAt, u.UpdatedAt = at, at.Add(time.Hour)
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			got, err := upstream.ByKey(ctx, tx, k, "corp")
			if err != nil || !reflect.DeepEqual(got, u) || got.Secret.Reveal() != "hush-hush" {
				t.Errorf("got %+v, %v", got, err)
			}
			all, err := upstream.List(ctx, tx, k)
			if err != nil || len(all) != 2 || all[0].Key != "a" || all[1].Key != "corp" {
				t.Errorf("listed %+v, %v", all, err)
			}
			if _, err := upstream.ByKey(ctx, tx, k, "nobody"); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("nobody: %v", err)
			}
			sealed, err := db.One(ctx, tx, func(r db.Row) (b []byte, err error) { err = r.Scan(&b); return b, err }, `SELECT sealed FROM upstreams WHERE key = 'corp'`)
			if err != nil || strings.Contains(string(sealed), "hush") {
				t.Errorf("the secret is stored as it is: %v", err)
			}
			return nil
		})
		// A secret that was moved to another provider's row does not open there.
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE upstreams SET sealed = (SELECT sealed FROM upstreams WHERE key = 'corp') WHERE key = 'a'`)
			return err
		})
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			if _, err := upstream.ByKey(ctx, tx, k, "a"); !errors.Is(err, secret.ErrSeal) {
				t.Errorf("a moved secret: %v", err)
			}
			return nil
		})
		for _, want := range []bool{true, false} {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				there, err := upstream.Delete(ctx, tx, "corp")
				if there != want {
					t.Errorf("deleted %v", there)
				}
				return err
			})
		}
	})
}

func write(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}
