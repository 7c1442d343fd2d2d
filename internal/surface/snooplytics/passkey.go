package snooplytics

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/passkey"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// party is whom passkeys belong to: the domain that the settings name, else the host of
// the application's pages, else ours. Its pages are those that may call us and are of
// that domain.
func (a *API) party(r *http.Request, c *call) (passkey.Party, error) {
	domain := c.set.PasskeyDomain
	if u, err := url.Parse(or(c.set.AppURL, base(r.Context()))); domain == "" && err == nil {
		domain = u.Hostname()
	}
	cl, err := a.SignIn.ClientBy(r.Context(), signin.ClientRef{ID: c.client})
	if err != nil {
		return passkey.Party{}, err
	}
	var pages []string
	for _, o := range append([]string{client.Origin(base(r.Context())), client.Origin(c.set.AppURL)}, cl.Policy.AllowedOrigins...) {
		u, err := url.Parse(o)
		if host := u.Hostname(); err == nil && host != "" && (host == domain || strings.HasSuffix(host, "."+domain)) {
			pages = append(pages, client.Origin(o))
		}
	}
	return passkey.NewPartyOf(domain, cl.Name, pages...)
}

// passkeyView is a passkey on the wire.
type passkeyView struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	UserID       string `json:"userId"`
	CredentialID string `json:"credentialID"`
	DeviceType   string `json:"deviceType"`
	BackedUp     bool   `json:"backedUp"`
	CreatedAt    stamp  `json:"createdAt"`
}

func passkeyOf(k passkey.Passkey) passkeyView {
	device := "singleDevice"
	if k.Synced {
		device = "multiDevice"
	}
	return passkeyView{k.ID.String(), k.Name, string(k.UserID), k.ID.String(), device, k.Synced, stamp(k.CreatedAt)}
}

// owner is the caller for a change of their passkeys, which wants a fresh session.
func (c *call) owner() self.Caller {
	who := c.who.Caller
	who.FreshFor = freshFor
	return who
}

// registerOptions is GET /passkey/generate-register-options.
func (a *API) registerOptions(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodHead {
		return done(w, nil)
	}
	at, err := a.party(r, c)
	if err != nil {
		return err
	}
	setup, err := a.Self.BeginPasskey(r.Context(), c.owner(), self.Proof{}, at)
	if err != nil {
		return err
	}
	c.setCookie(w, r, passkeyCookie, setup.Handle, passkey.Life)
	return done(w, setup.Options)
}

// defaultName is what a passkey is called whose owner gave it no name.
const defaultName = "Passkey"

// register is POST /passkey/verify-registration.
func (a *API) register(w http.ResponseWriter, r *http.Request, c *call) error {
	in := self.NewPasskey{Handle: c.cookie(r, passkeyCookie), Response: c.body.Raw("response"), Name: or(c.text("name", wire.Max(maxName)), defaultName)}
	if c.body.Object("response", required); c.err() != nil {
		return c.err()
	}
	var err error
	if in.Party, err = a.party(r, c); err != nil {
		return err
	}
	c.clearCookie(w, r, passkeyCookie)
	made, err := a.Self.AddPasskey(r.Context(), c.who.Caller, in)
	if f, ok := fault.From(err); ok && f.Code == fault.FieldInvalid && f.Field == "passkey" {
		return refuse("FAILED_TO_VERIFY_REGISTRATION").because(err)
	}
	if err != nil {
		return as(err, noChallenge)
	}
	return done(w, passkeyOf(made))
}

var noChallenge = map[fault.Code]string{fault.ChallengeInvalid: "CHALLENGE_NOT_FOUND"}

// passkeyOptions is GET /passkey/generate-authenticate-options. They name no passkey:
// nobody learns by them who has one.
func (a *API) passkeyOptions(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.Method == http.MethodHead {
		return done(w, nil)
	}
	at, err := a.party(r, c)
	if err != nil {
		return err
	}
	asked, err := a.SignIn.AskPasskey(r.Context(), signin.AskPasskeyIn{ClientID: c.client, Party: at, Visitor: c.visitor(r)})
	if err != nil {
		return err
	}
	c.setCookie(w, r, passkeyCookie, asked.Handle, passkey.Life)
	return done(w, asked.Options)
}

// passkey is POST /passkey/verify-authentication.
func (a *API) passkey(w http.ResponseWriter, r *http.Request, c *call) error {
	in := signin.PasskeyIn{ClientID: c.client, Handle: c.cookie(r, passkeyCookie), Response: c.body.Raw("response"), Visitor: c.visitor(r)}
	if c.body.Object("response", required); c.err() != nil {
		return c.err()
	}
	var err error
	if in.Party, err = a.party(r, c); err != nil {
		return err
	}
	c.clearCookie(w, r, passkeyCookie)
	out, err := a.SignIn.Passkey(r.Context(), in)
	switch {
	case errors.Is(err, passkey.ErrUnknown):
		return refuse("PASSKEY_NOT_FOUND").because(err)
	case fault.Is(err, fault.CredentialsInvalid):
		return refuse("AUTHENTICATION_FAILED").because(err)
	case err != nil:
		return as(err, noChallenge)
	}
	return a.finish(w, r, c, out, true, func(in *signin.SignedIn) error {
		return done(w, current{sittingOf(in.Started), userOfSignIn(in)})
	})
}

// listPasskeys is GET /passkey/list-user-passkeys.
func (a *API) listPasskeys(w http.ResponseWriter, r *http.Request, c *call) error {
	ring, err := a.Self.Passkeys(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	out := []passkeyView{}
	for _, k := range ring.Passkeys {
		out = append(out, passkeyOf(k))
	}
	return done(w, out)
}

// unknownPasskey is the refusal of a passkey that the caller has not.
func unknownPasskey(err error) error {
	if errors.Is(err, passkey.ErrUnknown) {
		return refuse("PASSKEY_NOT_FOUND").as(http.StatusNotFound).because(err)
	}
	return err
}

// passkeyID reads the id of a passkey; a malformed one is as unknown as any other.
func (c *call) passkeyID() passkey.ID {
	id, _ := passkey.ParseID(c.text("id", required, wire.Max(maxOpaque)))
	return id
}

// deletePasskey is POST /passkey/delete-passkey.
func (a *API) deletePasskey(w http.ResponseWriter, r *http.Request, c *call) error {
	id := c.passkeyID()
	if err := c.err(); err != nil {
		return err
	}
	if err := a.Self.RemovePasskey(r.Context(), c.owner(), self.Proof{}, id); err != nil {
		return unknownPasskey(err)
	}
	return done(w, okay)
}

// updatePasskey is POST /passkey/update-passkey.
func (a *API) updatePasskey(w http.ResponseWriter, r *http.Request, c *call) error {
	id, called := c.passkeyID(), c.text("name", required, wire.Min(1), wire.Max(maxName))
	if err := c.err(); err != nil {
		return err
	}
	if err := a.Self.RenamePasskey(r.Context(), c.who.Caller, id, called); err != nil {
		return unknownPasskey(err)
	}
	ring, err := a.Self.Passkeys(r.Context(), c.who.Caller)
	if err != nil {
		return err
	}
	for _, k := range ring.Passkeys {
		if k.ID.String() == id.String() {
			return done(w, passkeyOf(k))
		}
	}
	return refuse("PASSKEY_NOT_FOUND").as(http.StatusNotFound) // removed since
}
