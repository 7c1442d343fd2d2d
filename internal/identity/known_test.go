package identity_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
)

func TestKnownAsFindsTheAccountThatTheAliasIsMadeOf(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		app, other := client.NewID(), client.NewID()
		users := map[string]identity.UserID{}
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for _, id := range []client.ID{app, other} {
				if err := client.Create(ctx, tx, client.Client{ID: id, Name: "App", Active: true, CreatedAt: now}); err != nil {
					return err
				}
			}
			for i, u := range []struct {
				alias string
				links map[string]string // subject → address
			}{
				{"github6892396", map[string]string{"6892396": "jane@example.com", "92396": "jane@work.example", "x": "jane@example.com"}},
				{"google9012", map[string]string{"9012": "jane@example.com"}},
				{"github1", nil},
			} {
				id := identity.NewUserID()
				users[u.alias] = id
				if err := identity.Create(ctx, tx, identity.User{ID: id, Email: fmt.Sprintf("u%d@example.com", i), Status: identity.Active, CreatedAt: now}); err != nil {
					return err
				}
				if err := identity.SetAlias(ctx, tx, string(app), u.alias, id); err != nil {
					return err
				}
				for subject, email := range u.links {
					l := identity.Link{Issuer: "https://" + u.alias, Subject: subject, UserID: id, Upstream: "any", Email: email,
						Profile: identity.LinkProfile{Username: subject, EmailVerified: true}, CreatedAt: now.Add(time.Duration(i) * time.Second)}
					if err := identity.AddLink(ctx, tx, l); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			k, err := identity.KnownAs(ctx, tx, string(app), "github6892396")
			if err != nil || k.Subject != "6892396" || k.Email != "jane@example.com" || k.UserID != users["github6892396"] || !k.Profile.EmailVerified {
				t.Errorf("got %+v, %v", k, err)
			}
			for _, of := range [][2]string{{string(app), "github1"}, {string(app), "github2"}, {string(other), "github6892396"}, {string(app), ""}} {
				if k, err := identity.KnownAs(ctx, tx, of[0], of[1]); !errors.Is(err, db.ErrNotFound) {
					t.Errorf("%s: got %+v, %v", of[1], k, err)
				}
			}
			all, err := identity.KnownBy(ctx, tx, string(app), "jane@example.com")
			if err != nil || len(all) != 2 || all[0].Alias != "github6892396" || all[1].Alias != "google9012" {
				t.Errorf("by address: %+v, %v", all, err)
			}
			if all, err := identity.KnownBy(ctx, tx, string(other), "jane@example.com"); err != nil || len(all) != 0 {
				t.Errorf("by address, another client: %+v, %v", all, err)
			}
			return nil
		})
	})
}

func TestAliasesOfManyUsers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const n = 230
		app := client.NewID()
		var ids []identity.UserID
		err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := client.Create(ctx, tx, client.Client{ID: app, Name: "App", Active: true, CreatedAt: now}); err != nil {
				return err
			}
			ids = nil
			for i := range n {
				id := identity.NewUserID()
				ids = append(ids, id)
				if err := identity.Create(ctx, tx, identity.User{ID: id, Email: fmt.Sprintf("u%d@many.example", i), Status: identity.Active, CreatedAt: now}); err != nil {
					return err
				}
				if i%2 == 0 {
					if err := identity.SetAlias(ctx, tx, string(app), fmt.Sprint("github", i), id); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		read(t, d, func(ctx context.Context, tx *db.Tx) error {
			all, err := identity.Aliases(ctx, tx, string(app), ids)
			if err != nil || len(all) != n/2 || all[ids[228]] != "github228" || all[ids[1]] != "" {
				t.Errorf("%d aliases, %v", len(all), err)
			}
			none, err := identity.Aliases(ctx, tx, string(app), nil)
			if err != nil || len(none) != 0 {
				t.Errorf("of nobody: %v, %v", none, err)
			}
			return nil
		})
	})
}

func read(t *testing.T, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}
