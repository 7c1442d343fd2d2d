package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/invite"
	"sallyport/internal/limit"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
)

// handle names an authorization request; to this package it is a text.
const handle = "5b1f"

// tries is the limit on wrong codes in these tests.
var tries = limit.Rule{Name: "test", N: 5, Per: time.Minute}

// bare fails unless out is a session for the request, and nothing else.
func bare(t *testing.T, r *rig.Rig, out signin.Outcome, err error) {
	t.Helper()
	if err != nil || out.SignedIn == nil {
		t.Fatalf("got %+v and %v, want a completed sign-in", out, err)
	}
	if in := out.SignedIn; in.Refresh != "" || in.Session == "" || in.Request != handle {
		t.Errorf("got refresh %q, session %q, request %q: want a session for %q and no tokens", in.Refresh, in.Session, in.Request, handle)
	}
	families := 0
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		families, err = db.One(ctx, tx, func(row db.Row) (n int, err error) { return n, row.Scan(&n) }, `SELECT COUNT(*) FROM refresh_families`)
		return err
	})
	if families != 0 {
		t.Errorf("%d refresh families, want none", families)
	}
}

func TestSignInForARequestIssuesNoTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		r.User("jane@example.com", "Jane", plain, app)
		out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "jane@example.com", Password: plain, Request: handle, Visitor: visitor})
		bare(t, r, out, err)
		out, err = r.SignIn.SignUp(t.Context(), signin.SignUpIn{
			ClientID: app.ID, Email: "nia@example.com", DisplayName: "Nia", Password: plain, Request: handle, Visitor: visitor,
		})
		bare(t, r, out, err)
	})
}

// linked asks for a sign-in link and takes it from the mail.
func linked(t *testing.T, r *rig.Rig, app client.Client, email, request string) (link, raw string) {
	t.Helper()
	err := r.SignIn.RequestMagicLink(t.Context(), signin.MagicLinkIn{ClientID: app.ID, Email: email, Request: request, Visitor: visitor})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := r.Mail(email)
	i := strings.Index(text, "http")
	if i < 0 {
		t.Fatalf("no link in %q", text)
	}
	link = strings.Fields(text[i:])[0]
	return link, link[len(link)-64:]
}

// A link that was asked for in a request leads to our page, whatever page of its
// own the client has, and is good for that request alone.
func TestLinkOfARequestEndsInIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", func(c *client.Client) { c.Policy.Links.MagicLink = "https://app.example.com/magic" })
		r.User("jane@example.com", "Jane", "", app)
		link, raw := linked(t, r, app, "jane@example.com", handle)
		if want := rig.Base + "/magic-link?token="; !strings.HasPrefix(link, want) {
			t.Errorf("got the link %s, want %s…", link, want)
		}
		to, err := r.SignIn.MagicLinkTarget(t.Context(), raw)
		if err != nil || to.Request != handle || to.RedirectURI != "" {
			t.Errorf("got request %q, redirect %q and %v, want %q alone", to.Request, to.RedirectURI, err, handle)
		}
		out, err := r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: raw, Request: handle, Visitor: visitor})
		bare(t, r, out.Outcome, err)

		for _, c := range []struct{ made, spent string }{{handle, ""}, {handle, "other"}, {"", handle}} {
			_, raw := linked(t, r, app, "jane@example.com", c.made)
			if _, err := r.SignIn.MagicLink(t.Context(), signin.SpendLinkIn{Token: raw, Request: c.spent, Visitor: visitor}); !fault.Is(err, fault.MagicLinkInvalid) {
				t.Errorf("made for %q, spent for %q: got %v, want %s", c.made, c.spent, err, fault.MagicLinkInvalid)
			}
		}
	})
}

// A challenge of one request is none in another, nor at an API that gives tokens.
func TestChallengeOfARequestEndsInIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Demo", nil)
		tom := r.User("tom@example.com", "Tom", plain, app)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, r.Key, tom.ID, base32, r.Now())
		})
		begun := func(request string) string {
			out, err := r.SignIn.Password(t.Context(), signin.PasswordIn{ClientID: app.ID, Email: "tom@example.com", Password: plain, Request: request, Visitor: visitor})
			if err != nil || out.Challenge == nil {
				t.Fatalf("got %+v and %v, want a challenge", out, err)
			}
			return out.Challenge.Secret
		}
		for _, c := range []struct{ made, answered string }{{handle, ""}, {handle, "other"}, {"", handle}} {
			_, err := r.SignIn.Challenge(t.Context(), signin.ChallengeIn{Secret: begun(c.made), Request: c.answered, Code: code(t, r), Tries: tries, Visitor: visitor})
			if !fault.Is(err, fault.ChallengeInvalid) {
				t.Errorf("made for %q, answered for %q: got %v, want %s", c.made, c.answered, err, fault.ChallengeInvalid)
			}
		}
		out, err := r.SignIn.Challenge(t.Context(), signin.ChallengeIn{Secret: begun(handle), Request: handle, Code: code(t, r), Tries: tries, Visitor: visitor})
		bare(t, r, out, err)
		if got := strings.Join(out.SignedIn.AMR, " "); got != session.Password+" "+session.OTP {
			t.Errorf("got the methods %q, want both", got)
		}
	})
}

// An invitation for somebody who is known lets them in and proves nobody: the
// sign-in that the request waits for comes next, second factor or not.
func TestInvitationInARequestStartsNoSession(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		app := r.Client("Members", func(c *client.Client) { c.Policy.Registration = client.Invite })
		jane, tom := r.User("jane@example.com", "Jane", plain), r.User("tom@example.com", "Tom", plain)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			return totp.Import(ctx, tx, r.Key, tom.ID, base32, r.Now())
		})
		for _, email := range []string{jane.Email, tom.Email, "nia@example.com"} {
			var code string
			r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
				_, code, err = invite.Create(ctx, tx, r.Key, invite.Invite{
					ClientID: app.ID, Email: email, Roles: []string{"user"}, InvitedBy: "test", ExpiresAt: r.Now().Add(time.Hour),
				}, r.Now())
				return err
			})
			out, err := r.SignIn.AcceptInvite(t.Context(), signin.InviteIn{
				ClientID: app.ID, Code: code, Email: email, DisplayName: "Nia", Password: plain, Request: handle, Visitor: visitor,
			})
			if email == "nia@example.com" { // made just now, with a password of their own
				bare(t, r, out, err)
				continue
			}
			if err != nil || out.SignedIn == nil || out.SignedIn.Session != "" || out.SignedIn.Refresh != "" || out.SignedIn.Request != handle {
				t.Errorf("%s: got %+v and %v, want neither a session nor tokens", email, out.SignedIn, err)
			}
		}
	})
}

// An application that registered itself gets nothing by our own APIs, which ask
// nobody for consent: not by any way in, nor by a session or a place that its
// person has already.
func TestSelfRegisteredClientsNeedARequest(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := rig.New(t, d)
		own := r.Client("Own", nil)
		app := r.Client("Stranger", func(c *client.Client) {
			c.Source, c.SecretHash = client.Dynamic, client.HashSecret(r.Key, "secret")
		})
		jane := r.User("jane@example.com", "Jane", plain, own, app)
		ctx := t.Context()
		session, err := r.SignIn.Password(ctx, signin.PasswordIn{ClientID: own.ID, Email: jane.Email, Password: plain, Visitor: visitor})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]func() error{
			"password": func() error {
				_, err := r.SignIn.Password(ctx, signin.PasswordIn{ClientID: app.ID, Email: jane.Email, Password: plain, Visitor: visitor})
				return err
			},
			"sign-up": func() error {
				_, err := r.SignIn.SignUp(ctx, signin.SignUpIn{ClientID: app.ID, Email: "nia@example.com", DisplayName: "Nia", Password: plain, Visitor: visitor})
				return err
			},
			"link": func() error {
				return r.SignIn.RequestMagicLink(ctx, signin.MagicLinkIn{ClientID: app.ID, Email: jane.Email, Visitor: visitor})
			},
			"invitation": func() error {
				_, err := r.SignIn.AcceptInvite(ctx, signin.InviteIn{ClientID: app.ID, Code: "ABCD2345", Failures: []limit.Rule{tries}, Visitor: visitor})
				return err
			},
			"session": func() error {
				_, err := r.SignIn.Login(ctx, signin.ResumeIn{ClientID: app.ID, Cookie: session.SignedIn.Session, Visitor: visitor})
				return err
			},
			"credentials": func() error {
				_, err := r.OAuth.ClientCredentials(ctx, oauth.ClientCredentialsIn{ClientID: app.ID, Secret: "secret", Scope: "a", Known: []string{"a"}, Failures: tries})
				if fault.Is(err, fault.ClientAuthFailed) {
					return fault.New(fault.ClientUnknown)
				}
				return err
			},
		} {
			if err := call(); !fault.Is(err, fault.ClientUnknown) {
				t.Errorf("%s: got %v, want %s", name, err, fault.ClientUnknown)
			}
		}
		out, err := r.SignIn.Password(ctx, signin.PasswordIn{ClientID: app.ID, Email: jane.Email, Password: plain, Request: handle, Visitor: visitor})
		if err != nil || out.SignedIn == nil || out.SignedIn.Refresh != "" {
			t.Errorf("for a request: got %+v and %v, want a session", out, err)
		}
	})
}
