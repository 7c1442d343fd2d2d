package keymaster

import (
	"net/http"
	"slices"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/self"
	"sallyport/internal/session"
	"sallyport/internal/wire"
)

// accountRoutes are the account API (contract §7): for a browser with the SSO
// cookie on our own pages, or an app with a user's access token.
func (a *API) accountRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/account/me", Handler: a.me},
		{Method: "PATCH", Pattern: "/account/me", Handler: a.rename},
		{Method: "POST", Pattern: "/account/password", Handler: a.changePassword},
		{Method: "GET", Pattern: "/account/sessions", Handler: a.sessions},
		{Method: "DELETE", Pattern: "/account/sessions/{id}", Handler: a.endSession},
		{Method: "DELETE", Pattern: "/account/providers/{provider}", Handler: a.unlink},
		{Method: "POST", Pattern: "/account/totp/setup", Handler: a.totpSetup},
		{Method: "POST", Pattern: "/account/totp/enable", Handler: a.totpEnable},
		{Method: "POST", Pattern: "/account/totp/disable", Handler: a.totpDisable},
		{Method: "POST", Pattern: "/account/totp/backup-codes", Handler: a.backupCodes},
	}
}

// csrfHeader must come with a change that the cookie authorizes: no other
// site's page can send it without a preflight, which is never allowed here.
const csrfHeader, csrfValue = "X-Requested-With", "keymaster"

// person is who asks about their own account. A bearer token goes before the
// cookie: a request that carries one means it.
func (a *API) person(r *http.Request) (self.Caller, error) {
	o := wire.OriginOf(r.Context())
	if r.Header.Get("Authorization") == "" {
		cookie := wire.Cookie(r, Cookie)
		if cookie == "" || r.Method != http.MethodGet && r.Header.Get(csrfHeader) != csrfValue {
			return self.Caller{}, fault.New(fault.Unauthenticated)
		}
		return a.Self.Browser(r.Context(), cookie, o.IP, o.RequestID)
	}
	t, err := a.userCaller(r)
	if err != nil {
		return self.Caller{}, err
	}
	return self.Caller{UserID: t.UserID, AuthenticatedAt: t.AuthenticatedAt, IP: o.IP, RequestID: o.RequestID}, nil
}

// asPerson runs do for the person behind a request and answers with what it
// returns.
func (a *API) asPerson(w http.ResponseWriter, r *http.Request, do func(self.Caller) (any, error)) {
	who, err := a.person(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	v, err := do(who)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	wire.WriteJSON(w, http.StatusOK, v)
}

// withBody is asPerson for a route that takes a JSON body: read takes what it
// wants, and do runs if nothing is wrong with it.
func (a *API) withBody(w http.ResponseWriter, r *http.Request, do func(self.Caller, *wire.Body) (any, error)) {
	a.asPerson(w, r, func(who self.Caller) (any, error) {
		b, err := wire.ReadBody(w, r, wire.MaxBody)
		if err != nil {
			return nil, err
		}
		return do(who, b)
	})
}

// proof reads what a sensitive call may show (contract §7): the account's
// password, or a code.
func proof(b *wire.Body) self.Proof {
	return self.Proof{
		Password: b.String("password", wire.Max(maxPassword)), Code: b.String("code", wire.Max(64)),
		PasswordTries: PasswordTries(), CodeTries: TOTPTries(),
	}
}

type accountResponse struct {
	ID                   identity.UserID `json:"id"`
	Email                *string         `json:"email"`
	DisplayName          *string         `json:"display_name"`
	TOTPEnabled          bool            `json:"totp_enabled"`
	BackupCodesRemaining int             `json:"backup_codes_remaining"`
	HasPassword          bool            `json:"has_password"`
	Providers            []string        `json:"providers"`
}

func account(p self.Profile) accountResponse {
	out := accountResponse{
		ID: p.User.ID, Email: orNull(p.User.Email), TOTPEnabled: p.TOTP, BackupCodesRemaining: p.BackupCodesRemaining,
		HasPassword: p.User.HasPassword(), Providers: slices.Compact(slices.Sorted(slices.Values(p.Upstreams))),
	}
	if p.User.DisplayName != "" {
		out.DisplayName = &p.User.DisplayName
	}
	if out.Providers == nil {
		out.Providers = []string{}
	}
	return out
}

func (a *API) me(w http.ResponseWriter, r *http.Request) {
	a.asPerson(w, r, func(who self.Caller) (any, error) {
		p, err := a.Self.Me(r.Context(), who)
		return account(p), err
	})
}

func (a *API) rename(w http.ResponseWriter, r *http.Request) {
	a.withBody(w, r, func(who self.Caller, b *wire.Body) (any, error) {
		name := displayName(b, wire.Required)
		if err := b.Err(); err != nil {
			return nil, err
		}
		p, err := a.Self.Rename(r.Context(), who, name)
		return account(p), err
	})
}

func (a *API) changePassword(w http.ResponseWriter, r *http.Request) {
	a.withBody(w, r, func(who self.Caller, b *wire.Body) (any, error) {
		p := proof(b)
		p.Password = b.String("current_password", wire.Max(maxPassword))
		fresh := b.String("new_password", wire.Required, wire.Min(1), wire.Max(maxPassword))
		if err := b.Err(); err != nil {
			return nil, err
		}
		return ok, a.Self.ChangePassword(r.Context(), who, p, fresh)
	})
}

type sessionView struct {
	ID        session.ID `json:"id"`
	CreatedAt string     `json:"created_at"`
	IP        string     `json:"ip"`
	UserAgent string     `json:"user_agent"`
	Current   bool       `json:"current"`
}

type sessionList struct {
	Sessions []sessionView `json:"sessions"`
	Total    int           `json:"total"`
}

func (a *API) sessions(w http.ResponseWriter, r *http.Request) {
	a.asPerson(w, r, func(who self.Caller) (any, error) {
		all, err := a.Self.Sessions(r.Context(), who)
		out := sessionList{Sessions: make([]sessionView, len(all)), Total: len(all)}
		for i, s := range all {
			out.Sessions[i] = sessionView{ID: s.ID, CreatedAt: timestamp(s.CreatedAt), IP: s.IP, UserAgent: s.UserAgent, Current: s.ID == who.Session.ID}
		}
		return out, err
	})
}

// timestamp is an instant in JSON: ISO-8601 UTC with Z (contract §1.1).
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (a *API) endSession(w http.ResponseWriter, r *http.Request) {
	a.asPerson(w, r, func(who self.Caller) (any, error) {
		return ok, a.Self.EndSession(r.Context(), who, session.ID(r.PathValue("id")))
	})
}

// unlink takes a body only from those who have a proof to show.
func (a *API) unlink(w http.ResponseWriter, r *http.Request) {
	do := func(who self.Caller, b *wire.Body) (any, error) {
		p := proof(b)
		if err := b.Err(); err != nil {
			return nil, err
		}
		return ok, a.Self.Unlink(r.Context(), who, p, r.PathValue("provider"))
	}
	if r.ContentLength == 0 {
		a.asPerson(w, r, func(who self.Caller) (any, error) { return do(who, nil) })
		return
	}
	a.withBody(w, r, do)
}

type totpSetupResponse struct {
	Secret string `json:"secret"`
	URI    string `json:"otpauth_uri"`
}

func (a *API) totpSetup(w http.ResponseWriter, r *http.Request) {
	a.withBody(w, r, func(who self.Caller, b *wire.Body) (any, error) {
		p := proof(b)
		if err := b.Err(); err != nil {
			return nil, err
		}
		s, err := a.Self.BeginTOTP(r.Context(), who, p)
		return totpSetupResponse{s.Secret, s.URI}, err
	})
}

type backupCodesResponse struct {
	Status string   `json:"status"`
	Codes  []string `json:"backup_codes"`
}

func (a *API) totpEnable(w http.ResponseWriter, r *http.Request) {
	a.withCode(w, r, func(who self.Caller, p self.Proof) (any, error) {
		codes, err := a.Self.EnableTOTP(r.Context(), who, p)
		return backupCodesResponse{"ok", codes}, err
	})
}

func (a *API) totpDisable(w http.ResponseWriter, r *http.Request) {
	a.withCode(w, r, func(who self.Caller, p self.Proof) (any, error) {
		return ok, a.Self.DisableTOTP(r.Context(), who, p)
	})
}

// withCode is withBody for a route that demands a code.
func (a *API) withCode(w http.ResponseWriter, r *http.Request, do func(self.Caller, self.Proof) (any, error)) {
	a.withBody(w, r, func(who self.Caller, b *wire.Body) (any, error) {
		p := self.Proof{Code: b.String("code", wire.Required, wire.Max(64)), CodeTries: TOTPTries()}
		if err := b.Err(); err != nil {
			return nil, err
		}
		return do(who, p)
	})
}

func (a *API) backupCodes(w http.ResponseWriter, r *http.Request) {
	a.withBody(w, r, func(who self.Caller, b *wire.Body) (any, error) {
		p := proof(b)
		if err := b.Err(); err != nil {
			return nil, err
		}
		codes, err := a.Self.NewBackupCodes(r.Context(), who, p)
		return backupCodesResponse{"ok", codes}, err
	})
}
