package factor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor"
	"sallyport/internal/identity"
	"sallyport/internal/secret"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// stage is a database with two users.
type stage struct {
	*testing.T
	d        *db.DB
	key      *secret.Key
	ada, bob identity.UserID
}

func each(t *testing.T, run func(s stage)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		key, err := secret.NewKey(secret.Bytes(32))
		if err != nil {
			t.Fatal(err)
		}
		s := stage{T: t, d: d, key: key}
		for _, u := range []*identity.UserID{&s.ada, &s.bob} {
			*u = identity.NewUserID()
			s.write(func(ctx context.Context, tx *db.Tx) error {
				return identity.Create(ctx, tx, identity.User{ID: *u, Email: string(*u) + "@example.com", Status: identity.Active, CreatedAt: now, UpdatedAt: now})
			})
		}
		run(s)
	})
}

func (s stage) write(fn func(context.Context, *db.Tx) error) {
	s.Helper()
	if err := s.d.Write(context.Background(), fn); err != nil {
		s.Fatal(err)
	}
}

func (s stage) code(u identity.UserID, slot string, at time.Time) (code string) {
	s.Helper()
	s.write(func(ctx context.Context, tx *db.Tx) (err error) {
		code, err = factor.Code(ctx, tx, s.key, u, slot, at)
		return err
	})
	return code
}

// judge is the outcome of a try, whose count is committed.
func (s stage) judge(u identity.UserID, slot, code string, at time.Time) error {
	s.Helper()
	var got error
	s.write(func(ctx context.Context, tx *db.Tx) error {
		got = factor.Judge(ctx, tx, s.key, u, slot, code, at)
		if errors.Is(got, factor.ErrCode) || errors.Is(got, factor.ErrGone) || errors.Is(got, factor.ErrTries) {
			return nil
		}
		return got
	})
	return got
}

// wrong is a code that another is not.
func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestMailedCodeIsGoodOnceForItsSlot(t *testing.T) {
	each(t, func(s stage) {
		code := s.code(s.ada, "one", now)
		for _, c := range []struct {
			name string
			u    identity.UserID
			slot string
			at   time.Time
			want error
		}{
			{"another slot", s.ada, "two", now, factor.ErrGone},
			{"another user", s.bob, "one", now, factor.ErrGone},
			{"too late", s.ada, "one", now.Add(factor.CodeLife), factor.ErrGone},
			{"right", s.ada, "one", now.Add(factor.CodeLife - time.Second), nil},
			{"again", s.ada, "one", now, factor.ErrGone},
		} {
			if got := s.judge(c.u, c.slot, code, c.at); !errors.Is(got, c.want) {
				s.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
		}
	})
}

func TestNewestMailedCodeIsTheOneThatCounts(t *testing.T) {
	each(t, func(s stage) {
		old := s.code(s.ada, "one", now)
		code := s.code(s.ada, "one", now)
		for code == old {
			code = s.code(s.ada, "one", now)
		}
		if got := s.judge(s.ada, "one", old, now); !errors.Is(got, factor.ErrCode) {
			s.Errorf("the older code: got %v", got)
		}
		if got := s.judge(s.ada, "one", code, now); got != nil {
			s.Errorf("the newer code: got %v", got)
		}
	})
}

// A million codes and five tries: guessing finds one in 200,000.
func TestSixthTryOfAMailedCodeIsNotJudged(t *testing.T) {
	each(t, func(s stage) {
		code := s.code(s.ada, "one", now)
		for i := range 5 {
			if got := s.judge(s.ada, "one", wrong(code), now); !errors.Is(got, factor.ErrCode) {
				s.Fatalf("try %d: got %v", i+1, got)
			}
		}
		if got := s.judge(s.ada, "one", code, now); !errors.Is(got, factor.ErrTries) {
			s.Errorf("the right code, sixth: got %v", got)
		}
		if got := s.judge(s.ada, "one", code, now); !errors.Is(got, factor.ErrGone) {
			s.Errorf("the right code, seventh: got %v", got)
		}
	})
}

func TestMailedCodeHasOneWinner(t *testing.T) {
	each(t, func(s stage) {
		code := s.code(s.ada, "one", now)
		var won atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if s.judge(s.ada, "one", code, now) == nil {
					won.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			s.Errorf("%d callers won", won.Load())
		}
	})
}

func TestMailedCodesAreChosenAndBarred(t *testing.T) {
	each(t, func(s stage) {
		want := func(step string, want factor.Mailed) {
			s.Helper()
			var got factor.Mailed
			s.write(func(ctx context.Context, tx *db.Tx) (err error) {
				got, err = factor.MailedOf(ctx, tx, s.ada)
				return err
			})
			if got != want {
				s.Errorf("%s: got %+v, want %+v", step, got, want)
			}
		}
		do := func(fn func(context.Context, *db.Tx) error) { s.Helper(); s.write(fn) }
		want("at first", factor.Mailed{})
		do(func(ctx context.Context, tx *db.Tx) error { return factor.Bar(ctx, tx, s.ada, now) })
		want("barred", factor.Mailed{Barred: true})
		do(func(ctx context.Context, tx *db.Tx) error { return factor.Choose(ctx, tx, s.ada, now) })
		want("chosen while barred", factor.Mailed{Chosen: true, Barred: true})
		do(func(ctx context.Context, tx *db.Tx) error { return factor.Unbar(ctx, tx, s.ada) })
		want("unbarred", factor.Mailed{Chosen: true})
		do(func(ctx context.Context, tx *db.Tx) error { return factor.Forget(ctx, tx, s.ada) })
		want("forgotten", factor.Mailed{})
	})
}

// recognize is the cookie that a browser has next, "" for one that is not trusted.
func (s stage) recognize(u identity.UserID, raw string, at time.Time) (next string, life time.Duration) {
	s.Helper()
	s.write(func(ctx context.Context, tx *db.Tx) (err error) {
		next, life, _, err = factor.Recognize(ctx, tx, u, raw, at)
		return err
	})
	return next, life
}

func (s stage) trust(u identity.UserID, at time.Time) (raw string) {
	s.Helper()
	s.write(func(ctx context.Context, tx *db.Tx) (err error) { raw, err = factor.Trust(ctx, tx, u, at); return err })
	return raw
}

func TestTrustedBrowserGetsANewCookieEachTimeAndNoMoreTime(t *testing.T) {
	each(t, func(s stage) {
		raw := s.trust(s.ada, now)
		if next, _ := s.recognize(s.bob, raw, now); next != "" {
			s.Error("another user's sign-in was trusted")
		}
		next, life := s.recognize(s.ada, raw, now.Add(24*time.Hour))
		if next == "" || next == raw || life != factor.TrustLife-24*time.Hour {
			s.Fatalf("got %q for %v", next, life)
		}
		if again, _ := s.recognize(s.ada, next, now.Add(factor.TrustLife)); again != "" {
			s.Error("the use had made the trust last longer")
		}
	})
}

// A thief who uses a copy first has the newer cookie; the owner's next sign-in ends it.
func TestCopiedTrustEndsForBoth(t *testing.T) {
	each(t, func(s stage) {
		stolen := s.trust(s.ada, now)
		thief, _ := s.recognize(s.ada, stolen, now)
		if thief == "" {
			s.Fatal("the copy was not trusted to begin with")
		}
		if owner, _ := s.recognize(s.ada, stolen, now); owner != "" {
			s.Error("a cookie was good twice")
		}
		if thief, _ = s.recognize(s.ada, thief, now); thief != "" {
			s.Error("the thief is trusted still")
		}
	})
}

func TestTrustEndsWithTheFactor(t *testing.T) {
	each(t, func(s stage) {
		one, two := s.trust(s.ada, now), s.trust(s.bob, now)
		s.write(func(ctx context.Context, tx *db.Tx) error { return factor.Forget(ctx, tx, s.ada) })
		if next, _ := s.recognize(s.ada, one, now); next != "" {
			s.Error("a browser is trusted with a factor that is gone")
		}
		if next, _ := s.recognize(s.bob, two, now); next == "" {
			s.Error("somebody else's browser is not trusted any more")
		}
	})
}

func TestSweepTakesBrowsersWhoseTrustEnded(t *testing.T) {
	each(t, func(s stage) {
		s.trust(s.ada, now)
		s.trust(s.ada, now.Add(time.Hour))
		s.write(func(ctx context.Context, tx *db.Tx) error {
			n, err := factor.Sweep(ctx, tx, now.Add(factor.TrustLife), 10)
			if n != 1 {
				s.Errorf("%d were swept away", n)
			}
			return err
		})
	})
}
