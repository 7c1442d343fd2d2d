package pages

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/totp"
	"sallyport/internal/wire"
)

// accountData fills the account page.
type accountData struct {
	self.Profile
	Sessions []signedIn
	Current  session.ID
	Partial  bool       // signed in to set up a second factor, and for nothing else
	Fresh    bool       // signed in just now: no further proof is asked for
	Setup    *totpSetup // a second factor that is being set up
	Codes    []string   // backup codes, shown once
	Access   []access
	Onward   *onward

	Connections []self.Connection
	Keys        keys
}

// access is an application with access, as a person reads of it.
type access struct {
	self.Access
	Name, Origin string
	Asks         []ask
}

// onward leads back to an authorization request that waits.
type onward struct {
	target
	Name string
}

// signedIn is a session as a person tells it apart.
type signedIn struct {
	session.Session
	Browser string
}

// totpSetup is a key for an authenticator app: to type, to open, to scan.
type totpSetup struct {
	Secret  string
	URI, QR template.URL // QR is a picture of URI
}

// newSetup shows the key of a URI, which came from us or from a form that we
// showed; of anything else it is no setup.
func newSetup(uri string) (*totpSetup, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		return nil, fault.New(fault.TOTPNotStarted)
	}
	png, err := totp.QR(uri)
	if err != nil {
		return nil, &fault.Error{Code: fault.TOTPNotStarted, Err: err}
	}
	return &totpSetup{
		Secret: u.Query().Get("secret"),
		URI:    template.URL(u.String()),                                                        //nolint:gosec // the scheme is one that runs nothing
		QR:     template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)), //nolint:gosec // our own picture
	}, nil
}

// Groups is the key as people read it: in fours.
func (s totpSetup) Groups() string {
	var b strings.Builder
	for i, c := range s.Secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// proofField is what a sensitive change asks for: the password, a code, or
// neither where the person has neither.
type proofField struct {
	ID             string
	Fresh          bool
	Password, Code bool
}

// Proof is the field for the form that id names.
func (d accountData) Proof(id string) proofField {
	return proofField{ID: id, Fresh: d.Fresh, Password: d.User.HasPassword(), Code: d.TOTP}
}

// browser is the signed-in person behind the request.
func (p *Pages) browser(r *http.Request) (self.Caller, error) {
	o := wire.OriginOf(r.Context())
	return p.Self.Browser(r.Context(), wire.Cookie(r, p.Flow.Cookie), o.IP, o.RequestID)
}

// account is GET /account. Who is not signed in is told how to get here.
func (p *Pages) account(w http.ResponseWriter, r *http.Request) {
	who, err := p.browser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.showAccount(w, r, http.StatusOK, who, view{}, accountData{Onward: p.onward(r, targetOf(wire.Query(r)))})
}

// onward is the way back to the request that sent somebody here to set up a
// second factor; nil without one, or if it waits no more.
func (p *Pages) onward(r *http.Request, t target) *onward {
	if t.Request == "" {
		return nil
	}
	page, err := p.page(r, t)
	if err != nil {
		return nil
	}
	return &onward{t, nameOf(page.Client)}
}

func (p *Pages) showAccount(w http.ResponseWriter, r *http.Request, status int, who self.Caller, v view, d accountData) {
	var err error
	var all []session.Session
	var accesses []self.Access
	if d.Profile, err = p.Self.Me(r.Context(), who); err == nil {
		all, err = p.Self.Sessions(r.Context(), who)
	}
	if err == nil {
		accesses, err = p.Self.Accesses(r.Context(), who)
	}
	if err == nil {
		d.Connections, err = p.Self.Connections(r.Context(), who)
	}
	var ring self.Keyring
	if err == nil {
		ring, err = p.Self.Passkeys(r.Context(), who)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d.Keys = keysOf(ring, r.UserAgent())
	for _, a := range accesses {
		a.Since = a.Since.UTC()
		d.Access = append(d.Access, access{a, nameOf(a.Client), originOf(a.Client, a.Client.Policy.RedirectURIs...), asksOf(a.Scope, nil, nil)})
	}
	for _, s := range all {
		s.CreatedAt = s.CreatedAt.UTC()
		d.Sessions = append(d.Sessions, signedIn{s, browserName(s.UserAgent)})
	}
	d.Current = who.Session.ID
	d.Partial = who.Session.Partial && !d.TOTP
	d.Fresh = p.Now().Sub(who.AuthenticatedAt) < self.Fresh
	if r.Method == http.MethodGet {
		v = cameBack(wire.Query(r), d)
	}
	v.Title, v.Data = titles[pageAccount], d
	v.bind = []string{wire.Cookie(r, p.Flow.Cookie)}
	p.show(w, r, status, pageAccount, v)
}

// postAccount does what a button of the account page says.
func (p *Pages) postAccount(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	switch {
	case in.String("do") == "sign-out":
		p.signOut(w, r)
		return
	case in.Has("connect"):
		p.connect(w, r, in)
		return
	}
	who, err := p.browser(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	d := accountData{Onward: p.onward(r, targetOf(in))}
	notice, err := p.change(r, who, in, &d)
	if err != nil {
		p.unchanged(w, r, who, d, err)
		return
	}
	p.showAccount(w, r, http.StatusOK, who, view{Notice: notice}, d)
}

// unchanged shows the account page with why nothing was changed.
func (p *Pages) unchanged(w http.ResponseWriter, r *http.Request, who self.Caller, d accountData, err error) {
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
		return
	}
	retryAfter(w, f)
	p.showAccount(w, r, statusOf(f), who, view{Error: accountWords(f)}, d)
}

// signOut ends the browser's session, if it has one.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) {
	there := p.farewell(r, "")
	for _, c := range r.CookiesNamed(p.Flow.Cookie) {
		if err := p.SignIn.SignOut(r.Context(), c.Value, false, visitor(r)); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	wire.ClearCookie(w, r, p.Flow.Cookie)
	if there.Location == "" && there.Form == nil {
		p.message(w, r, http.StatusOK, signedOut, goodbye)
	} else if err := away(w, there.Location, there.Form); err != nil {
		p.crash(w, r, err)
	}
}

// proof is what a form shows for a sensitive change.
func (p *Pages) proof(in *wire.Params) self.Proof {
	return self.Proof{
		Password: in.String("password"), Code: in.String("code", wire.Max(maxCode)),
		PasswordTries: p.Flow.Limits.Password(), CodeTries: p.Flow.Limits.TOTP(),
	}
}

// wrongPassword says of a proof that was none that it was the password.
func wrongPassword(err error, given self.Proof) error {
	if fault.Is(err, fault.ProofRequired) && given.Password != "" {
		return fault.New(fault.CurrentPasswordWrong)
	}
	return err
}

// change carries out one change of the account and says that it did.
func (p *Pages) change(r *http.Request, who self.Caller, in *wire.Params, d *accountData) (string, error) {
	given := p.proof(in)
	if in.Has("disconnect") {
		err := p.Self.Unlink(r.Context(), who, given, in.String("disconnect"))
		return "The account is disconnected.", wrongPassword(err, given)
	}
	notice, ok, err := p.changePasskey(r, who, in, given)
	if !ok {
		notice, err = p.perform(r, who, in, given, d)
	}
	return notice, wrongPassword(err, given)
}

func (p *Pages) perform(r *http.Request, who self.Caller, in *wire.Params, proof self.Proof, d *accountData) (string, error) {
	ctx := r.Context()
	switch in.String("do") {
	case "rename":
		name := strings.TrimSpace(in.String("display_name", wire.Max(signin.MaxDisplayName)))
		if name == "" {
			return "", fault.New(fault.DisplayNameRequired)
		}
		_, err := p.Self.Rename(ctx, who, name)
		return "Your name is changed.", err
	case "password":
		err := p.Self.ChangePassword(ctx, who, proof, in.String("new_password"))
		return "Your password is changed, and you are signed out everywhere else.", err
	case "totp-setup":
		s, err := p.Self.BeginTOTP(ctx, who, proof)
		if err == nil {
			d.Setup, err = newSetup(s.URI)
		}
		return "", err
	case "totp-enable":
		codes, err := p.Self.EnableTOTP(ctx, who, proof)
		d.Codes = codes
		if fault.Is(err, fault.CodeInvalid) {
			setup, broken := newSetup(in.String("uri"))
			if d.Setup = setup; broken != nil {
				err = broken
			}
		}
		return "Two-factor authentication is on. If an application asked for it, sign in there again.", err
	case "totp-disable":
		return "Two-factor authentication is off.", p.Self.DisableTOTP(ctx, who, proof)
	case "backup-codes":
		codes, err := p.Self.NewBackupCodes(ctx, who, proof)
		d.Codes = codes
		return "These are your new backup codes; the old ones no longer work.", err
	case "end-session":
		return "That session has ended.", p.Self.EndSession(ctx, who, session.ID(in.String("session")))
	case "withdraw":
		return "That application no longer has access.", p.Self.Withdraw(ctx, who, client.ID(in.String("client")))
	}
	return "", fault.New(fault.FieldInvalid)
}
