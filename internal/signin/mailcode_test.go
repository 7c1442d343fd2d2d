package signin_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor"
	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
)

// A second factor that is a mailed code is one on every surface: where nobody can ask
// for the code, it is mailed at once, and the field for the app's code takes it.
func TestMailedFactorIsAskedForOnEverySurface(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", nil)
		ada := r.User("ada@example.com", "Ada", "Correct-horse-7", app)
		r.Write(func(ctx context.Context, tx *db.Tx) error { return factor.Choose(ctx, tx, ada.ID, r.Now()) })
		tries := limit.Rule{Name: "tries", N: 5, Per: 15 * time.Minute}

		out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "ada@example.com", Password: "Correct-horse-7"})
		if err != nil || out.Challenge == nil || out.Challenge.Ways != (signin.Ways{Mail: true}) {
			t.Fatalf("got %+v, %v", out, err)
		}
		text, _ := r.Mail("ada@example.com")
		code := regexp.MustCompile(`\b[0-9]{6}\b`).FindString(text)
		in := signin.ChallengeIn{Secret: out.Challenge.Secret, Code: "12345", Tries: tries}
		if _, err := r.SignIn.Challenge(t.Context(), in); !fault.Is(err, fault.CodeInvalid) {
			t.Errorf("a wrong code: %v", err)
		}
		in.Code = code
		got, err := r.SignIn.Challenge(t.Context(), in)
		if err != nil || got.SignedIn == nil || got.SignedIn.Refresh == "" {
			t.Fatalf("the code: %+v, %v", got, err)
		}
		if _, err := r.SignIn.Challenge(t.Context(), in); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("once more: %v", err)
		}
	})
}

// A surface whose people ask for the code themselves mails none before.
func TestCodeIsMailedWhenItIsAskedFor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", nil)
		ada := r.User("ada@example.com", "Ada", "Correct-horse-7", app)
		r.Write(func(ctx context.Context, tx *db.Tx) error { return factor.Choose(ctx, tx, ada.ID, r.Now()) })
		v := signin.Visitor{Manner: signin.Manner{Session: time.Hour, AsksForCodes: true}}
		out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "ada@example.com", Password: "Correct-horse-7", Visitor: v})
		if err != nil || out.Challenge == nil {
			t.Fatalf("got %+v, %v", out, err)
		}
		if _, mailed := r.Mail("ada@example.com"); mailed {
			t.Error("a code was mailed that nobody asked for")
		}
		for range 5 {
			if err := r.SignIn.SendCode(t.Context(), signin.SendCodeIn{Secret: out.Challenge.Secret}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SignIn.SendCode(t.Context(), signin.SendCodeIn{Secret: out.Challenge.Secret}); !fault.Is(err, fault.RateLimited) {
			t.Errorf("the sixth mail: %v", err)
		}
		if err := r.SignIn.SendCode(t.Context(), signin.SendCodeIn{Secret: out.Challenge.Secret, Request: "another"}); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("for another request: %v", err)
		}
	})
}

// A surface with sessions of its own life gives them and no refresh tokens.
func TestMannerOfASurfaceIsASessionAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("App", nil)
		r.User("ada@example.com", "Ada", "Correct-horse-7", app)
		v := signin.Visitor{Manner: signin.Manner{Session: 48 * time.Hour}}
		out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "ada@example.com", Password: "Correct-horse-7", Visitor: v})
		in := out.SignedIn
		if err != nil || in == nil || in.Refresh != "" || in.Session == "" || !in.Started.ExpiresAt.Equal(r.Now().Add(48*time.Hour)) {
			t.Errorf("got %+v, %v", in, err)
		}
	})
}
