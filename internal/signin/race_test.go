package signin_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/totp"

	"github.com/pquerna/otp"
	otptotp "github.com/pquerna/otp/totp"
)

const (
	plain  = "correct horse battery staple"
	base32 = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
)

// callers is how many try at once what may succeed once.
const callers = 100

var visitor = signin.Visitor{IP: "192.0.2.1", UserAgent: "test", Base: rig.Base}

// race lets all callers go at once and returns how many succeeded; every other
// must have failed with one of the given faults.
func race(t *testing.T, call func(i int) error, losers ...fault.Code) int {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			err := call(i)
			if err == nil {
				won.Add(1)
				return
			}
			for _, c := range losers {
				if fault.Is(err, c) {
					return
				}
			}
			t.Errorf("caller %d: %v", i, err)
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

func one(t *testing.T, won int) {
	t.Helper()
	if won != 1 {
		t.Errorf("%d callers won, want exactly 1", won)
	}
}

// token takes the secret of the newest mail's link.
func token(t *testing.T, r *rig.Rig, to string) string {
	t.Helper()
	text, ok := r.Mail(to)
	if !ok {
		t.Fatalf("no mail to %s", to)
	}
	_, rest, ok := strings.Cut(text, "token=")
	if !ok || len(rest) < 64 {
		t.Fatalf("no token in %q", text)
	}
	return rest[:64]
}

func signIn(t *testing.T, r *rig.Rig, c client.Client, email string) signin.Outcome {
	t.Helper()
	out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: c.ID, Email: email, Password: plain, Visitor: visitor})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func code(t *testing.T, r *rig.Rig) string {
	t.Helper()
	c, err := otptotp.GenerateCodeCustom(base32, r.Now(), otptotp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMagicLinkSignsInOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		r.User("jane@example.com", "Jane", "", app)
		if err := r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: app.ID, Email: "jane@example.com", Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		raw := token(t, r, "jane@example.com")
		one(t, race(t, func(int) error {
			_, err := r.SignIn.MagicLink(context.Background(), signin.SpendLinkIn{Token: raw, Visitor: visitor})
			return err
		}, fault.MagicLinkInvalid))
	})
}

func TestResetLinkSetsOnePassword(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		r.User("jane@example.com", "Jane", plain, app)
		if err := r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: app.ID, Email: "jane@example.com", Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		raw := token(t, r, "jane@example.com")
		one(t, race(t, func(int) error {
			return r.SignIn.ResetPassword(context.Background(), signin.ResetIn{Token: raw, Password: "a brand new one", Visitor: visitor})
		}, fault.ResetInvalid))
	})
}

func TestInviteIsAcceptedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Members", func(c *client.Client) { c.Policy.Registration = client.Invite })
		var code string
		r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			_, code, err = invite.Create(ctx, tx, r.Key, invite.Invite{ClientID: app.ID, Roles: []string{"user"}, ExpiresAt: r.Now().Add(time.Hour)}, r.Now())
			return err
		})
		one(t, race(t, func(i int) error {
			_, err := r.SignIn.AcceptInvite(context.Background(), signin.InviteIn{
				ClientID: app.ID, Code: code, Email: "new" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "@example.com", DisplayName: "New", Visitor: visitor,
			})
			return err
		}, fault.InviteInvalid))
	})
}

func TestAddressSignsUpOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		one(t, race(t, func(int) error {
			_, err := r.SignIn.SignUp(context.Background(), signin.SignUpIn{
				ClientID: app.ID, Email: "new@example.com", Password: plain, DisplayName: "New", Visitor: visitor,
			})
			return err
		}, fault.AccountExists))
	})
}

func TestCodeAnswersOneOfManyChallenges(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		tom := r.User("tom@example.com", "Tom", plain, app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, r.Key, tom.ID, base32, r.Now())
		})
		first, second := signIn(t, r, app, "tom@example.com").Challenge, signIn(t, r, app, "tom@example.com").Challenge
		now := code(t, r)
		tries := limit.Rule{Name: "test", N: callers, Per: time.Minute}
		one(t, race(t, func(i int) error {
			ch := first
			if i%2 == 1 {
				ch = second
			}
			_, err := r.SignIn.Challenge(context.Background(), signin.ChallengeIn{Secret: ch.Secret, Code: now, Tries: tries, Visitor: visitor})
			return err
		}, fault.ChallengeInvalid, fault.CodeInvalid))
	})
}

func TestWrongCodesInParallelGetNoMoreTries(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		tom := r.User("tom@example.com", "Tom", plain, app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, r.Key, tom.ID, base32, r.Now())
		})
		ch := signIn(t, r, app, "tom@example.com").Challenge
		tries := limit.Rule{Name: "test", N: 5, Per: 15 * time.Minute}
		var judged atomic.Int64
		race(t, func(int) error {
			_, err := r.SignIn.Challenge(context.Background(), signin.ChallengeIn{Secret: ch.Secret, Code: "000000", Tries: tries, Visitor: visitor})
			if fault.Is(err, fault.CodeInvalid) {
				judged.Add(1)
			}
			return err
		}, fault.CodeInvalid, fault.CodeAttempts, fault.ChallengeInvalid)
		if n := judged.Load(); n > 5 {
			t.Errorf("%d codes were judged, want at most 5", n)
		}
	})
}

func TestRefreshRotatesOnceAndAReplayEndsAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		r.User("jane@example.com", "Jane", plain, app)
		raw := signIn(t, r, app, "jane@example.com").SignedIn.Refresh
		var next atomic.Value
		won := race(t, func(int) error {
			out, err := r.SignIn.Refresh(context.Background(), signin.RefreshIn{ClientID: app.ID, Token: raw, EndAll: true, Visitor: visitor})
			if err == nil {
				next.Store(out.Refresh)
			}
			return err
		}, fault.RefreshReused, fault.RefreshInvalid)
		one(t, won)
		// The other callers presented a token that had been rotated: the
		// family has ended, and with it the winner's successor.
		_, err := r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: app.ID, Token: next.Load().(string), EndAll: true, Visitor: visitor})
		if !fault.Is(err, fault.RefreshInvalid) {
			t.Errorf("successor after a replay: %v, want it to be invalid", err)
		}
	})
}

func TestRefreshInGraceHasOneSuccessor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Tabs", func(c *client.Client) { c.Policy.RefreshToken.ReuseGrace = client.Duration(10 * time.Second) })
		r.User("jane@example.com", "Jane", plain, app)
		raw := signIn(t, r, app, "jane@example.com").SignedIn.Refresh
		var mu sync.Mutex
		answers := map[string]int{}
		won := race(t, func(int) error {
			out, err := r.SignIn.Refresh(context.Background(), signin.RefreshIn{ClientID: app.ID, Token: raw, Visitor: visitor})
			mu.Lock()
			defer mu.Unlock()
			answers[out.Refresh]++
			return err
		})
		if won != callers || len(answers) != 1 {
			t.Errorf("%d of %d callers got one of %d successors, want all one and the same", won, callers, len(answers))
		}
	})
}

// A sign-in that verified the old password while a reset went through must not
// come in after it.
func TestPasswordChangedWhileItWasVerified(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		r.User("jane@example.com", "Jane", plain, app)
		if err := r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: app.ID, Email: "jane@example.com", Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		raw := token(t, r, "jane@example.com")
		var wg sync.WaitGroup
		refreshes := make(chan string, callers)
		for range callers {
			wg.Go(func() {
				out, err := r.SignIn.Password(context.Background(), signin.PasswordIn{ClientID: app.ID, Email: "jane@example.com", Password: plain, Visitor: visitor})
				switch {
				case err == nil:
					refreshes <- out.SignedIn.Refresh
				case !fault.Is(err, fault.CredentialsInvalid) && !fault.Is(err, fault.RateLimited):
					t.Error(err)
				}
			})
		}
		if err := r.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: raw, Password: "a brand new one", Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		close(refreshes)
		for old := range refreshes {
			if _, err := r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: app.ID, Token: old, Visitor: visitor}); err == nil {
				t.Error("a sign-in with the old password lives on after the reset")
			}
		}
	})
}

// Who invited an address that nobody had has seen the code. It must not open the
// account that its owner made later.
func TestShownInviteCodeDoesNotOpenALaterAccount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Members", func(c *client.Client) { c.Policy.Registration = client.Invite })
		var code string
		r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			_, code, err = invite.Create(ctx, tx, r.Key, invite.Invite{ClientID: app.ID, Email: "victim@example.com", ExpiresAt: r.Now().Add(time.Hour)}, r.Now())
			return err
		})
		r.Advance(time.Minute)
		r.User("victim@example.com", "Victim", plain)
		_, err := r.SignIn.AcceptInvite(t.Context(), signin.InviteIn{ClientID: app.ID, Code: code, Visitor: visitor})
		if !fault.Is(err, fault.AccountExists) {
			t.Errorf("the code of an invitation from before the account: %v", err)
		}
	})
}
