package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/limit"
	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// The device flow (RFC 8628): a device without a browser shows a user code, a
// person lets it in with a browser of their own, and the device, which asks
// again and again, gets its tokens.
//
//	device                      person, at /device
//	StartDevice ──────────────▶ FindDevice     the code that the device shows
//	   │                           │           (or the link that holds it)
//	   │                        DevicePrompt   who asks, and for what; sign-in
//	device       pending           │           between, if need be
//	device       slow_down      DecideDevice   yes or no, by a press of a button
//	device       tokens, once ◀────┘
//
// A device is told to wait devicePoll between two polls, and may be a second
// early: the network does not bring two requests at the distance they were sent.
const (
	deviceLifetime = 15 * time.Minute
	devicePoll     = 5 * time.Second
	deviceEarly    = time.Second
	deviceWindow   = 15 * time.Minute
)

// deviceStarts counts devices that begin, from one network: each leaves a row.
func deviceStarts(v Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.device.start", Key: network(v), N: 60, Per: deviceWindow}
}

// network is what limits on strangers count by.
func network(v Visitor) string { return wire.Origin{IP: v.IP}.Network() }

// deviceRequest is what a device asked for, and from which network.
type deviceRequest struct {
	Request
	Network string `json:"network,omitempty"`
}

// DeviceIn is a device that wants to be let in. Parameters are scope and
// resource (RFC 8628 §3.1, RFC 8707 §2).
type DeviceIn struct {
	Auth    ClientAuth
	Params  Params
	Visitor Visitor
}

// DeviceStarted is what the device shows and remembers (RFC 8628 §3.2).
// UserCode is as it is shown.
type DeviceStarted struct {
	DeviceCode string
	UserCode   string
	ExpiresIn  time.Duration
	Interval   time.Duration
}

// StartDevice gives a device its codes (RFC 8628 §3.1). Fails with *Error, or
// fault.RateLimited for a network that begins too many.
func (c *Core) StartDevice(ctx context.Context, in DeviceIn) (DeviceStarted, error) {
	cl, err := c.Authenticate(ctx, in.Auth)
	if err != nil {
		return DeviceStarted{}, err
	}
	if !cl.Policy.MayUse(client.GrantDevice) {
		return DeviceStarted{}, refuse(UnauthorizedClient, "this client may not use the device flow")
	}
	req := deviceRequest{Network: network(in.Visitor)}
	req.Issuer, req.ClientID, req.CreatedAt = in.Visitor.Base, cl.ID, c.Now()
	if e := c.fillScope(&req.Request, cl, in.Params); e != nil {
		return DeviceStarted{}, e
	}
	data, err := json.Marshal(req)
	if err != nil {
		return DeviceStarted{}, err
	}
	for try := 0; ; try++ {
		out, err := c.storeDevice(ctx, cl, data, in.Visitor)
		// Two devices draw one code about once in ten million times.
		if try < 4 && errors.Is(err, db.ErrConflict) {
			continue
		}
		return out, err
	}
}

func (c *Core) storeDevice(ctx context.Context, cl client.Client, data json.RawMessage, v Visitor) (DeviceStarted, error) {
	raw, code, now := secret.Hex(32), newUserCode(), c.Now()
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := take(ctx, tx, now, deviceStarts(v)); err != nil {
			return err
		}
		return grant.CreateDevice(ctx, tx, grant.Device{
			ClientID: cl.ID, UserCode: code, Request: data, PollEvery: devicePoll - deviceEarly, CreatedAt: now, ExpiresAt: now.Add(deviceLifetime),
		}, secret.Hash(raw))
	})
	return DeviceStarted{DeviceCode: raw, UserCode: ShowUserCode(code), ExpiresIn: deviceLifetime, Interval: devicePoll}, err
}

// device answers a device that asks whether it was let in (RFC 8628 §3.4, §3.5).
// Of any number of polls after the person said yes one gets tokens, and the
// others are refused.
func (c *Core) device(ctx context.Context, in TokenIn) (Issued, error) {
	a, err := c.ask(ctx, in)
	if err != nil {
		return Issued{}, err
	}
	if !in.Params.Has("device_code") {
		return Issued{}, refuse(InvalidRequest, "device_code is missing")
	}
	hash := secret.Hash(in.Params.Get("device_code"))
	var out Issued
	err = c.act(ctx, a, func(ctx context.Context, tx *db.Tx, now time.Time) (refused, err error) {
		out = Issued{}
		d, tooSoon, err := grant.PollDevice(ctx, tx, hash, now)
		switch {
		case errors.Is(err, db.ErrNotFound):
			return badDevice("unknown device code, or it was used"), nil
		case err != nil:
			return nil, err
		case d.ClientID != a.client.ID:
			return nil, badDevice("the device code is of client " + string(d.ClientID)) // and was not polled
		case !d.ExpiresAt.After(now):
			return refuse(ExpiredToken, "the device code has expired"), nil
		case d.Status == grant.DeviceDenied:
			return refuse(AccessDenied, "the person said no"), nil
		case d.Status == grant.DevicePending && tooSoon:
			return refuse(SlowDown, "the device asks too often: it must wait five seconds longer from now on"), nil
		case d.Status == grant.DevicePending:
			return refuse(AuthorizationPending, "the person has not answered yet"), nil
		}
		out, refused, err = c.letIn(ctx, tx, a, hash, in.Params, now)
		return refused, err
	})
	if err != nil {
		return Issued{}, err
	}
	return out, nil
}

func badDevice(detail string) error {
	return &Error{Code: InvalidGrant, Description: "the device code is invalid, used, or not this client's", Detail: detail}
}

// letIn spends the code of a device that was approved. The person may have
// been barred since. What the device may not have for its asking, such as
// another resource, leaves the code as it is.
func (c *Core) letIn(ctx context.Context, tx *db.Tx, a asking, hash []byte, p Params, now time.Time) (out Issued, refused, err error) {
	d, err := grant.SpendDevice(ctx, tx, hash)
	if errors.Is(err, db.ErrNotFound) {
		return out, badDevice("the device code was used"), nil
	} else if err != nil {
		return out, nil, err
	}
	h, err := heldByToken(ctx, tx, d.GrantID, "")
	if errors.Is(err, db.ErrNotFound) {
		return out, badDevice("the grant has ended"), nil
	} else if err != nil {
		return out, nil, err
	}
	g := h.grant.Grant
	if refused := stands(a.client, g, h.standing.Standing, c.Now()); refused != nil {
		_, err := grant.End(ctx, tx, g.ID)
		return out, refused, err
	}
	out = Issued{Client: a.client, User: h.standing.User, Roles: h.standing.Roles, Binding: a.binding}
	if out.Scope, out.Resources, err = c.narrowed(g, Params{"resource": p["resource"]}); err != nil {
		return out, nil, err
	}
	if g.Binding = a.binding; g.Binding != (grant.Binding{}) {
		if err := grant.Bind(ctx, tx, g.ID, g.Binding); err != nil {
			return out, nil, err
		}
	}
	if err := grant.Extend(ctx, tx, g.ID, until(a.client, getsRefresh(a.client, g.Scope), now)); err != nil {
		return out, nil, err
	}
	out.Grant = g
	out.Refresh, err = c.startFamily(ctx, tx, a.client, g, now)
	return out, nil, err
}
