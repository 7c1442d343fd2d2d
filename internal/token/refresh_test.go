package token

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
)

func TestTokenIs64HexAndOnlyItsHashIsStored(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		for _, grace := range []time.Duration{0, time.Minute} {
			if len(raw) != 64 || strings.ContainsFunc(raw, notLowerHex) {
				t.Errorf("token %q, want 64 lower-case hex digits", raw)
			}
			f, err := w.find(raw, start, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				r, err := byID(ctx, tx, f.Family.ID, start)
				if !bytes.Equal(r.hash, secret.Hash(raw)) {
					t.Errorf("stored %x, want the SHA-256 of the token", r.hash)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			raw = w.mustRefresh(raw, start, grace)
		}
	})
}

func TestRotationKeepsTheFamilyAndMovesItsExpiry(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{SessionID: "s", DeviceID: "phone", AMR: []string{"pwd", "otp"}}, start)
		first, err := w.find(raw, start, 0)
		if err != nil {
			t.Fatal(err)
		}
		now := start.Add(lifetime - time.Second)
		next := w.mustRefresh(raw, now, 0)
		if next == raw {
			t.Fatal("the token was not replaced")
		}
		f, err := w.find(next, now.Add(lifetime-time.Second), 0)
		if err != nil {
			t.Fatal(err)
		}
		g := f.Family
		if f.State != Current || g.ID != first.Family.ID || g.UserID != "u" || g.ClientID != "c" || g.SessionID != "s" || g.DeviceID != "phone" ||
			!slices.Equal(g.AMR, []string{"pwd", "otp"}) || !g.CreatedAt.Equal(start) || !g.UsedAt.Equal(now) || !g.ExpiresAt.Equal(now.Add(lifetime)) {
			t.Errorf("after a rotation at %v: %s %+v, began as %+v", now, f.State, g, first.Family)
		}
		if _, err := w.find(next, now.Add(lifetime), 0); !errors.Is(err, ErrUnknown) {
			t.Errorf("at its expiry: %v, want %v", err, ErrUnknown)
		}
		if _, err := w.rotate(f, now.Add(lifetime)); !errors.Is(err, ErrUnknown) {
			t.Errorf("rotated at its expiry: %v, want %v", err, ErrUnknown)
		}
	})
}

func TestRotatedTokenIsReusedForEver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		tokens := []string{w.issue(Family{}, start)}
		for i := range 5 {
			tokens = append(tokens, w.mustRefresh(tokens[i], start.Add(time.Duration(i)*24*time.Hour), 0))
		}
		now := start.Add(5 * 24 * time.Hour)
		for i, raw := range tokens[:5] {
			f, err := w.find(raw, now, time.Hour)
			if !errors.Is(err, ErrReused) || f.Family.UserID != "u" || f.Family.ClientID != "c" {
				t.Errorf("token %d: %v of %+v, want %v and its family", i, err, f.Family, ErrReused)
			}
		}
		if f, err := w.find(tokens[5], now, 0); err != nil || f.State != Current {
			t.Errorf("the last token: %s, %v; want current", f.State, err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			f, err := Find(ctx, tx, w.k, tokens[5], now, 0)
			if err == nil {
				_, err = End(ctx, tx, f.Family.ID)
			}
			return err
		})
		for i, raw := range tokens {
			if _, err := w.find(raw, now, time.Hour); !errors.Is(err, ErrUnknown) {
				t.Errorf("token %d of an ended family: %v, want %v", i, err, ErrUnknown)
			}
		}
	})
}

func TestMadeUpTokenIsUnknownAndNotReused(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		other, err := secret.NewKey(bytes.Repeat([]byte{8}, secret.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		p, ok := parse(w.k, raw)
		if !ok {
			t.Fatal("our own token does not parse")
		}
		for name, bad := range map[string]string{
			"empty":            "",
			"short":            raw[:62],
			"long":             raw + "00",
			"upper case":       strings.ToUpper(raw),
			"not hex":          "g" + raw[1:],
			"spaces":           " " + raw[1:],
			"not ASCII":        raw[:62] + "é",
			"random":           secret.Hex(32),
			"id of the family": raw[:16] + secret.Hex(24),
			"other tag":        raw[:48] + secret.Hex(8),
			"other secret":     raw[:16] + secret.Hex(16) + raw[48:],
			"other key":        mint(other, p.family(), secret.Bytes(secretSize)).String(),
			"no such family":   mint(w.k, p.family()+1, secret.Bytes(secretSize)).String(),
			"negative family":  mint(w.k, -1, secret.Bytes(secretSize)).String(),
		} {
			if f, err := w.find(bad, start, time.Minute); !errors.Is(err, ErrUnknown) || f.Family.ID != 0 {
				t.Errorf("%s: %v of family %d, want %v of none", name, err, f.Family.ID, ErrUnknown)
			}
		}
		for i := range len(raw) {
			bad := []byte(raw)
			bad[i] = "0123456789abcdef0"[strings.IndexByte("0123456789abcdef", bad[i])+1]
			if _, err := w.find(string(bad), start, 0); !errors.Is(err, ErrUnknown) {
				t.Fatalf("digit %d changed: %v, want %v", i, err, ErrUnknown)
			}
		}
	})
}

func TestGraceAnswersWithTheCurrentToken(t *testing.T) {
	const grace = 10 * time.Second
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		t0 := w.issue(Family{}, start)
		t1 := w.mustRefresh(t0, start, grace)
		t2 := w.mustRefresh(t1, start.Add(4*time.Second), grace)
		t3 := w.mustRefresh(t2, start.Add(8*time.Second), grace)
		for _, c := range []struct {
			raw   string
			after time.Duration
			want  string // the answer; empty for ErrReused
		}{
			{t0, 8 * time.Second, t3}, {t1, 8 * time.Second, t3}, {t2, 8 * time.Second, t3},
			{t0, grace - 1000, t3}, {t0, grace, ""},
			{t1, 14*time.Second - 1000, t3}, {t1, 14 * time.Second, ""},
			{t2, 18*time.Second - 1000, t3}, {t2, 18 * time.Second, ""},
			{t0, 8*time.Second - time.Hour, t3}, // a node whose clock is behind
		} {
			now := start.Add(c.after)
			f, err := w.find(c.raw, now, grace)
			if c.want == "" {
				if !errors.Is(err, ErrReused) {
					t.Errorf("%.8s after %v: %v, want %v", c.raw, c.after, err, ErrReused)
				}
				continue
			}
			if err != nil || f.State != Repeat || f.Successor != c.want {
				t.Errorf("%.8s after %v: %s %.8s, %v; want %.8s", c.raw, c.after, f.State, f.Successor, err, c.want)
			}
			if next, err := w.rotate(f, now); err != nil || next != c.want {
				t.Errorf("Rotate of a repeat: %.8s, %v; want %.8s", next, err, c.want)
			}
		}
		if _, err := w.find(t2, start.Add(8*time.Second), 0); !errors.Is(err, ErrReused) {
			t.Errorf("after the client's grace was taken away: %v, want %v", err, ErrReused)
		}
		// A rotation without a grace cuts the chain: nothing leads to its token.
		t4 := w.mustRefresh(t3, start.Add(9*time.Second), 0)
		if _, err := w.find(t3, start.Add(9*time.Second), grace); !errors.Is(err, ErrReused) {
			t.Errorf("rotated without grace: %v, want %v", err, ErrReused)
		}
		if f, err := w.find(t4, start.Add(9*time.Second), grace); err != nil || f.State != Current {
			t.Errorf("the current token: %s, %v", f.State, err)
		}
	})
}

// Two nodes rotate, the second by a clock that is 20 s behind.
func TestGraceIsOfEachRotationThoughClocksDiffer(t *testing.T) {
	const grace = 10 * time.Second
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		t0 := w.issue(Family{}, start)
		t1 := w.mustRefresh(t0, start.Add(20*time.Second), grace)
		t2 := w.mustRefresh(t1, start, grace)
		now := start.Add(15 * time.Second)
		if f, err := w.find(t0, now, grace); err != nil || f.Successor != t2 {
			t.Errorf("rotated by the clock that is ahead: %.8s, %v; want %.8s", f.Successor, err, t2)
		}
		if _, err := w.find(t1, now, grace); !errors.Is(err, ErrReused) {
			t.Errorf("rotated 15 s ago: %v, want %v", err, ErrReused)
		}
	})
}

func TestFamilyRestsRatherThanForget(t *testing.T) {
	const grace = time.Minute
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		tokens := []string{w.issue(Family{}, start)}
		for range maxRecent {
			tokens = append(tokens, w.mustRefresh(tokens[len(tokens)-1], start, grace))
		}
		last := tokens[maxRecent]
		if got := w.mustRefresh(last, start, grace); got != last {
			t.Errorf("rotation %d inside one grace gave another token", maxRecent+1)
		}
		for i, raw := range tokens {
			if got, err := w.refresh(raw, start.Add(grace-time.Second), grace); err != nil || got != last {
				t.Errorf("token %d: %.8s, %v; want %.8s", i, got, err, last)
			}
		}
		if got := w.mustRefresh(last, start.Add(grace), grace); got == last {
			t.Error("the family still rests after the grace")
		}
	})
}

func TestIssueFindsAFreeID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ids := map[int64]bool{}
		for range 3 {
			cryptotest.SetGlobalRandom(t, 1) // the first id of each is the same
			f, err := w.find(w.issue(Family{}, start), start, 0)
			if err != nil {
				t.Fatal(err)
			}
			ids[f.Family.ID] = true
		}
		if len(ids) != 3 {
			t.Errorf("3 families have %d ids", len(ids))
		}
	})
}

func TestIssueNeedsItsUserAndClient(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for _, f := range []Family{{UserID: "nobody", ClientID: "c"}, {UserID: "u", ClientID: "none"}} {
			f.ExpiresAt = start.Add(lifetime)
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := Issue(ctx, tx, w.k, f, start)
				return err
			})
			if !errors.Is(err, db.ErrReference) {
				t.Errorf("user %s, client %s: %v, want %v", f.UserID, f.ClientID, err, db.ErrReference)
			}
		}
	})
}

func TestIDsAreOrderedPositiveAndLastUntil2109(t *testing.T) {
	last := int64(-1)
	for _, at := range []time.Time{time.UnixMilli(0), start, start.Add(time.Millisecond), time.Date(2109, 1, 1, 0, 0, 0, 0, time.UTC)} {
		id := newID(at)
		if id <= last || id>>21 != at.UnixMilli() {
			t.Errorf("id of %v is %d after %d", at, id, last)
		}
		last = id
	}
}

func FuzzParse(f *testing.F) {
	k := processKey(f)
	good := mint(k, start.UnixMilli()<<21, bytes.Repeat([]byte{9}, secretSize)) // the same in every fuzzing process
	f.Add(good.String())
	f.Add(strings.ToUpper(good.String()))
	f.Add(strings.Repeat("0", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, raw string) {
		p, ok := parse(k, raw)
		if ok && p.String() != raw {
			t.Errorf("%q parses as %q", raw, p)
		}
		if ok != (raw == good.String()) {
			t.Errorf("parse(%q) = %v", raw, ok)
		}
	})
}

// FAPI 2.0 §5.3.2.1: a token that is bound to a key lives on as it is.
func TestProlongKeepsTheToken(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		raw := w.issue(Family{}, start)
		now := start.Add(lifetime - time.Second)
		prolong := func(raw string, now time.Time) error {
			f, err := w.find(raw, now, 0)
			if err != nil {
				return err
			}
			return d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Prolong(ctx, tx, f, now.Add(lifetime), now) })
		}
		if err := prolong(raw, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(lifetime - time.Second)
		f, err := w.find(raw, now, 0)
		if err != nil || f.State != Current || !f.Family.ExpiresAt.Equal(now.Add(time.Second)) {
			t.Errorf("later: %+v, %v", f.Family, err)
		}
		w.mustRefresh(raw, now, 0) // the client is no longer held to the profile
		err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error { return Prolong(ctx, tx, f, now.Add(lifetime), now) })
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("a token that was rotated meanwhile: %v, want ErrUnknown", err)
		}
		if err := prolong(raw, now); !errors.Is(err, ErrReused) {
			t.Errorf("a token that was rotated: %v, want ErrReused", err)
		}
	})
}

func TestFamilyEndsWithItsGrant(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO grants (id, client_id, user_id, session_id, issuer, subject, scope, resources, claims, amr, acr, binding, actor,
				authenticated_at, code, created_at, expires_at) VALUES ('g', 'c', 'u', 's', '', '', '[]', '[]', '', '[]', '', '{}', '', 0, '{}', 0, 0)`)
			return err
		})
		raw := w.issue(Family{GrantID: "g", SessionID: "s"}, start)
		f, err := w.find(raw, start, 0)
		if err != nil || f.Family.GrantID != "g" {
			t.Fatalf("%+v, %v", f.Family, err)
		}
		// It may outlive its session: that is for the grant to say.
		write(t, d, func(ctx context.Context, tx *db.Tx) error { _, err := EndBySession(ctx, tx, "s"); return err })
		if _, err := w.find(raw, start, 0); err != nil {
			t.Errorf("after its session: %v", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM grants WHERE id = 'g'`)
			return err
		})
		if _, err := w.find(raw, start, 0); !errors.Is(err, ErrUnknown) {
			t.Errorf("after its grant: %v, want ErrUnknown", err)
		}
	})
}
