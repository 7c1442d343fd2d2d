package signin_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
)

const callback = rig.Base + "/oauth/corp/callback"

// people of the fakes: two say of their address that it is verified, one does not.
var (
	jane = upstreamtest.Person{ID: "1001", Email: "jane@example.com", EmailVerified: true, GivenName: "Jane", FamilyName: "Doe", Username: "jane"}
	tom  = upstreamtest.Person{ID: "1002", Email: "tom@example.com", EmailVerified: true, GivenName: "Tom", FamilyName: "Roe"}
	eve  = upstreamtest.Person{ID: "666", Email: "jane@example.com", EmailVerified: false, GivenName: "Eve", FamilyName: "Moe"}
)

// trip is a browser on its way to an upstream and back.
type trip struct {
	t      *testing.T
	r      *rig.Rig
	fake   *upstreamtest.Fake
	app    client.Client
	key    string
	cookie string
	terms  signin.Terms
}

// travel makes a provider "corp" with jane, tom and eve, and an application that
// signs in by it; change, which may be nil, changes the application.
func travel(t *testing.T, d *db.DB, change func(*client.Client)) *trip {
	t.Helper()
	r := rig.New(t, d)
	return &trip{t: t, r: r, key: "corp", fake: r.Upstream("corp", upstream.OIDC, nil, jane, tom, eve), app: r.Client("Demo", func(c *client.Client) {
		c.Policy.Methods = append(c.Policy.Methods, "corp")
		if change != nil {
			change(c)
		}
	})}
}

// begin sends the browser off and keeps its cookie.
func (tr *trip) begin(change func(*signin.UpstreamStart)) signin.UpstreamStarted {
	tr.t.Helper()
	in := signin.UpstreamStart{ClientID: tr.app.ID, Upstream: tr.key, Callback: callback, Cookie: tr.cookie, State: "the app's", Data: json.RawMessage(`{"x":1}`), Visitor: visitor}
	if change != nil {
		change(&in)
	}
	out, err := tr.r.SignIn.StartUpstream(tr.t.Context(), in)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.cookie = out.Cookie
	return out
}

// answer is what the browser comes back with when the person with an id has
// signed in at the provider, or refused to.
func (tr *trip) answer(location, id string, deny bool) signin.UpstreamReturn {
	tr.t.Helper()
	back, form, err := tr.fake.Choose(location, id, deny)
	if err != nil {
		tr.t.Fatal(err)
	}
	if form == nil {
		at, err := url.Parse(back)
		if err != nil {
			tr.t.Fatal(err)
		}
		form = at.Query()
	}
	return signin.UpstreamReturn{
		Upstream: tr.key, State: form.Get("state"), Cookie: tr.cookie, Answer: upstream.AnswerOf(form), Terms: tr.terms, Visitor: visitor,
	}
}

// finish is FinishUpstream in a context that outlives a race.
func (tr *trip) finish(in signin.UpstreamReturn) (signin.Returned, error) {
	return tr.r.SignIn.FinishUpstream(context.Background(), in)
}

// as makes the whole trip for the person with an id.
func (tr *trip) as(id string) (signin.Returned, error) {
	tr.t.Helper()
	return tr.finish(tr.answer(tr.begin(nil).Location, id, false))
}

// in is as for somebody who must come in.
func (tr *trip) in(id string) *signin.SignedIn {
	tr.t.Helper()
	out, err := tr.as(id)
	if err != nil || out.Outcome.SignedIn == nil {
		tr.t.Fatalf("got %+v and %v, want a completed sign-in", out, err)
	}
	return out.Outcome.SignedIn
}

// count is how many rows a table has.
func count(t *testing.T, r *rig.Rig, from string, args ...any) int {
	t.Helper()
	var n int64
	r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM `+from, args...)
		return err
	})
	return int(n)
}

// links are the upstream accounts of a user, as upstream/subject.
func links(t *testing.T, r *rig.Rig, u identity.UserID) string {
	t.Helper()
	var all []string
	r.Write(func(ctx context.Context, tx *db.Tx) error {
		all = nil
		ls, err := identity.Links(ctx, tx, u)
		for _, l := range ls {
			all = append(all, l.Upstream+"/"+l.Subject)
		}
		return err
	})
	return strings.Join(all, " ")
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestUpstreamSignsInByIssuerAndSubject(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		out, err := tr.as(jane.ID)
		if err != nil {
			t.Fatal(err)
		}
		in := out.Outcome.SignedIn
		if in == nil || in.User.Email != jane.Email || !in.User.EmailVerified || in.User.DisplayName != "Jane Doe" || in.User.HasPassword() {
			t.Fatalf("got %+v", in)
		}
		if in.Session == "" || in.Refresh == "" || in.SessionID == "" || strings.Join(in.AMR, " ") != session.Federated || !in.AuthenticatedAt.Equal(tr.r.Now()) {
			t.Errorf("got session %q (%s), refresh %q, amr %v at %v", in.Session, in.SessionID, in.Refresh, in.AMR, in.AuthenticatedAt)
		}
		if out.RedirectURI != "https://app.example.com/callback" || out.State != "the app's" || string(out.Data) != `{"x":1}` || out.Client.ID != tr.app.ID {
			t.Errorf("the attempt came back as %q, %q, %s", out.RedirectURI, out.State, out.Data)
		}
		// Another address there, another name: it is the same account.
		moved := jane
		moved.Email, moved.GivenName = "jane@elsewhere.example", "Janet"
		tr.fake.SetPeople(moved)
		again := tr.in(jane.ID)
		if again.User.ID != in.User.ID || again.User.Email != jane.Email || again.User.DisplayName != "Jane Doe" {
			t.Errorf("got %+v, want the same user as ever", again.User)
		}
		if n := count(t, tr.r, "users"); n != 1 {
			t.Errorf("%d users", n)
		}
		if n := count(t, tr.r, "links WHERE email = 'jane@elsewhere.example' AND profile LIKE '%Janet%'"); n != 1 {
			t.Error("what the upstream says now was not stored")
		}
	})
}

// RFC 9700 §4.7.1, contract keymaster §3.1: single use, ten minutes, this browser.
func TestUpstreamStateIsOfOneBrowserOnceAndSoon(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.r.Upstream("other", upstream.OIDC, nil, eve)
		back := tr.answer(tr.begin(nil).Location, jane.ID, false)
		for what, change := range map[string]func(*signin.UpstreamReturn){
			"no cookie":         func(in *signin.UpstreamReturn) { in.Cookie = "" },
			"another's cookie":  func(in *signin.UpstreamReturn) { in.Cookie = strings.Repeat("0", 64) },
			"no state":          func(in *signin.UpstreamReturn) { in.State = "" },
			"a state of nobody": func(in *signin.UpstreamReturn) { in.State = strings.Repeat("a", 64) },
			"another upstream":  func(in *signin.UpstreamReturn) { in.Upstream = "other" },
		} {
			wrong := back
			change(&wrong)
			out, err := tr.finish(wrong)
			wantFault(t, what, err, fault.UpstreamStateInvalid)
			if out.Client.ID != "" || out.RedirectURI != "" || out.Data != nil {
				t.Errorf("%s: told %+v of the attempt", what, out)
			}
		}
		if out, err := tr.finish(back); err != nil || out.Outcome.SignedIn == nil {
			t.Fatalf("after the wrong ones: %+v, %v", out, err)
		}
		_, err := tr.finish(back)
		wantFault(t, "the same once more", err, fault.UpstreamStateInvalid)

		late := tr.answer(tr.begin(nil).Location, jane.ID, false)
		tr.r.Advance(signin.UpstreamLifetime)
		_, err = tr.finish(late)
		wantFault(t, "after ten minutes", err, fault.UpstreamStateInvalid)
	})
}

func TestWindowsOfOneBrowserShareACookie(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		first := tr.begin(nil)
		second := tr.begin(nil)
		if first.Cookie != second.Cookie || len(first.Cookie) != 64 {
			t.Fatalf("cookies %q and %q", first.Cookie, second.Cookie)
		}
		for _, one := range []signin.UpstreamStarted{second, first} {
			if _, err := tr.finish(tr.answer(one.Location, tom.ID, false)); err != nil {
				t.Error(err)
			}
		}
		tr.cookie = "not one of ours"
		if c := tr.begin(nil).Cookie; len(c) != 64 {
			t.Errorf("took over %q", c)
		}
	})
}

func TestStartSaysWhereTheBrowserMayBeSent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		tr.r.Upstream("unused", upstream.OIDC, nil, jane)
		for _, c := range []struct {
			what   string
			change func(*signin.UpstreamStart)
			want   fault.Code
			uri    string
		}{
			{"no such client", func(in *signin.UpstreamStart) { in.ClientID = client.NewID() }, fault.ClientUnknown, ""},
			{"foreign redirect", func(in *signin.UpstreamStart) { in.RedirectURI = "https://evil.example/" }, fault.RedirectURIInvalid, ""},
			{"a little different", func(in *signin.UpstreamStart) { in.RedirectURI = "https://app.example.com/callback/" }, fault.RedirectURIInvalid, ""},
			{"not offered", func(in *signin.UpstreamStart) { in.Upstream = "unused" }, fault.MethodDisabled, "https://app.example.com/callback"},
			{"a method of our own", func(in *signin.UpstreamStart) { in.Upstream = "password" }, fault.UpstreamUnknown, "https://app.example.com/callback"},
		} {
			in := signin.UpstreamStart{ClientID: tr.app.ID, Upstream: tr.key, Callback: callback, Visitor: visitor}
			c.change(&in)
			out, err := tr.r.SignIn.StartUpstream(t.Context(), in)
			wantFault(t, c.what, err, c.want)
			if out.RedirectURI != c.uri || out.Location != "" {
				t.Errorf("%s: redirect %q, location %q", c.what, out.RedirectURI, out.Location)
			}
		}
		loose := func(_ client.Client, uri string) bool {
			return strings.HasPrefix(uri, "https://app.example.com/callback?")
		}
		if out := tr.begin(func(in *signin.UpstreamStart) {
			in.RedirectURI, in.Allows = "https://app.example.com/callback?to=x", loose
		}); out.RedirectURI != "https://app.example.com/callback?to=x" {
			t.Errorf("got %q", out.RedirectURI)
		}
	})
}

func TestUnreachableUpstreamLeavesTheAttempt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		back := tr.answer(tr.begin(nil).Location, jane.ID, false)
		for trouble, want := range map[upstreamtest.Trouble]fault.Code{upstreamtest.Down: fault.UpstreamUnreachable, upstreamtest.Throttled: fault.UpstreamThrottled} {
			tr.fake.Behave(trouble)
			out, err := tr.finish(back)
			wantFault(t, string(trouble), err, want)
			if out.RedirectURI == "" || out.State == "" {
				t.Errorf("%s: the attempt is not told: %+v", trouble, out)
			}
		}
		tr.fake.Behave(upstreamtest.None)
		if out, err := tr.finish(back); err != nil || out.Outcome.SignedIn == nil {
			t.Errorf("the same callback once it answers: %+v, %v", out, err)
		}
	})
}

func TestRefusedAnswerEndsTheAttempt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		for _, c := range []struct {
			trouble upstreamtest.Trouble
			deny    bool
			want    fault.Code
		}{
			{upstreamtest.None, true, fault.UpstreamDenied},
			{upstreamtest.WrongIss, false, fault.UpstreamFailed}, // RFC 9207 §2.4
			{upstreamtest.NoIss, false, fault.UpstreamFailed},
			{upstreamtest.WrongNonce, false, fault.UpstreamFailed},
			{upstreamtest.WrongAudience, false, fault.UpstreamFailed},
			{upstreamtest.WrongSignature, false, fault.UpstreamFailed},
		} {
			tr.fake.Behave(c.trouble)
			back := tr.answer(tr.begin(nil).Location, jane.ID, c.deny)
			out, err := tr.finish(back)
			wantFault(t, string(c.trouble), err, c.want)
			if out.RedirectURI == "" || out.Client.ID != tr.app.ID {
				t.Errorf("%s: the attempt is not told: %+v", c.trouble, out)
			}
			tr.fake.Behave(upstreamtest.None)
			_, err = tr.finish(back)
			wantFault(t, string(c.trouble)+", once more", err, fault.UpstreamStateInvalid)
		}
		if n := count(t, tr.r, "users"); n != 0 {
			t.Errorf("%d users were made", n)
		}
		if n := count(t, tr.r, "audit WHERE action = 'user.login_failed' AND detail LIKE '%corp%' AND actor = 'anonymous'"); n != 6 {
			t.Errorf("%d audit entries, want 6", n)
		}
	})
}

func TestUpstreamSignInForARequestIssuesNoTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		start := tr.begin(func(in *signin.UpstreamStart) { in.Request, in.RedirectURI = handle, "" })
		if start.RedirectURI != "" {
			t.Errorf("redirect %q for a request", start.RedirectURI)
		}
		out, err := tr.finish(tr.answer(start.Location, jane.ID, false))
		if out.Request != handle {
			t.Errorf("request %q", out.Request)
		}
		bare(t, tr.r, out.Outcome, err)
	})
}

// One read and one write transaction are what a callback costs, whoever comes.
func TestCallbackIsOneReadAndOneWrite(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tr := travel(t, d, nil)
		for _, who := range []string{"somebody new", "the same again"} {
			back := tr.answer(tr.begin(nil).Location, jane.ID, false)
			before := d.Stats()
			if _, err := tr.finish(back); err != nil {
				t.Fatal(err)
			}
			after := d.Stats()
			if r, w := after.Reads-before.Reads, after.Transactions-before.Transactions; r != 1 || w != 1 {
				t.Errorf("%s: %d reads and %d writes", who, r, w)
			}
		}
	})
}
