package snooplytics

import (
	"net/http"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// sessionRoutes are for who is signed in, by the session (contract §10, §11).
func (a *API) sessionRoutes() []route {
	return []route{
		{method: "POST", path: "/api/auth/sign-out", wants: byVisitor, bare: true, do: (*API).leave},
		{method: "GET", path: "/api/auth/get-session", wants: byVisitor, do: (*API).getSession},
		{method: "GET", path: "/api/auth/list-sessions", wants: bySession, do: (*API).listSessions},
		{method: "POST", path: "/api/auth/revoke-session", wants: bySession, do: (*API).revokeSession},
		{method: "POST", path: "/api/auth/revoke-sessions", wants: bySession, bare: true, do: (*API).revokeSessions},
		{method: "POST", path: "/api/auth/revoke-other-sessions", wants: bySession, bare: true, do: (*API).revokeOthers},
		{method: "POST", path: "/api/auth/change-password", wants: bySession, do: (*API).changePassword},

		{method: "GET", path: "/api/auth/passkey/generate-register-options", wants: bySession, limit: passkeyLimit, do: (*API).registerOptions},
		{method: "POST", path: "/api/auth/passkey/verify-registration", wants: bySession, limit: passkeyLimit, do: (*API).register},
		{method: "GET", path: "/api/auth/passkey/generate-authenticate-options", limit: passkeyLimit, do: (*API).passkeyOptions},
		{method: "POST", path: "/api/auth/passkey/verify-authentication", limit: passkeyLimit, do: (*API).passkey},
		{method: "GET", path: "/api/auth/passkey/list-user-passkeys", wants: bySession, limit: passkeyLimit, do: (*API).listPasskeys},
		{method: "POST", path: "/api/auth/passkey/delete-passkey", wants: bySession, limit: passkeyLimit, do: (*API).deletePasskey},
		{method: "POST", path: "/api/auth/passkey/update-passkey", wants: bySession, limit: passkeyLimit, do: (*API).updatePasskey},

		{method: "POST", path: "/api/auth/two-factor/enable", wants: byPartial, limit: twoFactorLimit, do: (*API).enable},
		{method: "POST", path: "/api/auth/two-factor/disable", wants: bySession, limit: twoFactorLimit, do: (*API).disable},
		{method: "POST", path: "/api/auth/two-factor/get-totp-uri", wants: byPartial, limit: twoFactorLimit, do: (*API).totpURI},
		{method: "POST", path: "/api/auth/two-factor/verify-totp", wants: byVisitor, limit: twoFactorLimit, do: (*API).verifyTOTP},
		{method: "POST", path: "/api/auth/two-factor/send-otp", wants: byVisitor, bare: true, limit: twoFactorLimit, do: (*API).sendOTP},
		{method: "POST", path: "/api/auth/two-factor/verify-otp", wants: byVisitor, limit: twoFactorLimit, do: (*API).verifyOTP},
		{method: "POST", path: "/api/auth/two-factor/verify-backup-code", wants: byVisitor, limit: twoFactorLimit, do: (*API).verifyBackupCode},
		{method: "POST", path: "/api/auth/two-factor/generate-backup-codes", wants: bySession, limit: twoFactorLimit, do: (*API).newBackupCodes},
	}
}

// leave is POST /sign-out. It never fails: a session that is none is over.
func (a *API) leave(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.SignIn.SignOut(r.Context(), c.cookie(r, sessionCookie), true, visitor(r)); err != nil {
		return err
	}
	c.signOut(w, r)
	return done(w, map[string]bool{"success": true})
}

// current is who is signed in.
type current struct {
	Session sitting `json:"session"`
	User    user    `json:"user"`
}

// getSession is GET /get-session: null for nobody.
func (a *API) getSession(w http.ResponseWriter, r *http.Request, c *call) error {
	if c.who == nil || c.who.Session.Partial {
		return done(w, nil)
	}
	u, err := a.person(r, c)
	if err != nil {
		return err
	}
	return done(w, current{sittingOf(c.who.Session), u})
}

// person is the caller on the wire.
func (a *API) person(r *http.Request, c *call) (user, error) {
	p, err := a.Self.Me(r.Context(), c.who.Caller)
	return userOf(p.User, c.who.standing.Factor), err
}

// fresh refuses somebody who has not signed in for a day (contract §11).
func (a *API) fresh(c *call) error {
	if a.Now().Sub(c.who.AuthenticatedAt) >= freshFor {
		return refuse("SESSION_NOT_FRESH")
	}
	return nil
}

// listSessions is GET /list-sessions.
func (a *API) listSessions(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.fresh(c); err != nil {
		return err
	}
	all, err := a.Self.Sessions(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	out := []sitting{}
	for _, s := range all {
		if !s.Partial {
			out = append(out, sittingOf(s))
		}
	}
	return done(w, out)
}

// revokeSession is POST /revoke-session, by the token of the sign-in or by the id of
// the list. A session that is none has ended.
func (a *API) revokeSession(w http.ResponseWriter, r *http.Request, c *call) error {
	token, id := c.text("token", wire.Max(maxOpaque)), c.text("id", wire.Max(maxOpaque))
	if token == "" && id == "" && c.err() == nil {
		c.wrong("token", "Required")
	}
	if err := c.err(); err != nil {
		return err
	}
	if err := a.Self.EndNamed(r.Context(), c.who.Caller, or(token, id)); err != nil {
		return err
	}
	return done(w, okay)
}

// revokeSessions is POST /revoke-sessions: all of them.
func (a *API) revokeSessions(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Self.EndSessions(r.Context(), c.who.Caller, false); err != nil {
		return err
	}
	c.signOut(w, r)
	return done(w, okay)
}

// revokeOthers is POST /revoke-other-sessions.
func (a *API) revokeOthers(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Self.EndSessions(r.Context(), c.who.Caller, true); err != nil {
		return err
	}
	return done(w, okay)
}

// raised is a session that has a new cookie.
type raised struct {
	Token *string `json:"token"`
	User  user    `json:"user"`
}

// raise gives the browser the new cookie of its session and tells who has it.
func (a *API) raise(w http.ResponseWriter, r *http.Request, c *call, got self.Raised, factor bool) (raised, error) {
	c.who.Session = got.Session
	c.keep(w, r, got)
	p, err := a.Self.Me(r.Context(), c.who.Caller)
	return raised{name(got.Cookie), userOf(p.User, factor)}, err
}

// keep gives the browser the new cookie of its session, if there is one, for as long as
// it had the old.
func (c *call) keep(w http.ResponseWriter, r *http.Request, got self.Raised) {
	if got.Cookie != "" {
		c.signIn(w, r, got.Cookie, c.cookie(r, forgetCookie) == "")
	}
}

// proof is the password that a change of the ways in wants.
func proof(password string) self.Proof {
	return self.Proof{Password: password, PasswordTries: limit.Rule{Name: "snooplytics.password", N: 10, Per: 15 * time.Minute}}
}

// changePassword is POST /change-password. All other sessions end, asked for or not:
// whoever knew the old password may be in one of them.
func (a *API) changePassword(w http.ResponseWriter, r *http.Request, c *call) error {
	old := c.text("currentPassword", wire.Max(maxPassword))
	next := c.text("newPassword", required, wire.Max(maxPassword))
	c.flag("revokeOtherSessions", false)
	if err := c.err(); err != nil {
		return err
	}
	if err := a.Self.ChangePassword(r.Context(), c.who.Caller, proof(old), next); err != nil {
		return err
	}
	got, err := a.Self.Rekey(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	out, err := a.raise(w, r, c, got, c.who.standing.Factor)
	if err != nil {
		return err
	}
	return done(w, out)
}
