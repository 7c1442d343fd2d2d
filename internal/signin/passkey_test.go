package signin_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/passkey"
	"sallyport/internal/passkey/passkeytest"
	"sallyport/internal/rig"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
)

// holder is jane, with a passkey, and an application that takes it.
type holder struct {
	*rig.Rig
	t      *testing.T
	client client.Client
	user   identity.User
	party  passkey.Party
	key    *passkeytest.Authenticator
	made   passkey.Passkey
}

func holds(t *testing.T, d *db.DB) *holder {
	t.Helper()
	r := rig.New(t, d)
	h := &holder{Rig: r, t: t, client: r.Client("Demo", func(c *client.Client) {
		c.Policy.Methods = []string{client.MethodPassword, client.MethodPasskey, client.MethodMagicLink}
	}), key: passkeytest.New(rig.Base)}
	h.user = r.User("jane@example.com", "Jane Doe", plain, h.client)
	var err error
	if h.party, err = passkey.NewParty(rig.Base, "Sallyport"); err != nil {
		t.Fatal(err)
	}
	if h.made, err = h.register(h.caller(), h.key, "Laptop"); err != nil {
		t.Fatal(err)
	}
	return h
}

// caller is jane in a browser where she signed in just now.
func (h *holder) caller() self.Caller {
	h.t.Helper()
	out := signIn(h.t, h.Rig, h.client, h.user.Email)
	cookie := ""
	switch {
	case out.SignedIn != nil:
		cookie = out.SignedIn.Session
	case out.Setup != nil:
		cookie = out.Setup.Session
	}
	who, err := h.Self.Browser(h.t.Context(), cookie, visitor.IP, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return who
}

func (h *holder) register(who self.Caller, key *passkeytest.Authenticator, name string) (passkey.Passkey, error) {
	s, err := h.Self.BeginPasskey(h.t.Context(), who, self.Proof{}, h.party)
	if err != nil {
		return passkey.Passkey{}, err
	}
	return h.Self.AddPasskey(h.t.Context(), who, self.NewPasskey{Party: h.party, Handle: s.Handle, Name: name, Response: key.Create(s.Options)})
}

func (h *holder) ask() signin.PasskeyAsked {
	h.t.Helper()
	asked, err := h.SignIn.AskPasskey(h.t.Context(), signin.AskPasskeyIn{ClientID: h.client.ID, Party: h.party, Visitor: visitor})
	if err != nil {
		h.t.Fatal(err)
	}
	return asked
}

func (h *holder) answer(asked signin.PasskeyAsked, response json.RawMessage) (signin.Outcome, error) {
	return h.SignIn.Passkey(h.t.Context(), signin.PasskeyIn{
		ClientID: h.client.ID, Party: h.party, Handle: asked.Handle, Response: response, Visitor: visitor,
	})
}

func TestPasskeySignsInWithTwoFactors(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		h.client.Policy.SecondFactor = client.FactorRequired
		h.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, h.client, h.Now()) })
		asked := h.ask()
		out, err := h.answer(asked, h.key.Get(asked.Options))
		if err != nil || out.SignedIn == nil {
			t.Fatalf("outcome %+v, %v; want signed in", out, err)
		}
		if in := out.SignedIn; in.User.ID != h.user.ID || !slices.Equal(in.AMR, []string{session.HardwareKey}) || in.Refresh == "" || in.Session == "" {
			t.Errorf("signed in %+v", in)
		}
		// And the session resumes where two factors are asked for.
		page, err := h.SignIn.Login(t.Context(), signin.ResumeIn{Cookie: out.SignedIn.Session, ClientID: h.client.ID, Visitor: visitor})
		if err != nil || page.In == nil {
			t.Errorf("resumed %+v, %v", page.In, err)
		}
	})
}

func TestSyncedPasskeyIsASoftwareKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		key := passkeytest.New(rig.Base)
		key.Flags |= passkeytest.Eligible | passkeytest.BackedUp
		if _, err := h.register(h.caller(), key, "Phone"); err != nil {
			t.Fatal(err)
		}
		asked := h.ask()
		out, err := h.answer(asked, key.Get(asked.Options))
		if err != nil || out.SignedIn == nil || !slices.Equal(out.SignedIn.AMR, []string{session.SoftwareKey}) {
			t.Errorf("outcome %+v, %v", out.SignedIn, err)
		}
	})
}

func TestPasskeyChallengeIsGoodForOneAnswer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		asked := h.ask()
		response := h.key.Get(asked.Options)
		one(t, race(t, func(int) error {
			_, err := h.answer(asked, response)
			return err
		}, fault.ChallengeInvalid))

		asked = h.ask()
		stranger := passkeytest.New(rig.Base)
		if _, err := h.answer(asked, stranger.Get(asked.Options)); !fault.Is(err, fault.CredentialsInvalid) {
			t.Errorf("a passkey that nobody has: %v", err)
		}
		if _, err := h.answer(asked, h.key.Get(asked.Options)); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("a right answer after a wrong one: %v", err)
		}

		asked = h.ask()
		h.Advance(passkey.Life)
		if _, err := h.answer(asked, h.key.Get(asked.Options)); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("an answer too late: %v", err)
		}
	})
}

func TestPasskeyChallengeIsOfOneClientAndRequest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		other := h.Client("Other", func(c *client.Client) { c.Policy.Methods = []string{client.MethodPasskey} })
		plainOnly := h.Client("Plain", func(c *client.Client) { c.Policy.Methods = []string{client.MethodPassword} })
		asked := h.ask()
		in := signin.PasskeyIn{ClientID: other.ID, Party: h.party, Handle: asked.Handle, Response: h.key.Get(asked.Options), Visitor: visitor}
		if _, err := h.SignIn.Passkey(t.Context(), in); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("at another client: %v", err)
		}
		in.ClientID, in.Request = h.client.ID, strings.Repeat("a", 64)
		if _, err := h.SignIn.Passkey(t.Context(), in); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("for another request: %v", err)
		}
		if _, err := h.SignIn.AskPasskey(t.Context(), signin.AskPasskeyIn{ClientID: plainOnly.ID, Party: h.party, Visitor: visitor}); !fault.Is(err, fault.MethodDisabled) {
			t.Errorf("where the client takes none: %v", err)
		}
	})
}

func TestPasskeyMeetsTheGates(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		h.Write(func(ctx context.Context, tx *db.Tx) error {
			return identity.SetStatus(ctx, tx, h.user.ID, identity.Suspended, h.Now())
		})
		asked := h.ask()
		if _, err := h.answer(asked, h.key.Get(asked.Options)); !fault.Is(err, fault.EnrolmentSuspended) {
			t.Errorf("suspended: %v", err)
		}
	})
}

// An attacker who signed up with somebody's address left a passkey; the owner of
// the mailbox comes.
func TestMailboxOwnerEndsAnIntrudersPasskey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		if out, err := h.SignIn.SignUp(t.Context(), signin.SignUpIn{
			ClientID: h.client.ID, Email: "victim@example.com", Password: plain, DisplayName: "Victim", Visitor: visitor,
		}); err != nil || out.SignedIn == nil {
			t.Fatalf("sign-up: %+v, %v", out, err)
		}
		h.user.Email = "victim@example.com"
		intruder := passkeytest.New(rig.Base)
		if _, err := h.register(h.caller(), intruder, "Mine"); err != nil {
			t.Fatal(err)
		}
		h.Work()
		if err := h.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: h.client.ID, Email: h.user.Email, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		for { // the notice of the passkey, and what else there is, came first
			mail, ok := h.Mail(h.user.Email)
			if !ok {
				t.Fatal("no link was mailed")
			}
			if _, raw, ok := strings.Cut(mail, "/auth/magic-link/verify?token="); ok {
				if _, err := h.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: raw[:64], Visitor: visitor}); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		asked := h.ask()
		if _, err := h.answer(asked, intruder.Get(asked.Options)); !fault.Is(err, fault.CredentialsInvalid) {
			t.Errorf("the intruder's passkey: %v, want CredentialsInvalid", err)
		}
	})
}

func TestPasskeyWantsAProof(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		who := h.caller()
		h.Advance(self.Fresh + time.Minute)
		if _, err := h.register(who, passkeytest.New(rig.Base), "Phone"); !fault.Is(err, fault.ProofRequired) {
			t.Errorf("an old session: %v", err)
		}
		token := self.Caller{UserID: h.user.ID, AuthenticatedAt: h.Now()}
		if _, err := h.register(token, passkeytest.New(rig.Base), "Phone"); !fault.Is(err, fault.ProofRequired) {
			t.Errorf("an application's token: %v", err)
		}
		if err := h.Self.RemovePasskey(t.Context(), who, self.Proof{}, h.made.ID); !fault.Is(err, fault.ProofRequired) {
			t.Errorf("removal by an old session: %v", err)
		}
	})
}

func TestSetupIsOfOneUserAndOneResponse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		who := h.caller()
		s, err := h.Self.BeginPasskey(t.Context(), who, self.Proof{}, h.party)
		if err != nil {
			t.Fatal(err)
		}
		joe := h.User("joe@example.com", "Joe", plain, h.client)
		in := self.NewPasskey{Party: h.party, Handle: s.Handle, Name: "Phone", Response: passkeytest.New(rig.Base).Create(s.Options)}
		if _, err := h.Self.AddPasskey(t.Context(), self.Caller{UserID: joe.ID}, in); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("another user: %v", err)
		}
		again := in
		again.Response = h.key.Create(s.Options) // registered already
		if _, err := h.Self.AddPasskey(t.Context(), who, again); !fault.Is(err, fault.FieldInvalid) {
			t.Errorf("a passkey that there is: %v", err)
		}
		in.Name = ""
		if _, err := h.Self.AddPasskey(t.Context(), who, in); !fault.Is(err, fault.FieldInvalid) {
			t.Errorf("without a name: %v", err)
		}
		in.Name = "Phone"
		if _, err := h.Self.AddPasskey(t.Context(), who, in); err != nil {
			t.Errorf("the right response: %v", err)
		}
		if _, err := h.Self.AddPasskey(t.Context(), who, in); !fault.Is(err, fault.ChallengeInvalid) {
			t.Errorf("a second response: %v", err)
		}
	})
}

// A page that began before its session ended, as when the owner of the address put
// an intruder out, adds nothing after.
func TestEndedSessionAddsNoPasskey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		who := h.caller()
		s, err := h.Self.BeginPasskey(t.Context(), who, self.Proof{}, h.party)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Self.EndSession(t.Context(), who, who.Session.ID); err != nil {
			t.Fatal(err)
		}
		in := self.NewPasskey{Party: h.party, Handle: s.Handle, Name: "Phone", Response: passkeytest.New(rig.Base).Create(s.Options)}
		if _, err := h.Self.AddPasskey(t.Context(), who, in); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("added by a session that has ended: %v", err)
		}
		if _, err := h.Self.BeginPasskey(t.Context(), who, self.Proof{}, h.party); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("begun by a session that has ended: %v", err)
		}
	})
}

// A passkey that is the only way in stays, until there is another.
func TestLastPasskeyStays(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := holds(t, d)
		who := h.caller()
		h.client.Policy.Methods = []string{client.MethodPasskey}
		h.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, h.client, h.Now()) })
		if err := h.Self.RemovePasskey(t.Context(), who, self.Proof{}, h.made.ID); !fault.Is(err, fault.LastSignInMethod) {
			t.Errorf("removal of the last: %v", err)
		}
		second, err := h.register(who, passkeytest.New(rig.Base), "Phone")
		if err != nil {
			t.Fatal(err)
		}
		one(t, race(t, func(i int) error {
			id := h.made.ID
			if i%2 == 0 {
				id = second.ID
			}
			return h.Self.RemovePasskey(t.Context(), who, self.Proof{}, id)
		}, fault.LastSignInMethod, fault.FieldInvalid, fault.RateLimited, fault.Busy, fault.ProofRequired))
		left, err := h.Self.Passkeys(t.Context(), who)
		if err != nil || len(left.Passkeys) != 1 || !left.Last || !left.Offered {
			t.Fatalf("left %+v, %v; want one, the last way in", left, err)
		}
		if err := h.Self.RenamePasskey(t.Context(), who, left.Passkeys[0].ID, "The last"); err != nil {
			t.Error(err)
		}
	})
}
