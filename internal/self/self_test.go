package self_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/signin"

	"github.com/pquerna/otp/totp"
)

const plain = "correct horse battery staple"

var visitor = signin.Visitor{IP: "192.0.2.1", UserAgent: "test", Base: rig.Base}

// bearer is the holder of an access token of a sign-in that happened now.
func bearer(r *rig.Rig, u identity.UserID) self.Caller {
	return self.Caller{UserID: u, AuthenticatedAt: r.Now()}
}

// tries are limits that no test reaches by itself.
func tries(p self.Proof) self.Proof {
	p.PasswordTries = limit.Rule{Name: "test.password", N: 5, Per: time.Hour}
	p.CodeTries = limit.Rule{Name: "test.code", N: 5, Per: time.Hour}
	return p
}

// mailed takes the secret of the newest mail's link.
func mailed(t *testing.T, r *rig.Rig, to string) string {
	t.Helper()
	text, _ := r.Mail(to)
	_, rest, ok := strings.Cut(text, "token=")
	if !ok {
		t.Fatalf("no link was mailed to %s: %q", to, text)
	}
	return rest[:64]
}

func reset(t *testing.T, r *rig.Rig, app client.Client, email string) {
	t.Helper()
	if err := r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: app.ID, Email: email, Visitor: visitor}); err != nil {
		t.Fatal(err)
	}
	if err := r.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: mailed(t, r, email), Password: "a brand new one", Visitor: visitor}); err != nil {
		t.Fatal(err)
	}
}

func code(t *testing.T, r *rig.Rig, secret string) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, r.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whoever signed up with somebody else's address still holds an access token
// when the owner's magic link drops the password: it must not set a new one.
func TestTokenFromBeforeTheOwnerCameProvesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		out, err := r.SignIn.SignUp(t.Context(), signin.SignUpIn{
			ClientID: app.ID, Email: "victim@example.com", Password: plain, DisplayName: "Mallory", Visitor: visitor,
		})
		if err != nil {
			t.Fatal(err)
		}
		mallory := bearer(r, out.SignedIn.User.ID)
		r.Advance(time.Minute)
		r.Work()
		if err := r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: app.ID, Email: "victim@example.com", Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: mailed(t, r, "victim@example.com"), Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if err := r.Self.ChangePassword(t.Context(), mallory, tries(self.Proof{}), "mallory is back"); !fault.Is(err, fault.ProofRequired) {
			t.Errorf("a password by the old token: %v", err)
		}
		if _, err := r.Self.BeginTOTP(t.Context(), mallory, tries(self.Proof{})); !fault.Is(err, fault.ProofRequired) {
			t.Errorf("a second factor by the old token: %v", err)
		}
	})
}

// A second factor that a thief began to set up ends with the owner's reset.
func TestResetEndsAFactorThatIsBeingSetUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		u := r.User("jane@example.com", "Jane", plain, app)
		thief := bearer(r, u.ID)
		setup, err := r.Self.BeginTOTP(t.Context(), thief, tries(self.Proof{}))
		if err != nil {
			t.Fatal(err)
		}
		r.Advance(time.Minute)
		reset(t, r, app, "jane@example.com")
		_, err = r.Self.EnableTOTP(t.Context(), thief, tries(self.Proof{Code: code(t, r, setup.Secret)}))
		if !fault.Is(err, fault.TOTPNotStarted) {
			t.Errorf("enable after the reset: %v", err)
		}
	})
}

// The right code clears the count of wrong ones, and what judged no code counts
// for nothing.
func TestConfirmedFactorClearsTheTries(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		who := bearer(r, r.User("jane@example.com", "Jane", plain, r.Client("Demo", nil)).ID)
		for range 10 {
			if _, err := r.Self.EnableTOTP(t.Context(), who, tries(self.Proof{Code: "000000"})); !fault.Is(err, fault.TOTPNotStarted) {
				t.Fatalf("not started: %v", err)
			}
		}
		setup, err := r.Self.BeginTOTP(t.Context(), who, tries(self.Proof{}))
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if _, err := r.Self.EnableTOTP(t.Context(), who, tries(self.Proof{Code: "000000"})); !fault.Is(err, fault.CodeInvalid) {
				t.Fatalf("wrong code: %v", err)
			}
		}
		if _, err := r.Self.EnableTOTP(t.Context(), who, tries(self.Proof{Code: code(t, r, setup.Secret)})); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := r.Self.DisableTOTP(t.Context(), who, tries(self.Proof{Code: "000000"})); !fault.Is(err, fault.CodeInvalid) {
				t.Fatalf("wrong code %d after the right one: %v", i+1, err)
			}
		}
		if err := r.Self.DisableTOTP(t.Context(), who, tries(self.Proof{Code: "000000"})); !fault.Is(err, fault.CodeAttempts) {
			t.Errorf("the sixth: %v", err)
		}
	})
}

func TestStaleSignInProvesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		u := r.User("jane@example.com", "Jane", plain, r.Client("Demo", nil))
		who := bearer(r, u.ID)
		r.Advance(self.Fresh)
		for name, c := range map[string]self.Caller{
			"five minutes old": who, "of a refresh": {UserID: u.ID}, "from the future": {UserID: u.ID, AuthenticatedAt: r.Now().Add(time.Hour)},
		} {
			if _, err := r.Self.BeginTOTP(t.Context(), c, tries(self.Proof{})); !fault.Is(err, fault.ProofRequired) {
				t.Errorf("a sign-in %s: %v", name, err)
			}
		}
		if _, err := r.Self.BeginTOTP(t.Context(), who, tries(self.Proof{Password: plain})); err != nil {
			t.Errorf("by password: %v", err)
		}
	})
}
