package snooplytics

import (
	"net/http"
	"slices"

	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/passkey"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/wire"
)

// meRoutes are a person's own account (contract §14).
func (a *API) meRoutes() []route {
	return []route{
		{method: "GET", path: "/api/user/me", wants: byAny, scope: userRead, do: (*API).me},
		{method: "PUT", path: "/api/user/me", wants: byAny, scope: userWrite, do: (*API).updateMe},
		{method: "DELETE", path: "/api/user/me", wants: bySession, do: (*API).deleteMe},
		{method: "GET", path: "/api/user/me/export", wants: byAny, scope: userRead, do: (*API).export},
		{method: "GET", path: "/api/user/me/login-history", wants: byAny, scope: userRead, do: (*API).logins},
	}
}

// preferences are what mails somebody wants. We send none but those that they asked
// for or must know of.
type preferences struct {
	OptOut bool `json:"marketingOptOut"`
}

// me is a person on the wire, to themselves.
type me struct {
	ID          identity.UserID `json:"id"`
	CreatedAt   stamp           `json:"createdAt"`
	UpdatedAt   stamp           `json:"updatedAt"`
	Email       string          `json:"email"`
	IsVerified  bool            `json:"isVerified"`
	VerifiedAt  stamp           `json:"verifiedAt"`
	IsActive    bool            `json:"isActive"`
	LastLogin   stamp           `json:"lastLoginAt"`
	FullName    string          `json:"fullName"`
	Preferences preferences     `json:"emailPreferences"`
	TwoFactor   bool            `json:"twoFactorEnabled"`
	Orgs        int             `json:"organizationCount"`
	Role        string          `json:"role"`
}

func meOf(p self.Person) me {
	u := p.User
	return me{
		ID: u.ID, CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt), Email: u.Email, IsVerified: u.EmailVerified, VerifiedAt: stamp(p.VerifiedAt()),
		IsActive: u.Status == identity.Active, LastLogin: stamp(p.LastLogin), FullName: u.DisplayName, TwoFactor: p.TOTP, Orgs: len(p.Seats), Role: roleIn(p.Roles),
	}
}

// roleIn is a person's role in the application: the wire has one.
func roleIn(roles []string) string {
	switch {
	case slices.Contains(roles, "admin"):
		return "admin"
	case len(roles) > 0:
		return roles[0]
	}
	return "user"
}

// me is GET /api/user/me.
func (a *API) me(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := a.Self.Person(r.Context(), c.who.Caller, c.client)
	if err != nil {
		return err
	}
	return done(w, meOf(p))
}

// updateMe is PUT /api/user/me.
func (a *API) updateMe(w http.ResponseWriter, r *http.Request, c *call) error {
	name := c.line("fullName", wire.Required)
	if err := c.err(); err != nil {
		return err
	}
	if _, err := a.Self.Rename(r.Context(), c.who.Caller, name); err != nil {
		return err
	}
	return a.me(w, r, c)
}

// notFresh is the refusal of a change that wants a sign-in of the last day (contract §9).
func notFresh(err error) *refusal {
	return refuse("FORBIDDEN").saying("Session is not fresh").because(err)
}

// deleteMe is DELETE /api/user/me, by a session of the last day: neither a key nor an
// application's token ends somebody's account.
func (a *API) deleteMe(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := a.Self.Leave(r.Context(), c.who.Caller, c.client); fault.Is(err, fault.ProofRequired) {
		return notFresh(err)
	} else if err != nil {
		return err
	}
	c.signOut(w, r)
	return done(w, nil)
}

// login is a sign-in on the wire.
type login struct {
	ID        string `json:"id"`
	CreatedAt stamp  `json:"createdAt"`
	Method    string `json:"method"`
	IPAddress string `json:"ipAddress"`
	UserAgent string `json:"userAgent"`
	Success   bool   `json:"success"`
}

func loginOf(e audit.Entry) login {
	method, _ := e.Detail["method"].(string)
	agent, _ := e.Detail["user_agent"].(string)
	return login{ID: e.ID, CreatedAt: stamp(e.At), Method: methodOf(method), IPAddress: e.IP, UserAgent: agent, Success: e.Action == audit.UserLogin}
}

// logins is GET /api/user/me/login-history, the newest first.
func (a *API) logins(w http.ResponseWriter, r *http.Request, c *call) error {
	p := c.page()
	if err := c.err(); err != nil {
		return err
	}
	all, total, err := a.Self.Logins(r.Context(), c.who.Caller, c.client, p.self())
	if err != nil {
		return err
	}
	return list(w, viewsOf(all, loginOf), total, p)
}

// exported is all that is kept of a person, but for what must stay secret.
type exported struct {
	User        me             `json:"user"`
	Emails      []exportEmail  `json:"emails"`
	Accounts    []exportLink   `json:"linkedAccounts"`
	Passkeys    []exportKey    `json:"passkeys"`
	BackupCodes int            `json:"backupCodesRemaining"`
	Sessions    []sitting      `json:"sessions"`
	Keys        []keyView      `json:"apiKeys"`
	Orgs        []organization `json:"organizations"`
	Logins      []login        `json:"loginHistory"`
}

type exportEmail struct {
	Email      string `json:"email"`
	Primary    bool   `json:"primary"`
	VerifiedAt stamp  `json:"verifiedAt"`
	CreatedAt  stamp  `json:"createdAt"`
}

type exportLink struct {
	Provider  string `json:"provider"`
	Subject   string `json:"subject"`
	Email     string `json:"email"`
	CreatedAt stamp  `json:"createdAt"`
}

type exportKey struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	CreatedAt stamp  `json:"createdAt"`
	UsedAt    stamp  `json:"lastUsedAt"`
}

// export is GET /api/user/me/export. Keys are told of to who may read keys.
func (a *API) export(w http.ResponseWriter, r *http.Request, c *call) error {
	e, err := a.Self.Export(r.Context(), c.who.Caller, c.client)
	if err != nil {
		return err
	}
	if !c.who.Covers(keysRead) {
		e.Keys = nil
	}
	out := exported{
		User: meOf(e.Person), BackupCodes: e.BackupCodes, Keys: viewsOf(e.Keys, keyOf), Logins: viewsOf(e.Logins, loginOf),
		Emails: viewsOf(e.Emails, func(m identity.Email) exportEmail {
			return exportEmail{m.Address, m.Primary, stamp(m.VerifiedAt), stamp(m.CreatedAt)}
		}),
		Accounts: viewsOf(e.Links, func(l identity.Link) exportLink {
			return exportLink{l.Upstream, l.Subject, l.Email, stamp(l.CreatedAt)}
		}),
		Passkeys: viewsOf(e.Passkeys, func(k passkey.Passkey) exportKey {
			return exportKey{k.ID.String(), k.Name, stamp(k.CreatedAt), stamp(k.UsedAt)}
		}),
		Sessions: viewsOf(e.Sessions, func(s session.Session) sitting { return sittingOf(s) }),
		Orgs:     viewsOf(e.Seats, func(s org.Seat) organization { return organizationOf(s) }),
	}
	w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
	return done(w, out)
}
