package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/directory"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newTown(t, d)
		w.token(w.acme)
		w.token(w.evil)
		var g directory.Group
		w.write(func(ctx context.Context, tx *db.Tx) (err error) {
			g, err = directory.AddGroup(ctx, tx, w.acme, "Engineers", "ext", now)
			return err
		})
		if err := w.try(func(ctx context.Context, tx *db.Tx) error {
			_, err := directory.AddGroup(ctx, tx, w.acme, "ENGINEERS", "", now)
			return err
		}); !errors.Is(err, directory.ErrTaken) {
			t.Errorf("the name twice: %v", err)
		}
		var people []identity.UserID
		w.write(func(ctx context.Context, tx *db.Tx) error {
			people = nil
			for i := range 2*100 + 5 { // more than one statement names
				u := identity.User{ID: identity.NewUserID(), Status: identity.Active, CreatedAt: now}
				if err := identity.Create(ctx, tx, u); err != nil {
					return err
				}
				if err := directory.Add(ctx, tx, directory.User{OrgID: w.acme, ID: u.ID, Name: fmt.Sprintf("p%03d@acme.com", i), Active: true, Role: org.Member}, now); err != nil {
					return err
				}
				people = append(people, u.ID)
			}
			return nil
		})
		stranger := w.add(w.evil, "mallory@evil.example")
		if err := w.try(func(ctx context.Context, tx *db.Tx) error {
			_, err := directory.AddMembers(ctx, tx, g, append(slices.Clone(people), stranger))
			return err
		}); !errors.Is(err, directory.ErrStranger) {
			t.Errorf("somebody of another directory: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error {
			added, err := directory.AddMembers(ctx, tx, g, append(slices.Clone(people), people...))
			again, err2 := directory.AddMembers(ctx, tx, g, people[:3])
			removed, err3 := directory.RemoveMembers(ctx, tx, g, append(slices.Clone(people[:150]), stranger))
			members, err4 := directory.MembersOf(ctx, tx, w.acme, g.ID)
			if err := errors.Join(err, err2, err3, err4); err != nil {
				return err
			}
			if len(added) != 205 || len(again) != 0 || len(removed) != 150 || len(members) != 55 || members[0] != (directory.Member{ID: people[150], Name: "p150@acme.com"}) {
				t.Errorf("added %d, %d, removed %d, left %d %v", len(added), len(again), len(removed), len(members), members[0])
			}
			of, err := directory.GroupsOf(ctx, tx, w.acme, people...)
			names, err2 := directory.NamesOf(ctx, tx, w.acme, people[204])
			if len(of) != 55 || of[people[204]][0].ID != g.ID || !slices.Equal(names, []string{"Engineers"}) {
				t.Errorf("groups of %d people, %v", len(of), names)
			}
			with, n, err3 := directory.Groups(ctx, tx, w.acme, directory.Exact{Name: "engineers", Member: people[204], ExternalID: "ext", ID: string(g.ID)}, 10, 0)
			_, none, err4 := directory.Groups(ctx, tx, w.acme, directory.Exact{Member: people[0]}, 10, 0)
			_, theirs, err5 := directory.Groups(ctx, tx, w.evil, directory.Exact{ID: string(g.ID)}, 10, 0)
			if n != 1 || none != 0 || theirs != 0 || len(with) != 1 {
				t.Errorf("found %d, %d, %d", n, none, theirs)
			}
			return errors.Join(err, err2, err3, err4, err5)
		})
		w.write(func(ctx context.Context, tx *db.Tx) error {
			held, err := directory.HoldGroup(ctx, tx, w.acme, g.ID)
			held.Name, held.ExternalID = "Builders", ""
			err2 := directory.ChangeGroup(ctx, tx, held, now.Add(time.Minute))
			got, err3 := directory.GroupByID(ctx, tx, w.acme, g.ID)
			if got.Name != "Builders" || got.Version != 2 || !got.UpdatedAt.Equal(now.Add(time.Minute)) {
				t.Errorf("got %+v", got)
			}
			return errors.Join(err, err2, err3)
		})
		if err := w.try(func(ctx context.Context, tx *db.Tx) error { return directory.RemoveGroup(ctx, tx, w.evil, g.ID) }); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("another's group removed: %v", err)
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { return directory.RemoveGroup(ctx, tx, w.acme, g.ID) })
	})
}
