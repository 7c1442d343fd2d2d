package pages

import (
	"net/http"
	"strings"

	"sallyport/internal/fault"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// accountData fills the account page.
type accountData struct {
	self.Profile
	Sessions []session.Session
	Current  session.ID
	Setup    *self.TOTPSetup // a second factor that is being set up
	Codes    []string        // backup codes, shown once
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
		p.notSignedIn(w, r, err)
		return
	}
	p.showAccount(w, r, http.StatusOK, who, view{}, accountData{})
}

func (p *Pages) notSignedIn(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.Unauthenticated) {
		p.message(w, r, http.StatusUnauthorized, "Your account", "You are not signed in. Sign in to one of your applications first, then come back.")
		return
	}
	p.fail(w, r, err)
}

func (p *Pages) showAccount(w http.ResponseWriter, r *http.Request, status int, who self.Caller, v view, d accountData) {
	var err error
	if d.Profile, err = p.Self.Me(r.Context(), who); err == nil {
		d.Sessions, err = p.Self.Sessions(r.Context(), who)
	}
	if err != nil {
		p.notSignedIn(w, r, err)
		return
	}
	d.Current = who.Session.ID
	v.Title, v.Data = "Your account", d
	p.show(w, r, status, "account", v)
}

// postAccount does what a button of the account page says.
func (p *Pages) postAccount(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	who, err := p.browser(r)
	if err != nil {
		p.notSignedIn(w, r, err)
		return
	}
	var d accountData
	notice, err := p.change(w, r, who, in, &d)
	if err != nil {
		f, ok := p.asFault(w, r, err)
		if !ok {
			return
		}
		retryAfter(w, f)
		p.showAccount(w, r, statusOf(f), who, view{Error: words(f)}, d)
		return
	}
	if in.String("do") == "sign-out" {
		p.message(w, r, http.StatusOK, "Signed out", "You are signed out of this browser.")
		return
	}
	p.showAccount(w, r, http.StatusOK, who, view{Notice: notice}, d)
}

// change carries out one change of the account and says that it did.
func (p *Pages) change(w http.ResponseWriter, r *http.Request, who self.Caller, in *wire.Params, d *accountData) (string, error) {
	ctx := r.Context()
	proof := self.Proof{
		Password: in.String("password", wire.Max(maxPassword)), Code: in.String("code", wire.Max(64)),
		PasswordTries: p.Flow.Limits.Password(), CodeTries: p.Flow.Limits.TOTP(),
	}
	switch in.String("do") {
	case "rename":
		name := strings.TrimSpace(in.String("display_name", wire.Max(signin.MaxDisplayName)))
		if name == "" {
			return "", fault.New(fault.DisplayNameRequired)
		}
		_, err := p.Self.Rename(ctx, who, name)
		return "Your name is changed.", err
	case "password":
		err := p.Self.ChangePassword(ctx, who, proof, in.String("new_password", wire.Max(maxPassword)))
		return "Your password is changed, and you are signed out everywhere else.", err
	case "totp-setup":
		s, err := p.Self.BeginTOTP(ctx, who, proof)
		if err == nil {
			d.Setup = &s
		}
		return "", err
	case "totp-enable":
		codes, err := p.Self.EnableTOTP(ctx, who, proof)
		d.Codes = codes
		if fault.Is(err, fault.CodeInvalid) {
			d.Setup = &self.TOTPSetup{Secret: in.String("secret"), URI: in.String("uri")}
		}
		return "Two-factor authentication is on. If an application asked for it, sign in there again.", err
	case "totp-disable":
		return "Two-factor authentication is off.", p.Self.DisableTOTP(ctx, who, proof)
	case "backup-codes":
		codes, err := p.Self.NewBackupCodes(ctx, who, proof)
		d.Codes = codes
		return "Here are your new backup codes; the old ones no longer work.", err
	case "end-session":
		return "That session has ended.", p.Self.EndSession(ctx, who, session.ID(in.String("session")))
	case "unlink":
		return "The account is unlinked.", p.Self.Unlink(ctx, who, proof, in.String("provider"))
	case "sign-out":
		if err := p.SignIn.SignOut(ctx, wire.Cookie(r, p.Flow.Cookie), false, visitor(r)); err != nil {
			return "", err
		}
		wire.ClearCookie(w, r, p.Flow.Cookie)
		return "", nil
	}
	return "", fault.New(fault.FieldInvalid)
}
