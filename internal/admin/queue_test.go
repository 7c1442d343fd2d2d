package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/org"
	"sallyport/internal/waitlist"
)

// lists puts people on the list for a feature of an app, one after the other.
func (o office) lists(app, feature string, names ...string) []admin.Waiter {
	o.t.Helper()
	var all []admin.Waiter
	for _, name := range names {
		o.Advance(time.Second)
		u, there := o.people[name]
		if !there {
			u = o.User(name+"@example.com", name, "")
			o.people[name] = u
		}
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			s, _, err := org.Own(ctx, tx, u.ID, "", o.Now())
			if err != nil {
				return err
			}
			if s.OrgID == "" { // theirs from another list
				if s, err = org.Chosen(ctx, tx, u.ID); err != nil {
					return err
				}
			}
			e, _, err := waitlist.Join(ctx, tx, waitlist.Entry{OrgID: s.OrgID, UserID: u.ID, Feature: feature, ClientID: o.apps[app].ID}, o.Now())
			all = append(all, admin.Waiter{ClientID: e.ClientID, UserID: u.ID, Entry: e.ID})
			return err
		})
	}
	return all
}

func (o office) queue(who string, in admin.QueueIn) (names string, total int, err error) {
	if in.Page.Size == 0 {
		in.Page = admin.Page{Number: 1, Size: 50}
	}
	all, total, err := o.Admin.Queue(o.t.Context(), o.callers[who], in)
	for _, w := range all {
		names += w.User.DisplayName + ":" + w.Feature + " "
	}
	return names, total, err
}

func (o office) waits(name, app string) admin.Waiter {
	u := o.User(name+"@example.com", name, "")
	o.Advance(time.Second)
	o.Enrol(u, o.apps[app], client.Pending, "user")
	return admin.Waiter{ClientID: o.apps[app].ID, UserID: u.ID}
}

func TestQueueIsEverybodyWhoWaitsWhereTheCallerDecides(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.waits("ann", "board")
		o.lists("board", "beta", "bob")
		o.waits("cid", "shop")
		o.lists("depot", "beta", "dan")
		o.lists("board", "export", "eve")
		shop, board := o.apps["shop"].ID, o.apps["board"].ID
		for _, c := range []struct {
			who   string
			in    admin.QueueIn
			want  string
			total int
			fault fault.Code
		}{
			{"root", admin.QueueIn{}, "ann: bob:beta cid: dan:beta eve:export ", 5, ""},
			{"tess", admin.QueueIn{}, "cid: ", 1, ""},
			{"max", admin.QueueIn{}, "ann: bob:beta eve:export ", 3, ""},
			{"amy", admin.QueueIn{ClientID: board, Places: true}, "ann: ", 1, ""},
			{"root", admin.QueueIn{Feature: "beta"}, "bob:beta dan:beta ", 2, ""},
			{"max", admin.QueueIn{Page: admin.Page{Number: 2, Size: 2}}, "eve:export ", 3, ""},
			{"amy", admin.QueueIn{ClientID: shop}, "", 0, fault.Forbidden},
			{"uma", admin.QueueIn{}, "", 0, fault.Forbidden},
			{"service-board", admin.QueueIn{}, "", 0, fault.Forbidden},
		} {
			got, total, err := o.queue(c.who, c.in)
			if got != c.want || total != c.total || code(t, err) != c.fault {
				t.Errorf("%s %+v: got %q of %d, %v; want %q of %d", c.who, c.in, got, total, err, c.want, c.total)
			}
		}
	})
}

func TestQueueIsSearchedLiterally(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		told := o.waits("ann", "board")
		o.lists("board", "beta", "bob_b", "bobbb")
		if n, err := o.Admin.Notify(t.Context(), o.callers["amy"], told); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		for _, c := range []struct {
			in    admin.QueueIn
			want  string
			fault fault.Code
		}{
			{in: admin.QueueIn{Search: "ANN@"}, want: "ann: "},
			{in: admin.QueueIn{Search: "%"}},
			{in: admin.QueueIn{Search: "b_b"}, want: "bob_b:beta "},
			{in: admin.QueueIn{Search: "!"}},
			{in: admin.QueueIn{Search: "' OR '1'='1"}},
			{in: admin.QueueIn{Search: "a\x00"}, fault: fault.FieldInvalid},
			{in: admin.QueueIn{Search: "a\xff"}, fault: fault.FieldInvalid},
			{in: admin.QueueIn{Feature: "a\x00"}, fault: fault.FieldInvalid},
			{in: admin.QueueIn{Search: strings.Repeat("a", 201)}, fault: fault.FieldInvalid},
			{in: admin.QueueIn{Features: true}, want: "bob_b:beta bobbb:beta "},
			{in: admin.QueueIn{Told: new(true)}, want: "ann: "},
			{in: admin.QueueIn{Told: new(false), Search: "bob"}, want: "bob_b:beta bobbb:beta "},
			{in: admin.QueueIn{Places: true, Features: true}},
		} {
			got, total, err := o.queue("amy", c.in)
			if got != c.want || total != len(strings.Fields(c.want)) || code(t, err) != c.fault {
				t.Errorf("%+v: got %q of %d, %v; want %q", c.in, got, total, err, c.want)
			}
		}
	})
}

// Why somebody was let in or turned away stands beside that they were.
func TestDecisionsKeepTheirReason(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		who := o.callers["amy"]
		who.Reason = "not one of ours"
		if errs, err := o.Admin.Decide(t.Context(), who, false, o.waits("ann", "board")); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		o.Write(func(ctx context.Context, tx *db.Tx) error {
			n, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM audit WHERE action = 'user.rejected' AND detail LIKE '%"reason":"not one of ours"%'`)
			if n != 1 {
				t.Errorf("%d entries with the reason, want 1", n)
			}
			return err
		})
		for _, reason := range []string{"a\nb", strings.Repeat("x", 501)} {
			who.Reason = reason
			if _, err := o.Admin.Decide(t.Context(), who, false, o.waits("w"+strings.Repeat("x", len(reason)%7), "board")); code(t, err) != fault.FieldInvalid {
				t.Errorf("%q: got %v", reason, err)
			}
		}
	})
}

func TestWhoDecidesNowhereIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		w := o.waits("ann", "board")
		if _, err := o.Admin.Decide(t.Context(), o.callers["uma"], true, w); code(t, err) != fault.Forbidden {
			t.Errorf("decide: got %v", err)
		}
		if _, err := o.Admin.Notify(t.Context(), o.callers["uma"], w); code(t, err) != fault.Forbidden {
			t.Errorf("notify: got %v", err)
		}
	})
}

func TestDecideSaysOfEachWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		ann, bob, eve := o.waits("ann", "board"), o.lists("board", "beta", "bob")[0], o.lists("board", "beta", "eve")[0]
		far := o.lists("depot", "beta", "dan")[0]
		all := []admin.Waiter{ann, far, bob, {ClientID: ann.ClientID, UserID: o.people["uma"].ID}, {Entry: "none"}, bob}
		errs, err := o.Admin.Decide(t.Context(), o.callers["max"], true, all...)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []fault.Code{"", fault.UserUnknown, "", fault.EnrolmentState, fault.UserUnknown, fault.EnrolmentState} {
			if got := code(t, errs[i]); got != want {
				t.Errorf("%d: got %q, want %q", i, got, want)
			}
		}
		if errs, err := o.Admin.Decide(t.Context(), o.callers["max"], false, eve); err != nil || errs[0] != nil {
			t.Errorf("turn away: %v %v", errs, err)
		}
		o.Work()
		for name, want := range map[string]bool{"ann": true, "bob": true, "eve": false} {
			if _, mailed := o.Mail(name + "@example.com"); mailed != want {
				t.Errorf("%s was mailed: %v", name, mailed)
			}
		}
		if got, total, err := o.queue("root", admin.QueueIn{}); got != "dan:beta " || total != 1 || err != nil {
			t.Errorf("left: %q of %d, %v", got, total, err)
		}
		if _, err := o.Admin.Decide(t.Context(), o.callers["root"], true, make([]admin.Waiter, admin.MaxDecisions+1)...); code(t, err) != fault.FieldInvalid {
			t.Errorf("too many at once: %v", err)
		}
	})
}

func TestDecideNextTakesWhoWaitsLongest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.lists("board", "beta", "first", "second", "third", "fourth")
		o.lists("board", "other", "first")
		let, errs, err := o.Admin.DecideNext(t.Context(), o.callers["amy"], admin.QueueIn{Feature: "beta"}, 3, true)
		if err != nil || len(let) != 3 || let[0].User.DisplayName != "first" || let[2].User.DisplayName != "third" {
			t.Errorf("got %v %v %v", let, errs, err)
		}
		if got, _, _ := o.queue("amy", admin.QueueIn{}); got != "fourth:beta first:other " {
			t.Errorf("left: %q", got)
		}
	})
}

func TestOfManyDecisionsOnAFeatureOneCounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		w := o.lists("board", "beta", "ann")[0]
		got := count(t, together(callers, func(i int) error {
			errs, err := o.Admin.Decide(t.Context(), o.callers[[]string{"amy", "max"}[i%2]], i%3 > 0, w)
			if err != nil {
				return err
			}
			return errs[0]
		}))
		if got[""] != 1 || got[fault.EnrolmentState] != callers-1 {
			t.Errorf("got %v, want one decision", got)
		}
	})
}

func TestWhoWaitsIsToldOnceADay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		ann, bob := o.waits("ann", "board"), o.lists("board", "beta", "bob")[0]
		far := o.lists("depot", "beta", "dan")[0]
		notify := func(want int) {
			t.Helper()
			told, sum := make([]int, 4), 0
			for i, err := range together(len(told), func(i int) (err error) {
				told[i], err = o.Admin.Notify(t.Context(), o.callers["max"], ann, bob, far, admin.Waiter{Entry: "none"})
				return err
			}) {
				if sum += told[i]; err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
			o.Work()
			if mails := len(o.Sink.Messages()); sum != want || mails != want {
				t.Errorf("told %d times by %d mails, want %d", sum, mails, want)
			}
		}
		notify(2)
		o.Advance(admin.NotifyEvery - time.Minute)
		sum, err := o.Admin.Notify(t.Context(), o.callers["max"], ann, bob)
		if err != nil || sum != 0 {
			t.Errorf("within a day: told %d, %v", sum, err)
		}
		o.Advance(time.Hour)
		if errs, err := o.Admin.Decide(t.Context(), o.callers["max"], true, ann); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		if sum, err := o.Admin.Notify(t.Context(), o.callers["max"], ann, bob); err != nil || sum != 1 {
			t.Errorf("a day later, of whom one waits: told %d, %v", sum, err)
		}
		text, _ := o.Mail("bob@example.com")
		if want := "You are on the list for beta at board."; !strings.Contains(text, want) {
			t.Errorf("mail: %s", text)
		}
	})
}

// The waiting list of the whole installation is found by its index, not by looking
// at everybody who ever came in.
func TestQueueCountsInTwoStatementsAndOneForThePeople(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		for i := range 20 {
			o.waits(fmt.Sprint("w", i), "board")
		}
		before := o.DB.Stats().Statements
		if _, total, err := o.queue("root", admin.QueueIn{}); err != nil || total != 20 {
			t.Fatalf("%d, %v", total, err)
		}
		if n := o.DB.Stats().Statements - before; n != 4 {
			t.Errorf("%d statements, want 4: the caller's rights, the count, the page, the people", n)
		}
	})
}
