// Package logout owns what hangs on a sign-in when it ends: it ends the grants
// that lived by the session, and tells the clients that asked to be told
// (OpenID Connect Back-Channel Logout 1.0). It ends no session and decides not
// that one is to end: whoever does calls it in the same transaction.
//
//	operation: end session ─ Session ─┬─ grants without offline_access end
//	                                  └─ a job for each client with a
//	                                     backchannel_logout_uri ─ commit
//	job:       Courier ─ sign a logout token ─ POST it ─ again later, if it failed
//
// A grant with offline_access outlives the session it was made in (§2.7), and
// ends only with all else a person has: with their password, their place in the
// client, or themselves.
package logout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/session"
)

// The kinds of the jobs that tell a client. Clients that registered themselves
// have their own, so that addresses of theirs which hang hold up each other and
// never the operator's.
const (
	Kind         job.Kind = "backchannel_logout"
	StrangerKind job.Kind = "backchannel_logout_stranger"
)

// The scopes that matter here (OpenID Connect Core §3.1.2.1, §11).
const (
	openID  = "openid"
	offline = "offline_access"
)

// notice is the payload of a job: who is signed out, as the client knows them.
// SessionID is empty if it is of all their sessions.
type notice struct {
	ClientID  client.ID  `json:"client_id"`
	Issuer    string     `json:"iss"`
	Subject   string     `json:"sub"`
	SessionID session.ID `json:"sid,omitempty"`
}

// Session is called when a session ended: its grants end but the lasting ones.
func Session(ctx context.Context, tx *db.Tx, s session.ID, now time.Time) error {
	gs, err := grant.BySession(ctx, tx, s)
	if err != nil {
		return fmt.Errorf("grants of session: %w", err)
	}
	return end(ctx, tx, gs, lasting, now)
}

// Sessions is Session for all of a user's but keep ("" keeps none).
func Sessions(ctx context.Context, tx *db.Tx, u identity.UserID, keep session.ID, now time.Time) error {
	gs, err := grant.ByUser(ctx, tx, u, "")
	if err != nil {
		return fmt.Errorf("grants of user: %w", err)
	}
	gs = slices.DeleteFunc(gs, func(g grant.Grant) bool { return g.SessionID == "" || g.SessionID == keep })
	return end(ctx, tx, gs, lasting, now)
}

// Everything ends all that a user granted to anybody, but what they granted in
// the session keep ("" keeps nothing): when whoever else may hold a session or
// a token of theirs is to be put out.
func Everything(ctx context.Context, tx *db.Tx, u identity.UserID, keep session.ID, now time.Time) error {
	gs, err := grant.ByUser(ctx, tx, u, "")
	if err != nil {
		return fmt.Errorf("grants of user: %w", err)
	}
	gs = slices.DeleteFunc(gs, func(g grant.Grant) bool { return keep != "" && g.SessionID == keep })
	return end(ctx, tx, gs, nil, now)
}

// Place ends all that a user granted one client: when they lose their place in
// it, or take back what they allowed.
func Place(ctx context.Context, tx *db.Tx, u identity.UserID, c client.ID, now time.Time) error {
	gs, err := grant.ByUser(ctx, tx, u, c)
	if err != nil {
		return fmt.Errorf("grants of user: %w", err)
	}
	return end(ctx, tx, gs, nil, now)
}

// end ends the grants but those that spare says (nil spares none), and has
// each client told once of each session.
func end(ctx context.Context, tx *db.Tx, gs []grant.Grant, spare func(grant.Grant) bool, now time.Time) error {
	asked := map[client.ID]client.Client{}
	queued := map[notice]bool{}
	for _, g := range gs {
		if spare == nil || !spare(g) {
			if _, err := grant.End(ctx, tx, g.ID); err != nil {
				return fmt.Errorf("end grant: %w", err)
			}
		}
		n := notice{ClientID: g.ClientID, Issuer: g.Issuer, Subject: g.Subject, SessionID: g.SessionID}
		if !signedIn(g) || queued[n] {
			continue
		}
		cl, known := asked[g.ClientID]
		if !known {
			var err error
			if cl, err = client.ByID(ctx, tx, g.ClientID); err != nil {
				return fmt.Errorf("client of grant: %w", err)
			}
			asked[g.ClientID] = cl
		}
		if !wantsToKnow(cl) {
			continue
		}
		queued[n] = true
		if err := n.enqueue(ctx, tx, kindFor(cl), now); err != nil {
			return err
		}
	}
	return nil
}

// signedIn reports whether the client got an ID token: without one it knows
// neither the person nor the session.
func signedIn(g grant.Grant) bool { return slices.Contains(g.Scope, openID) && begun(g) }

// lasting reports whether a grant outlives its session. One whose code nobody
// came for yet does not: its client would sign a person in who has signed out,
// and would never be told.
func lasting(g grant.Grant) bool { return slices.Contains(g.Scope, offline) && begun(g) }

// begun reports whether the client has tokens of the grant.
func begun(g grant.Grant) bool { return g.CodeExpiresAt.IsZero() || !g.RedeemedAt.IsZero() }

func wantsToKnow(cl client.Client) bool { return cl.Active && cl.Policy.BackchannelLogoutURI != "" }

func kindFor(cl client.Client) job.Kind {
	if cl.Source != client.Operator {
		return StrangerKind
	}
	return Kind
}

func (n notice) enqueue(ctx context.Context, tx *db.Tx, kind job.Kind, now time.Time) error {
	payload, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("marshal notice: %w", err)
	}
	_, err = job.Enqueue(ctx, tx, kind, payload, now, now)
	return err
}
