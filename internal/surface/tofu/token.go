package tofu

import (
	"errors"
	"net/http"

	"sallyport/internal/fault"
	"sallyport/internal/session"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// tokenPair is the answer of /api/token/ (contract §4).
type tokenPair struct {
	Refresh string `json:"refresh,omitempty"`
	Access  string `json:"access"`
}

// refreshed is that of /api/token/refresh/: the members are the other way around.
type refreshed struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh,omitempty"`
}

// obtain is POST /api/token/ (contract §4). Whatever is wrong with the credentials
// or the account, there is one answer; an account with a second factor counts as
// one that cannot come in by this route.
func (a *API) obtain(w http.ResponseWriter, r *http.Request, q request) error {
	b, err := readFields(w, r)
	if err != nil {
		return err
	}
	in := signin.PasswordIn{
		ClientID: q.settings.Client, Email: b.text("email"), Password: b.text("password"), OneFactor: !q.settings.PasswordRequiresNoMFA,
		Existing: true, Visitor: visitor(r),
	}
	if err := b.err(); err != nil {
		return err
	}
	if err := a.sentByPage(r, q.settings, anyOf(r)); err != nil {
		return err
	}
	cl, err := a.client(r.Context(), q.settings)
	if err != nil {
		return err
	}
	in.Limits, in.SessionFor = obtainLimits(wire.OriginOf(r.Context()), in.Email), sessionLife(cl.Policy)
	out, err := a.SignIn.Password(r.Context(), in)
	if f, ok := fault.From(err); ok && closed[f.Code] || err == nil && out.SignedIn == nil {
		return fault.New(fault.CredentialsInvalid)
	}
	if err != nil {
		return err
	}
	t, _, err := a.issue(r, *out.SignedIn)
	if err != nil {
		return err
	}
	a.give(w, r, q.settings, out.SignedIn.Client, &t)
	write(w, r, http.StatusOK, tokenPair{t.Refresh, t.Access})
	return nil
}

// closed are the faults of somebody who proved right and may not come in, and of a
// client that nobody comes into by a password.
var closed = map[fault.Code]bool{
	fault.NotEnrolled: true, fault.EnrolmentPending: true, fault.EnrolmentSuspended: true, fault.FactorSetupRequired: true,
	fault.EmailUnverified: true, fault.MethodDisabled: true,
}

// issue numbers the user of a sign-in and signs its tokens.
func (a *API) issue(r *http.Request, in signin.SignedIn) (t pair, number int64, err error) {
	if number, err = a.SignIn.Number(r.Context(), in.Client.ID, in.User.ID); err != nil {
		return t, 0, err
	}
	t, err = a.newPair(in.Client, number, in.SessionID)
	return t, number, err
}

// refresh is POST /api/token/refresh/ (contract §5). A refresh token can be used
// again until it expires, unless rotate_refresh is on.
func (a *API) refresh(w http.ResponseWriter, r *http.Request, q request) error {
	if err := a.SignIn.Count(r.Context(), refreshLimits(wire.OriginOf(r.Context()))...); err != nil {
		return err
	}
	b, err := readFields(w, r)
	if err != nil {
		return err
	}
	raw := b.text("refresh")
	if err := b.err(); err != nil {
		return err
	}
	if q.settings.ProxyMode { // then it leaves a cookie, as a sign-in does
		if err := a.sentByPage(r, q.settings, pageOrNone); err != nil {
			return err
		}
	}
	cl, err := a.client(r.Context(), q.settings)
	if err != nil {
		return err
	}
	c, err := a.read(cl, typeRefresh, raw)
	if err != nil {
		return asAnswer(err)
	}
	number, ok := numberOf(c)
	if !ok {
		return refuse(http.StatusUnauthorized, namesNobody, notValid)
	}
	in := signin.RefreshHeldIn{HeldIn: signin.HeldIn{ClientID: cl.ID, Alias: number, Session: session.ID(textOf(c, "sid"))}, Token: textOf(c, "jti"), Visitor: visitor(r)}
	var t pair
	if q.settings.RotateRefresh {
		next := successor(c, typeRefresh, a.Now(), cl.Policy.RefreshToken.Lifetime)
		in.Next, in.For = textOf(next, "jti"), sessionLife(cl.Policy)
		if t.Refresh, err = a.sign(cl, next); err != nil {
			return err
		}
	}
	if t.Access, err = a.sign(cl, successor(c, typeAccess, a.Now(), cl.Policy.AccessToken.Lifetime)); err != nil {
		return err
	}
	if err := a.SignIn.RefreshHeld(r.Context(), in); err != nil {
		return refusedRefresh(err)
	}
	a.give(w, r, q.settings, cl, &t)
	write(w, r, http.StatusOK, refreshed(t))
	return nil
}

// refusedRefresh words why a genuine refresh token is refused.
func refusedRefresh(err error) error {
	f, ok := fault.From(err)
	switch {
	case !ok:
		return err
	case f.Code == fault.RefreshInvalid || f.Code == fault.RefreshReused:
		return refuse(http.StatusUnauthorized, isBlacklisted, notValid)
	case f.Code == fault.UserUnknown || closed[f.Code]:
		return refuse(http.StatusUnauthorized, "No active account found for the given token.", "")
	}
	return err
}

// asAnswer words what is wrong with a token that came in a body.
func asAnswer(err error) error {
	if why, ok := errors.AsType[tokenError](err); ok {
		return refuse(http.StatusUnauthorized, string(why), notValid)
	}
	return err
}

// verify is POST /api/token/verify/ (contract §6): signature, time and id of a
// token of any type. One of a session that has ended is told so only where
// refresh tokens rotate, as SimpleJWT looks at its blacklist only then.
func (a *API) verify(w http.ResponseWriter, r *http.Request, q request) error {
	b, err := readFields(w, r)
	if err != nil {
		return err
	}
	raw := b.text("token")
	if err := b.err(); err != nil {
		return err
	}
	cl, err := a.client(r.Context(), q.settings)
	if err != nil {
		return err
	}
	c, err := a.read(cl, untyped, raw)
	if err != nil {
		return asAnswer(err)
	}
	if q.settings.RotateRefresh && textOf(c, "token_type") == typeRefresh {
		good, err := a.SignIn.Renewable(r.Context(), session.ID(textOf(c, "sid")), textOf(c, "jti"))
		if err != nil {
			return err
		}
		if !good {
			return problems{{nonField, []string{isBlacklisted}}}
		}
	}
	write(w, r, http.StatusOK, struct{}{})
	return nil
}
