package keymaster

import (
	"cmp"
	"net/http"
	"slices"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// adminRoutes are the admin API (contract §8), the management of webhooks
// (§9.1), and the public logos that the former uploads.
func (a *API) adminRoutes() []wire.Route {
	return []wire.Route{
		{Method: "GET", Pattern: "/admin/apps", Handler: a.apps},
		{Method: "POST", Pattern: "/admin/apps", Handler: a.createApp},
		{Method: "GET", Pattern: "/admin/apps/{app_id}", Handler: a.app},
		{Method: "PUT", Pattern: "/admin/apps/{app_id}", Handler: a.updateApp},
		{Method: "DELETE", Pattern: "/admin/apps/{app_id}", Handler: a.deleteApp},
		{Method: "POST", Pattern: "/admin/apps/{app_id}/logo", Handler: a.uploadLogo},
		{Method: "POST", Pattern: "/admin/apps/{app_id}/regenerate-secret", Handler: a.regenerateSecret},
		{Method: "GET", Pattern: "/apps/{app_id}/logo", Handler: a.logo},

		{Method: "GET", Pattern: "/admin/users", Handler: a.users},
		{Method: "POST", Pattern: "/admin/users", Handler: a.createUser},
		{Method: "PUT", Pattern: "/admin/users/{user_id}/roles", Handler: a.setRoles},
		{Method: "POST", Pattern: "/admin/users/{user_id}/suspend", Handler: a.enrolment((*admin.Core).Suspend)},
		{Method: "POST", Pattern: "/admin/users/{user_id}/unsuspend", Handler: a.enrolment((*admin.Core).Unsuspend)},
		{Method: "POST", Pattern: "/admin/users/{user_id}/approve", Handler: a.enrolment((*admin.Core).Approve)},
		{Method: "POST", Pattern: "/admin/users/{user_id}/reject", Handler: a.enrolment((*admin.Core).Reject)},
		{Method: "DELETE", Pattern: "/admin/users/{user_id}/apps/{app_id}", Handler: a.unenrol},

		{Method: "GET", Pattern: "/admin/tenants", Handler: a.tenants},
		{Method: "POST", Pattern: "/admin/tenants", Handler: a.createTenant},
		{Method: "GET", Pattern: "/admin/tenants/{tenant_id}", Handler: a.tenant},
		{Method: "PUT", Pattern: "/admin/tenants/{tenant_id}", Handler: a.updateTenant},

		{Method: "GET", Pattern: "/admin/invites", Handler: a.invites},
		{Method: "POST", Pattern: "/admin/invites", Handler: a.createInvite},
		{Method: "DELETE", Pattern: "/admin/invites/{invite_id}", Handler: a.revokeInvite},
		{Method: "GET", Pattern: "/admin/audit", Handler: a.audit},

		{Method: "GET", Pattern: "/admin/apps/{app_id}/webhooks", Handler: a.webhooks},
		{Method: "POST", Pattern: "/admin/apps/{app_id}/webhooks", Handler: a.createWebhook},
		{Method: "DELETE", Pattern: "/admin/apps/{app_id}/webhooks/{webhook_id}", Handler: a.deleteWebhook},
		{Method: "POST", Pattern: "/admin/apps/{app_id}/webhooks/{webhook_id}/test", Handler: a.testWebhook},
		{Method: "GET", Pattern: "/admin/apps/{app_id}/webhooks/{webhook_id}/deliveries", Handler: a.deliveries},
		{Method: "POST", Pattern: "/admin/apps/{app_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", Handler: a.redeliver},
	}
}

// who finds the caller of a request.
type who func(*http.Request) (admin.Caller, error)

// AdminCaller is the user whose access token a request carries. What they may
// do is for the core to say.
func (a *API) AdminCaller(r *http.Request) (admin.Caller, error) {
	t, err := a.userCaller(r)
	if err != nil {
		return admin.Caller{}, err
	}
	c := asks(r)
	c.UserID, c.ClientID = t.UserID, t.Audience
	return c, nil
}

// adminOrService is AdminCaller for the routes that take a service's token too
// (contract §5.4).
func (a *API) adminOrService(r *http.Request) (admin.Caller, error) {
	claims, err := a.bearer(r)
	if err != nil {
		return admin.Caller{}, err
	}
	c := asks(r)
	if claims.TokenType == typeService {
		s := claims.service()
		c.Service, c.ClientID, c.Scopes = true, s.ClientID, s.Scopes
		return c, nil
	}
	t, err := claims.user()
	c.UserID, c.ClientID = t.UserID, t.Audience
	return c, err
}

func asks(r *http.Request) admin.Caller {
	o := wire.OriginOf(r.Context())
	return admin.Caller{IP: o.IP, RequestID: o.RequestID, Base: base(r.Context())}
}

// asAdmin runs do for the caller of a request and answers with what it returns.
func (a *API) asAdmin(w http.ResponseWriter, r *http.Request, find who, status int, do func(admin.Caller) (any, error)) {
	c, err := find(r)
	if err != nil {
		a.failAdmin(w, r, err)
		return
	}
	v, err := do(c)
	if err != nil {
		a.failAdmin(w, r, err)
		return
	}
	wire.WriteJSON(w, status, v)
}

// withAdminBody is asAdmin for a route that takes a JSON body.
func (a *API) withAdminBody(w http.ResponseWriter, r *http.Request, find who, status int, do func(admin.Caller, *wire.Body) (any, error)) {
	a.asAdmin(w, r, find, status, func(c admin.Caller) (any, error) {
		b, err := wire.ReadBody(w, r, wire.MaxBody)
		if err != nil {
			return nil, err
		}
		return do(c, b)
	})
}

// fields are the core's names of fields in the words of this API; the others
// are the same.
var fields = map[string]string{
	"registration":   "registration_policy",
	"methods":        "config.allowed_providers",
	"redirect_uris":  "config.redirect_uris",
	"roles":          "config.available_roles",
	"default_roles":  "config.auto_assign_roles",
	"access_minutes": "config.token_lifetime_minutes",
	"refresh_days":   "config.refresh_lifetime_days",
	"color":          "config.branding.primary_color",
	"logo_url":       "config.branding.logo_url",
	"logo_height":    "config.branding.logo_height",
	"min_length":     "password_policy.min_length",
	"days":           "expires_in_days",
}

// wants words what a field should have been.
var wants = map[string]string{
	admin.WantLine:        "must be printable text on one line, not too long",
	admin.WantRedirectURI: "must be absolute without a fragment: https, http on a loopback host, or a custom scheme with a dot",
	admin.WantFewer:       "has too many elements",
	admin.WantAvailable:   "must be among available_roles",
	admin.WantAdmin:       "a Console app needs the role admin",
	admin.WantColor:       "must be a colour such as #9392c7",
	admin.WantWebURL:      "must be an https URL",
	admin.WantRange:       "is out of range",
	admin.WantSame:        "cannot be changed",
	admin.WantSlug:        "must be lower-case letters, digits and single hyphens",
}

// failAdmin is fail in the words of the admin API (contract §8), where an app is
// named by the path and not by the one who signs in.
func (a *API) failAdmin(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := fault.From(err)
	switch {
	case ok && f.Code == fault.ClientUnknown:
		wire.WriteJSON(w, http.StatusNotFound, plainError{"App not found"})
	case ok && f.Code == fault.AlreadyEnrolled:
		wire.WriteJSON(w, http.StatusBadRequest, plainError{"User already enrolled"})
	case ok && f.Code == fault.FieldInvalid:
		said := *f
		said.Field = cmp.Or(fields[f.Field], f.Field)
		said.Params = []string{wants[f.Params[0]]}
		a.fail(w, r, &said)
	default:
		a.fail(w, r, err)
	}
}

// The ids in a path. A malformed one is as unknown as any other.

func appOf(r *http.Request) client.ID {
	id, _ := identity.ParseID(r.PathValue("app_id"))
	return client.ID(id)
}

func userOf(r *http.Request) identity.UserID {
	id, _ := identity.ParseID(r.PathValue("user_id"))
	return identity.UserID(id)
}

// The size of a page of a list (contract §8).
const (
	defaultLimit = 50
	maxLimit     = 200
	maxPage      = 1 << 20
)

func page(q *wire.Params) admin.Page {
	p := admin.Page{Number: 1, Size: defaultLimit}
	if n, given := q.OptInt("page", wire.Min(1), wire.Max(maxPage)); given {
		p.Number = n
	}
	if n, given := q.OptInt("limit", wire.Min(1), wire.Max(maxLimit)); given {
		p.Size = n
	}
	return p
}

// choice reads a parameter that is one of a few words, or absent.
func choice(q *wire.Params, name string, words ...string) string {
	s, given := q.OptString(name)
	if given && !slices.Contains(words, s) {
		q.Fail(name, wire.Invalid, "is not one of the known values")
	}
	return s
}

// orNull is a text that is null in JSON when there is none.
func orNull[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}
