package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/onetime"
)

// deviceGuess counts wrong user codes from one network (RFC 8628 §5.1): some
// forty an hour, of 2.6·10^10 of which each lives for a quarter of one.
func deviceGuess(v Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.device.code", Key: network(v), N: 10, Per: deviceWindow}
}

// deviceFind counts the right ones, since each leaves a row.
func deviceFind(v Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.device.find", Key: network(v), N: 120, Per: deviceWindow}
}

// FindDevice looks up what a person typed, and returns the handle of the
// question that DevicePrompt shows. Nothing is granted by it. Fails with
// fault.CodeInvalid if no device waits with this code, and fault.RateLimited
// after too many.
func (c *Core) FindDevice(ctx context.Context, typed string, v Visitor) (string, error) {
	code, _ := ParseUserCode(typed)
	handle, wait := "", time.Duration(0)
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		handle = ""
		// Counted before it is looked up, so that guesses in flight at once learn
		// no more than the limit allows, and given back if it was right.
		guess, now := deviceGuess(v), c.Now()
		if wait, _, err = limit.Take(ctx, tx, now, guess, deviceFind(v)); err != nil || wait > 0 {
			return err
		}
		d, err := waitingDevice(ctx, tx, code, now)
		if errors.Is(err, db.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := limit.Give(ctx, tx, guess); err != nil {
			return err
		}
		handle, err = askAbout(ctx, tx, d, now)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case wait > 0:
		return "", fault.Later(fault.RateLimited, wait)
	case handle == "":
		return "", fault.New(fault.CodeInvalid)
	}
	return handle, nil
}

// waitingDevice returns the device that shows a user code and has no answer yet,
// or db.ErrNotFound.
func waitingDevice(ctx context.Context, tx *db.Tx, code string, now time.Time) (grant.Device, error) {
	d, err := grant.DeviceByUserCode(ctx, tx, code)
	if err == nil && (d.Status != grant.DevicePending || !d.ExpiresAt.After(now)) {
		err = db.ErrNotFound
	}
	return d, err
}

// askAbout stores the question about a device as an authorization request, so
// that whoever is not signed in yet can do so on the way.
func askAbout(ctx context.Context, tx *db.Tx, d grant.Device, now time.Time) (string, error) {
	var asked deviceRequest
	if err := json.Unmarshal(d.Request, &asked); err != nil {
		return "", err
	}
	r := asked.Request
	r.UserCode, r.CreatedAt = d.UserCode, now
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	return onetime.Create(ctx, tx, onetime.Secret{
		Purpose: onetime.Authorization, ClientID: d.ClientID, Data: data, ExpiresAt: d.ExpiresAt,
	}, now)
}

// DevicePrompt is what a person is asked about a device. User is who is signed
// in, the zero User for nobody who could let the device in: then they sign in
// first. Elsewhere says that the device is not in the person's network, which
// they should know who were sent the code by somebody (RFC 8628 §5.4).
type DevicePrompt struct {
	Client    client.Client
	Request   Request
	User      identity.User
	UserCode  string
	Elsewhere bool
}

// DevicePrompt reads the question behind a handle. Fails with
// fault.ChallengeInvalid if it was answered or has expired, and with the faults
// of a person whom the client does not have.
func (c *Core) DevicePrompt(ctx context.Context, raw, cookie string, v Visitor) (DevicePrompt, error) {
	var q question
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		q, err = c.question(ctx, tx, raw, cookie)
		return err
	})
	out := DevicePrompt{
		Client: q.client, Request: q.request, UserCode: ShowUserCode(q.request.UserCode), Elsewhere: q.network != network(v),
	}
	if q.verdict.step == giveCode {
		out.User = q.standing.User
	}
	return out, err
}

// question is all that an answer is judged by.
type question struct {
	sight
	request Request
	network string // of the device
	expires time.Time
	verdict verdict
}

func (c *Core) question(ctx context.Context, tx *db.Tx, raw, cookie string) (q question, err error) {
	now := c.Now()
	s, err := onetime.Peek(ctx, tx, onetime.Authorization, raw, now)
	if err != nil {
		return q, over(err)
	}
	if err := json.Unmarshal(s.Data, &q.request); err != nil {
		return q, err
	}
	d, err := waitingDevice(ctx, tx, q.request.UserCode, now)
	if err != nil {
		return q, over(err)
	}
	var asked deviceRequest
	if err := json.Unmarshal(d.Request, &asked); err != nil {
		return q, err
	}
	q.network, q.expires = asked.Network, d.ExpiresAt
	if q.sight, err = sightOf(ctx, tx, d.ClientID, cookie, now); err != nil {
		return q, over(err)
	}
	if !q.client.Active {
		return q, fault.New(fault.ClientUnknown)
	}
	q.verdict = c.judge(q.request, q.sight, true)
	if q.verdict.step == giveError {
		return q, noPlace(q.standing.Enrolment)
	}
	return q, nil
}

// over is what a person is told of a question that is no longer there.
func over(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.ChallengeInvalid)
	}
	return err
}

// noPlace says why somebody may not use a client.
func noPlace(e client.Status) error {
	switch e {
	case client.Suspended:
		return fault.New(fault.EnrolmentSuspended)
	case client.Pending:
		return fault.New(fault.EnrolmentPending)
	}
	return fault.New(fault.NotEnrolled)
}

// DeviceAnswer is what a person says to the question behind a handle.
type DeviceAnswer struct {
	Handle  string
	Cookie  string
	Allow   bool
	Visitor Visitor
}

// AnswerDevice lets a device in, or turns it away, once, and returns its client.
// Fails with fault.ChallengeInvalid if the question was answered or has expired,
// fault.Unauthenticated if nobody is signed in who could answer it, and the
// faults of a person whom the client does not have.
func (c *Core) AnswerDevice(ctx context.Context, in DeviceAnswer) (client.Client, error) {
	var q question
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if q, err = c.question(ctx, tx, in.Handle, in.Cookie); err != nil {
			return err
		}
		if q.verdict.step != giveCode {
			return fault.New(fault.Unauthenticated)
		}
		return c.answer(ctx, tx, q, in)
	})
	return q.client, err
}

func (c *Core) answer(ctx context.Context, tx *db.Tx, q question, in DeviceAnswer) error {
	now := c.Now()
	status, id, action := grant.DeviceDenied, grant.ID(""), audit.DeviceDenied
	if in.Allow {
		if q.verdict.enrol {
			if err := c.enrol(ctx, tx, q.sight, in.Visitor, now); err != nil {
				return err
			}
		}
		g := c.deviceGrant(q, now)
		if err := grant.Create(ctx, tx, g, nil); err != nil {
			return err
		}
		status, id, action = grant.DeviceApproved, g.ID, audit.DeviceApproved
	}
	if _, err := onetime.Spend(ctx, tx, onetime.Authorization, in.Handle, now); err != nil {
		return over(err)
	}
	// The same device may have been asked about by another handle.
	decided, err := grant.DecideDevice(ctx, tx, q.request.UserCode, status, id, now)
	switch {
	case err != nil:
		return err
	case !decided:
		return fault.New(fault.ChallengeInvalid)
	}
	return audit.Record(ctx, tx, now, happened(action, q.sight, in.Visitor, map[string]any{
		"scope": strings.Join(q.request.Scope, " "), "network": q.network,
	}))
}

// deviceGrant is what a person gives a device. It hangs on no session: who signs
// out of the browser that they let a television in with does not switch that off.
// It is kept as long as the device may still come for it.
func (c *Core) deviceGrant(q question, now time.Time) grant.Grant {
	return grant.Grant{
		ID: grant.NewID(), ClientID: q.client.ID, UserID: q.session.UserID, Issuer: q.request.Issuer, Subject: c.Subject(q.client, q.session.UserID),
		Scope: q.request.Scope, Resources: q.request.Resources, AMR: q.session.AMR, ACR: acrOf(q.session), Upstream: q.session.Upstream,
		AuthenticatedAt: q.session.AuthenticatedAt, CreatedAt: now, ExpiresAt: q.expires,
	}
}
