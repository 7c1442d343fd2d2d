package db_test

import (
	"context"
	"errors"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestNestedTransactionFails(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return d.Write(ctx, func(context.Context, *db.Tx) error { return nil })
		})
		if err == nil {
			t.Fatal("nested transaction succeeded")
		}
	})
}

func TestParametersAreBoundByNumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO settings (value, name, updated_at) VALUES ($2, $1, $3)`, "n", "v", 7)
			if err != nil {
				return err
			}
			got, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings WHERE value = $2 AND name = $1 AND value = $2`, "n", "v")
			if err == nil && got != "n" {
				t.Errorf("got %q, want n", got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := db.One(ctx, tx, db.Text, `SELECT name FROM settings WHERE name = $1`, "x")
			return err
		})
		if !errors.Is(err, db.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}
