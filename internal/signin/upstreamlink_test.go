package signin_test

import (
	"context"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

// unverified makes a user whose address nobody proved, with a password, and signs
// them in.
func unverified(t *testing.T, r *rig.Rig, app client.Client, email string) *signin.SignedIn {
	t.Helper()
	out, err := r.SignIn.SignUp(t.Context(), signin.SignUpIn{ClientID: app.ID, Email: email, DisplayName: "Somebody", Password: plain, Visitor: visitor})
	if err != nil || out.SignedIn == nil {
		t.Fatalf("sign up: %+v, %v", out, err)
	}
	return out.SignedIn
}

func never(c *client.Client) { c.Policy.Linking = client.LinkingNever }

// ended fails unless nothing that the sign-in gave is good any more.
func ended(t *testing.T, r *rig.Rig, app client.Client, in *signin.SignedIn) {
	t.Helper()
	if _, err := r.SignIn.Refresh(t.Context(), signin.RefreshIn{ClientID: app.ID, Token: in.Refresh, Visitor: visitor}); !fault.Is(err, fault.RefreshInvalid) {
		t.Errorf("the refresh token lives on: %v", err)
	}
	if n := count(t, r, "sessions WHERE id = $1", in.SessionID); n != 0 {
		t.Error("the session lives on")
	}
}

// design §6: by itself only if the client links, the upstream vouches for the
// address, may do so, and the address is verified here.
func TestAutomaticLinkNeedsFourThings(t *testing.T) {
	for _, c := range []struct {
		what   string
		policy func(*client.Client)
		who    upstreamtest.Person
		change func(*upstream.Upstream)
		local  bool // the address is verified here
		want   string
	}{
		{"all four", nil, jane, nil, true, "linked"},
		{"the client does not link", never, jane, nil, true, "somebody else"},
		{"the upstream says nothing of the address", nil, eve, nil, true, "prove"},
		{"it may not speak for the domain", nil, jane, func(u *upstream.Upstream) { u.Settings.EmailDomains = []string{"other.example"} }, true, "prove"},
		{"the address is not verified here", nil, jane, nil, false, "claimed"},
		{"neither", nil, eve, nil, false, "prove"},
	} {
		t.Run(c.what, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				tr := travel(t, d, c.policy)
				u := local(t, tr, c.who.Email, c.local)
				up := tr.fake.Upstream("corp")
				if c.change != nil {
					c.change(&up)
				}
				tr.r.PutUpstream(up)
				out, err := tr.as(c.who.ID)
				if err != nil {
					t.Fatal(err)
				}
				got := "nothing"
				switch in := out.Outcome.SignedIn; {
				case out.Prove != "" && in == nil && links(t, tr.r, u) == "" && count(t, tr.r, "users") == 1:
					got = "prove"
				case in != nil && in.User.ID == u && hasPassword(t, tr.r, u):
					got = "linked"
				case in != nil && in.User.ID == u:
					got = "claimed"
				case in != nil && in.User.Email == "" && links(t, tr.r, u) == "":
					got = "somebody else"
				}
				if got != c.want {
					t.Errorf("got %s, want %s: %+v", got, c.want, out)
				}
			})
		})
	}
}

// local makes a user with a password.
func local(t *testing.T, tr *trip, email string, verified bool) identity.UserID {
	t.Helper()
	if verified {
		return tr.r.User(email, "Jane", plain, tr.app).ID
	}
	return unverified(t, tr.r, tr.app, email).User.ID
}

func hasPassword(t *testing.T, r *rig.Rig, u identity.UserID) bool {
	t.Helper()
	return count(t, r, "users WHERE id = $1 AND password_hash <> ''", u) == 1
}

// A mailbox may get a new owner, who then has another account at the upstream: the
// address alone must not open the old owner's user.
func TestSecondAccountOfOneUpstreamIsNotLinkedByItself(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		in := tr.in(jane.ID)
		heir := jane
		heir.ID = "2001"
		tr.fake.SetPeople(heir)
		out, err := tr.as("")
		if err != nil || out.Prove == "" || out.Outcome.SignedIn != nil {
			t.Errorf("got %+v, %v", out, err)
		}
		if l := links(t, tr.r, in.User.ID); l != "corp/"+jane.ID {
			t.Errorf("links %s", l)
		}
		tr.terms.VerifiedOnly = true
		_, err = tr.as("")
		wantFault(t, "where nothing can be proved", err, fault.LinkTaken)
	})
}

// Contract keymaster §2.3: somebody signed up with an address that is not theirs;
// then its owner comes by an upstream that vouches for it.
func TestTrustedUpstreamEvictsWhoTookTheAddressBefore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		thief := unverified(t, tr.r, tr.app, jane.Email)
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			err := identity.AddLink(ctx, tx, identity.Link{Issuer: "https://elsewhere.example", Subject: "x", UserID: thief.User.ID, Upstream: "elsewhere", CreatedAt: tr.r.Now()})
			if err != nil {
				return err
			}
			_, err = onetime.Create(ctx, tx, onetime.Secret{Purpose: onetime.NewPasskey, UserID: thief.User.ID, ExpiresAt: tr.r.Now().Add(60e9)}, tr.r.Now())
			return err
		})
		owner := tr.in(jane.ID)
		if owner.User.ID != thief.User.ID || owner.User.HasPassword() || !owner.User.EmailVerified {
			t.Errorf("got %+v", owner.User)
		}
		ended(t, tr.r, tr.app, thief)
		_, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: tr.app.ID, Email: jane.Email, Password: plain, Visitor: visitor})
		wantFault(t, "the thief's password", err, fault.CredentialsInvalid)
		if l := links(t, tr.r, owner.User.ID); l != "corp/"+jane.ID {
			t.Errorf("links %s", l)
		}
		if n := count(t, tr.r, "onetime_secrets WHERE user_id = $1 AND purpose = 'new_passkey'", owner.User.ID); n != 0 {
			t.Error("a passkey that the thief began can still be added")
		}
		if n := count(t, tr.r, "sessions WHERE id = $1", owner.SessionID); n != 1 {
			t.Error("the owner's own session ended too")
		}
	})
}

// The other way round: an account made by an upstream with an address that nobody
// vouched for, and then its owner comes. By whatever way, the thief is out.
func TestOwnerOfTheMailboxEvictsAnUpstreamAccount(t *testing.T) {
	for what, claim := range map[string]func(t *testing.T, tr *trip){
		"magic link": func(t *testing.T, tr *trip) {
			if err := tr.r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: tr.app.ID, Email: eve.Email, Visitor: visitor}); err != nil {
				t.Fatal(err)
			}
			if out, err := tr.r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: token(t, tr.r, eve.Email), Visitor: visitor}); err != nil || out.SignedIn == nil {
				t.Fatalf("%+v, %v", out, err)
			}
		},
		"password reset": func(t *testing.T, tr *trip) {
			if err := tr.r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: tr.app.ID, Email: eve.Email, Visitor: visitor}); err != nil {
				t.Fatal(err)
			}
			if err := tr.r.SignIn.ResetPassword(t.Context(), signin.ResetIn{Token: token(t, tr.r, eve.Email), Password: plain, Visitor: visitor}); err != nil {
				t.Fatal(err)
			}
		},
		"an upstream that vouches": func(t *testing.T, tr *trip) { tr.in(jane.ID) },
	} {
		t.Run(what, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				tr := travel(t, d, nil)
				thief := tr.in(eve.ID)
				if thief.User.Email != eve.Email || thief.User.EmailVerified {
					t.Fatalf("got %+v, want an unverified address", thief.User)
				}
				tr.r.Work() // the mail to verify is on its way already
				if _, ok := tr.r.Mail(eve.Email); !ok {
					t.Error("nothing was mailed to verify the address")
				}
				claim(t, tr)
				ended(t, tr.r, tr.app, thief)
				if n := count(t, tr.r, "links WHERE subject = $1", eve.ID); n != 0 {
					t.Error("the thief's upstream account is still linked")
				}
				if n := count(t, tr.r, "audit WHERE action = 'user.unlinked' AND user_id = $1", thief.User.ID); n != 1 {
					t.Errorf("%d audit entries", n)
				}
				out, err := tr.as(eve.ID)
				if err != nil || out.Prove == "" || out.Outcome.SignedIn != nil {
					t.Errorf("the thief once more: %+v, %v", out, err)
				}
			})
		})
	}
}

// The upstream comes to vouch for an address that it did not when the account was
// made: its own link is what proves it, and stays.
func TestAddressIsProvedByTheLinkThatIsThere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		before := tr.in(eve.ID)
		proved := eve
		proved.EmailVerified = true
		tr.fake.SetPeople(proved)
		after := tr.in(eve.ID)
		if after.User.ID != before.User.ID || !after.User.EmailVerified || links(t, tr.r, after.User.ID) != "corp/"+eve.ID {
			t.Errorf("got %+v", after.User)
		}
		ended(t, tr.r, tr.app, before) // made while anybody could have the address
	})
}

func TestProvingTheLocalAccountLinks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.r.User(jane.Email, "Jane", plain, tr.app)
		out, err := tr.as(eve.ID)
		if err != nil || out.Prove == "" {
			t.Fatalf("%+v, %v", out, err)
		}
		in := signin.PasswordIn{ClientID: tr.app.ID, Email: jane.Email, Password: "wrong", Prove: signin.Prove{Secret: out.Prove, Cookie: tr.cookie}, Visitor: visitor}
		_, err = tr.r.SignIn.Password(t.Context(), in)
		wantFault(t, "wrong password", err, fault.CredentialsInvalid)
		in.Password = plain
		if _, err := tr.r.SignIn.Password(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if l := links(t, tr.r, u.ID); l != "corp/"+eve.ID {
			t.Errorf("links %q", l)
		}
		if got := tr.in(eve.ID); got.User.ID != u.ID {
			t.Errorf("signed in %s", got.User.ID)
		}
		// The secret is spent: what it linked can be unlinked, and stays so.
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := identity.Unlink(ctx, tx, u.ID, "corp")
			return err
		})
		if _, err := tr.r.SignIn.Password(t.Context(), in); err != nil || links(t, tr.r, u.ID) != "" {
			t.Errorf("spent twice: %v", err)
		}
	})
}

func TestProvingGoesThroughTheSecondFactor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.r.User(jane.Email, "Jane", plain, tr.app)
		tr.r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, tr.r.Key, u.ID, base32, tr.r.Now())
		})
		out, err := tr.as(eve.ID)
		if err != nil || out.Prove == "" {
			t.Fatalf("%+v, %v", out, err)
		}
		first, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{
			ClientID: tr.app.ID, Email: jane.Email, Password: plain, Prove: signin.Prove{Secret: out.Prove, Cookie: tr.cookie}, Visitor: visitor,
		})
		if err != nil || first.Challenge == nil {
			t.Fatalf("%+v, %v", first, err)
		}
		if l := links(t, tr.r, u.ID); l != "" {
			t.Errorf("linked before the second factor: %s", l)
		}
		if _, err := tr.r.SignIn.Challenge(t.Context(), signin.ChallengeIn{Secret: first.Challenge.Secret, Code: code(t, tr.r), Tries: tries, Visitor: visitor}); err != nil {
			t.Fatal(err)
		}
		if l := links(t, tr.r, u.ID); l != "corp/"+eve.ID {
			t.Errorf("links %q", l)
		}
	})
}

// Somebody begins with an account that bears the victim's address, and has the
// victim sign in, by a link of theirs or by the mail that they ask for. Nothing of
// that may connect the two.
func TestPlantedProofDoesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		u := tr.r.User(jane.Email, "Jane", plain, tr.app)
		other := tr.r.User(tom.Email, "Tom", plain, tr.app)
		out, err := tr.as(eve.ID)
		if err != nil || out.Prove == "" {
			t.Fatalf("%+v, %v", out, err)
		}
		mine := signin.Prove{Secret: out.Prove, Cookie: tr.cookie}
		for what, p := range map[string]signin.Prove{
			"no cookie": {Secret: mine.Secret}, "another browser's": {Secret: mine.Secret, Cookie: strings.Repeat("0", 64)}, "no secret": {Cookie: mine.Cookie},
			"junk": {Secret: "junk", Cookie: mine.Cookie},
		} {
			if _, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: tr.app.ID, Email: jane.Email, Password: plain, Prove: p, Visitor: visitor}); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := tr.r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: tr.app.ID, Email: tom.Email, Password: plain, Prove: mine, Visitor: visitor}); err != nil {
			t.Error(err)
		}
		ask := func() string {
			if err := tr.r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: tr.app.ID, Email: jane.Email, Prove: mine, Visitor: visitor}); err != nil {
				t.Fatal(err)
			}
			return token(t, tr.r, jane.Email)
		}
		for _, cookie := range []string{"", strings.Repeat("0", 64)} {
			if _, err := tr.r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: ask(), Cookie: cookie, Visitor: visitor}); err != nil {
				t.Error(err)
			}
		}
		if l := links(t, tr.r, u.ID) + links(t, tr.r, other.ID); l != "" {
			t.Errorf("links %s", l)
		}
		// In the browser that began it, the mailed link does connect them.
		if _, err := tr.r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: ask(), Cookie: mine.Cookie, Visitor: visitor}); err != nil {
			t.Error(err)
		}
		if l := links(t, tr.r, u.ID); l != "corp/"+eve.ID {
			t.Errorf("links %q", l)
		}
	})
}

// Where the upstream is the source of truth for an address, what was mailed to the
// old one is worth nothing once there is a new one: the mailbox may be another's.
func TestMailsToAnAddressThatWasLeftAreWorthNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.terms.Mailbox = true
		tr.in(jane.ID)
		tr.r.Work()
		for _, ask := range []func() error{
			func() error {
				return tr.r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: tr.app.ID, Email: jane.Email, Visitor: visitor})
			},
			func() error {
				return tr.r.SignIn.ForgotPassword(t.Context(), signin.ForgotIn{ClientID: tr.app.ID, Email: jane.Email, Visitor: visitor})
			},
		} {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			tr.r.Work()
		}
		const mailed = "onetime_secrets WHERE purpose IN ('magic_link', 'reset')"
		if n := count(t, tr.r, mailed); n != 2 {
			t.Fatalf("%d secrets were mailed, want 2", n)
		}
		moved := jane
		moved.Email = "jane.moved@example.com"
		tr.fake.SetPeople(moved)
		if in := tr.in(jane.ID); in.User.Email != moved.Email {
			t.Fatalf("the address is %s, want %s", in.User.Email, moved.Email)
		}
		if n := count(t, tr.r, mailed); n != 0 {
			t.Errorf("%d secrets in the old mailbox are still good", n)
		}
	})
}
