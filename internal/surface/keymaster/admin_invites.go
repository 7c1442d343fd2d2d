package keymaster

import (
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/wire"
)

// inviteView is an invitation as lists show it (contract §8.4).
type inviteView struct {
	ID        string        `json:"id"`
	AppID     client.ID     `json:"app_id"`
	Email     *string       `json:"email"`
	Roles     []string      `json:"roles"`
	Status    invite.Status `json:"status"`
	ExpiresAt string        `json:"expires_at"`
	CreatedAt string        `json:"created_at"`
}

func viewInvite(i invite.Invite) inviteView {
	return inviteView{i.ID, i.ClientID, orNull(i.Email), list(i.Roles), i.Status, timestamp(i.ExpiresAt), timestamp(i.CreatedAt)}
}

// madeInvite is an invitation with its code, which is shown this once, and to
// nobody where it would let them in as somebody else.
type madeInvite struct {
	ID        string        `json:"id"`
	AppID     client.ID     `json:"app_id"`
	Email     *string       `json:"email"`
	Code      *string       `json:"code"`
	Roles     []string      `json:"roles"`
	Status    invite.Status `json:"status"`
	URL       *string       `json:"invite_url"`
	ExpiresAt string        `json:"expires_at"`
	CreatedAt string        `json:"created_at"`
}

// defaultInviteDays is how long an invitation is good if nobody says.
const defaultInviteDays = 7

// createInvite is POST /admin/invites.
func (a *API) createInvite(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.adminOrService, http.StatusCreated, func(who admin.Caller, b *wire.Body) (any, error) {
		in := admin.InviteIn{
			ClientID: appID(b, wire.Required), Email: email(b), Roles: b.Strings("roles"), Days: defaultInviteDays,
		}
		if n, given := b.OptInt("expires_in_days", wire.Min(1), wire.Max(admin.MaxInviteDays)); given {
			in.Days = n
		}
		if send, given := b.OptBool("send_email"); given {
			in.Quiet = !send
		}
		if err := b.Err(); err != nil {
			return nil, err
		}
		made, err := a.Admin.Invite(r.Context(), who, in)
		v := viewInvite(made.Invite)
		return madeInvite{
			ID: v.ID, AppID: v.AppID, Email: v.Email, Code: orNull(made.Code), Roles: v.Roles, Status: v.Status,
			URL: orNull(made.Link), ExpiresAt: v.ExpiresAt, CreatedAt: v.CreatedAt,
		}, err
	})
}

type inviteList struct {
	Invites []inviteView `json:"invites"`
	Total   int          `json:"total"`
}

// invites is GET /admin/invites.
func (a *API) invites(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		in := admin.InvitesIn{
			ClientID: client.ID(known(q.String("app_id"))), Page: page(q),
			Status: invite.Status(choice(q, "status", "pending", "accepted", "revoked", "expired")),
		}
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Invites(r.Context(), who, in)
		out := inviteList{Invites: make([]inviteView, len(all)), Total: total}
		for i, v := range all {
			out.Invites[i] = viewInvite(v)
		}
		return out, err
	})
}

// revokeInvite is DELETE /admin/invites/{invite_id}.
func (a *API) revokeInvite(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		return ok, a.Admin.RevokeInvite(r.Context(), who, known(r.PathValue("invite_id")))
	})
}

// entryView is an entry of the audit log (contract §8.5).
type entryView struct {
	ID     string           `json:"id"`
	At     string           `json:"at"`
	Actor  string           `json:"actor"`
	Action audit.Action     `json:"action"`
	AppID  *client.ID       `json:"app_id"`
	UserID *identity.UserID `json:"user_id"`
	IP     *string          `json:"ip"`
	Detail map[string]any   `json:"detail"`
}

type entryList struct {
	Entries []entryView `json:"entries"`
	Total   int         `json:"total"`
}

// audit is GET /admin/audit.
func (a *API) audit(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		in := admin.LogIn{ClientID: client.ID(known(q.String("app_id"))), UserID: identity.UserID(known(q.String("user_id"))), Page: page(q)}
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Log(r.Context(), who, in)
		out := entryList{Entries: make([]entryView, len(all)), Total: total}
		for i, e := range all {
			out.Entries[i] = entryView{
				e.ID, timestamp(e.At), e.Actor.String(), e.Action, orNull(e.ClientID), orNull(e.UserID), orNull(e.IP), e.Detail,
			}
		}
		return out, err
	})
}
