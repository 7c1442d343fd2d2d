package signin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/mail"
	"sallyport/internal/onetime"
	"sallyport/internal/secret"
	"sallyport/internal/session"
)

// MagicLinkIn asks for a link that signs in. RedirectURI, if given, must be a
// registered one and is where the link ends up; a Request says so itself. Page is
// where the link leads on the mount, "" for ours; Browser, if set, is what the
// browser that asked will know the link by. Name is what to call somebody new; Life
// is how long the link is good, 0 for MagicLinkLifetime.
type MagicLinkIn struct {
	ClientID    client.ID
	Email       string
	RedirectURI string
	Request     string
	Prove       Prove
	Page        string
	Browser     string
	Name        string
	Life        time.Duration
	Limits      []limit.Rule
	Visitor     Visitor
}

// RequestMagicLink queues a mail with a link that signs its reader in. The
// answer and the work are the same whether or not anybody has the address.
func (c *Core) RequestMagicLink(ctx context.Context, in MagicLinkIn) error {
	email, err := identity.NormalizeEmail(in.Email)
	if err != nil {
		return &fault.Error{Code: fault.EmailInvalid, Field: "email"}
	}
	err = c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := clientFor(ctx, tx, in.ClientID, client.MethodMagicLink, in.Request)
		if err != nil {
			return err
		}
		if _, ok := cl.RedirectURI(in.RedirectURI); !ok && in.RedirectURI != "" {
			return fault.New(fault.RedirectURIInvalid)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := takeIn(ctx, tx, c.Now(), in.Limits...); err != nil {
			return err
		}
		return c.queue(ctx, tx, JobMagicLink, address{ClientID: in.ClientID, Email: email, Base: in.Visitor.Base, RedirectURI: in.RedirectURI, Request: in.Request, Prove: in.Prove.hash(), Page: in.Page, Browser: in.Browser,
			Name: in.Name, Life: in.Life})
	})
}

// magicLink is what a link remembers.
type magicLink struct {
	RedirectURI string `json:"redirect_uri,omitempty"`
	Request     string `json:"request,omitempty"`
	Prove       []byte `json:"prove,omitempty"`   // SHA-256 of the secret of an upstream account that waits
	Browser     []byte `json:"browser,omitempty"` // the hash
	Name        string `json:"name,omitempty"`
}

// SendMagicLink is the job behind RequestMagicLink. A mail is due if the user
// has a place in the client, or could have one by signing in.
func (c *Core) SendMagicLink(ctx context.Context, payload []byte) error {
	var to address
	if err := c.unqueue(JobMagicLink, payload, &to); err != nil {
		return err
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		cl, err := clientFor(ctx, tx, to.ClientID, client.MethodMagicLink, to.Request)
		if _, expected := fault.From(err); expected {
			return nil
		} else if err != nil {
			return err
		}
		u, err := identity.ByEmail(ctx, tx, to.Email)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		switch {
		case cl.Policy.MagicLinkExisting && (u.ID == "" || u.Status != identity.Active):
			return nil
		case u.ID == "":
			if ok, err := takesIn(ctx, tx, cl, to.Email); err != nil || !ok {
				return err
			}
		case cl.Policy.Door(u.Email, u.EmailVerified) == "":
			if _, err := client.EnrolmentOf(ctx, tx, u.ID, cl.ID); errors.Is(err, db.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if cl.Policy.MagicLinkNewest && u.ID != "" {
			if err := onetime.EndAll(ctx, tx, u.ID, onetime.MagicLink); err != nil {
				return err
			}
		}
		link := magicLink{RedirectURI: to.RedirectURI, Request: to.Request, Prove: to.Prove, Name: to.Name}
		if to.Browser != "" {
			link.Browser = secret.Hash(to.Browser)
		}
		data, err := json.Marshal(link)
		if err != nil {
			return err
		}
		now, life := c.Now(), cmp.Or(to.Life, MagicLinkLifetime)
		raw, err := onetime.Create(ctx, tx, onetime.Secret{
			Purpose: onetime.MagicLink, UserID: u.ID, ClientID: cl.ID, Email: to.Email, Data: data, ExpiresAt: now.Add(life),
		}, now)
		if err != nil {
			return err
		}
		d := brand(cl, u)
		own, page := cl.Policy.Links.MagicLink, to.Base+cmp.Or(to.Page, "/auth/magic-link/verify")
		if to.Request != "" {
			own = "" // a page of the client's knows nothing of the request
		}
		if to.Request != "" || cl.Policy.MagicLinkButton && to.Page == "" {
			page = to.Base + "/magic-link"
		}
		d.Link = linkTo(own, page, raw)
		d.Minutes = int(life.Minutes())
		return c.queueMail(ctx, tx, mail.MagicLink, to.Email, d)
	})
}

// SpendLinkIn spends a mailed link. Request is the one that the link was asked
// for in, as MagicLinkTarget tells. Cookie is the binding cookie of the browser, for
// an upstream account that waits for this sign-in.
type SpendLinkIn struct {
	Token   string
	Request string
	Cookie  string
	Limits  Limits
	Visitor Visitor
}

// MagicLinkOut is where a spent link leads. Client and RedirectURI, or Request,
// are set whenever the link was one of ours, also beside a fault. Chosen says
// that the RedirectURI was asked for with the link, New that it made its reader a user.
type MagicLinkOut struct {
	Outcome
	Chosen      bool
	New         bool
	name        string
	browser     []byte
	Client      client.Client
	RedirectURI string
	Request     string
	prove       []byte
}

// MagicLink spends a link and signs its reader in: they have proved that they
// read the address's mail. A new address becomes a user where the client is
// open to that. A link of another request is none, and is used up all the same.
func (c *Core) MagicLink(ctx context.Context, in SpendLinkIn) (MagicLinkOut, error) {
	if err := c.take(ctx, in.Limits.Count...); err != nil {
		return MagicLinkOut{}, err
	}
	var out MagicLinkOut
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) (*fault.Error, error) {
		out = MagicLinkOut{}
		s, err := onetime.Spend(ctx, tx, onetime.MagicLink, in.Token, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return out.expired(ctx, tx, in.Token)
		} else if err != nil {
			return nil, err
		}
		if refused, err := out.target(ctx, tx, s); refused != nil || err != nil {
			return refused, err
		}
		if out.Request != in.Request {
			return fault.New(fault.MagicLinkInvalid), nil
		}
		return out.admit(ctx, tx, c, s, in)
	})
	return out, err
}

// admit finds or makes who reads the mail of a spent link, and admits them.
func (out *MagicLinkOut) admit(ctx context.Context, tx *db.Tx, c *Core, s onetime.Secret, in SpendLinkIn) (*fault.Error, error) {
	v := in.Visitor
	user, err := identity.ByEmail(ctx, tx, s.Email)
	switch {
	case errors.Is(err, db.ErrNotFound):
		if ok, err := takesIn(ctx, tx, out.Client, s.Email); err != nil {
			return nil, err
		} else if !ok || out.Client.Policy.MagicLinkExisting {
			return fault.New(fault.NotEnrolled), nil
		}
		u := newUser(s.Email, out.name, "", c.Now())
		u.EmailVerified, out.New = true, true
		if user, err = c.create(ctx, tx, out.Client, u, client.MethodMagicLink, "", v); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case s.UserID != "" && s.UserID != user.ID: // the address went to somebody else since
		return fault.New(fault.MagicLinkInvalid), nil
	default:
		if user, err = c.prove(ctx, tx, user, s.Email, keep{}, v); err != nil {
			return nil, err
		}
	}
	prove, err := c.stillProves(ctx, tx, out.prove, in.Cookie, user.ID)
	if err != nil {
		return nil, err
	}
	var refused *fault.Error
	out.Outcome, refused, err = c.admit(ctx, tx, proof{
		user: user, client: out.Client, amr: []string{session.Magic}, method: client.MethodMagicLink,
		request: out.Request, visitor: v, prove: prove,
	})
	return refused, err
}

// MagicLinkTarget tells which client a live link is for without spending it.
func (c *Core) MagicLinkTarget(ctx context.Context, raw string) (MagicLinkOut, error) {
	var out MagicLinkOut
	err := c.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = MagicLinkOut{}
		s, err := onetime.Peek(ctx, tx, onetime.MagicLink, raw, c.Now())
		if errors.Is(err, db.ErrNotFound) {
			return fault.New(fault.MagicLinkInvalid)
		} else if err != nil {
			return err
		}
		refused, err := out.target(ctx, tx, s)
		if refused != nil {
			return refused
		}
		return err
	})
	return out, err
}

// AskedBy reports whether the link was asked for in the browser that knows it by
// given.
func (out *MagicLinkOut) AskedBy(given string) bool {
	return len(out.browser) > 0 && secret.Equal(out.browser, secret.Hash(given))
}

// expired fills in where a link led that is past its time and not yet swept
// away, so that the person lands on the right sign-in page.
func (out *MagicLinkOut) expired(ctx context.Context, tx *db.Tx, raw string) (*fault.Error, error) {
	s, err := onetime.Peek(ctx, tx, onetime.MagicLink, raw, time.Time{})
	if err == nil {
		_, err = out.target(ctx, tx, s)
	}
	if errors.Is(err, db.ErrNotFound) {
		err = nil
	}
	return fault.New(fault.MagicLinkInvalid), err
}

// target reads the client of a link and where it leads.
func (out *MagicLinkOut) target(ctx context.Context, tx *db.Tx, s onetime.Secret) (*fault.Error, error) {
	var data magicLink
	if err := json.Unmarshal(s.Data, &data); err != nil {
		return nil, err
	}
	cl, err := clientFor(ctx, tx, s.ClientID, client.MethodMagicLink, data.Request)
	if f, ok := fault.From(err); ok {
		return &fault.Error{Code: fault.MagicLinkInvalid, Err: f}, nil
	} else if err != nil {
		return nil, err
	}
	out.browser, out.name = data.Browser, data.Name
	if out.Client, out.Request, out.prove = cl, data.Request, data.Prove; data.Request != "" {
		return nil, nil
	}
	uri, ok := cl.RedirectURI(data.RedirectURI)
	out.Chosen = ok && data.RedirectURI != ""
	if !ok { // unregistered since the link was mailed
		uri, _ = cl.RedirectURI("")
	}
	out.RedirectURI = uri
	return nil, nil
}
