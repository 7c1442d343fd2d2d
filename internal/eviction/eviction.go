// Package eviction puts people out: it ends whatever keeps somebody signed in or
// could sign them in, whoever decided that it is to end. It owns no rows; it knows
// which records there are to end, and in which order. Who is told, and what the audit
// log says, is the caller's.
package eviction

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/identity"
	"sallyport/internal/logout"
	"sallyport/internal/onetime"
	"sallyport/internal/passkey"
	"sallyport/internal/session"
	"sallyport/internal/token"
	"sallyport/internal/totp"
)

// Everything ends whatever keeps a user signed in, or could sign them in without the
// password or the second factor, and reports how many browser sessions that were.
func Everything(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) (sessions int64, err error) {
	if _, err := apikey.EndByUser(ctx, tx, u, ""); err != nil {
		return 0, err
	}
	return SignIns(ctx, tx, u, now)
}

// SignIns is Everything but for the API keys, which sign nobody in.
func SignIns(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) (sessions int64, err error) {
	if sessions, err = session.EndAll(ctx, tx, u, ""); err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	if _, err := token.EndByUser(ctx, tx, u); err != nil {
		return 0, err
	}
	if err := logout.Everything(ctx, tx, u, "", now); err != nil {
		return 0, err
	}
	if err := totp.Cancel(ctx, tx, u); err != nil {
		return 0, err
	}
	if err := factor.Distrust(ctx, tx, u); err != nil {
		return 0, err
	}
	return sessions, onetime.EndAll(ctx, tx, u, onetime.Reset, onetime.MagicLink, onetime.Challenge, onetime.NewPasskey, onetime.MailedCode)
}

// Gone is what Squatter took away.
type Gone struct {
	Links    []identity.Link
	Passkeys int64
	Sessions int64
}

// Squatter ends every way in that somebody may have made for themselves to the account
// of an address that nobody had proved, before its owner comes in: the upstream accounts
// but the one that proved the address, which may be none, the second factor, the
// passkeys, and all that they are signed in by. The password the caller has replaced
// before, by none or by the owner's, which also holds the user.
//
// What signs in goes before what it signed in: a sign-in that is under way holds its
// credential until it is complete, and so its session is there to be ended.
func Squatter(ctx context.Context, tx *db.Tx, u identity.UserID, keepIssuer, keepSubject string, now time.Time) (g Gone, err error) {
	if err := onetime.EndAll(ctx, tx, u, onetime.NewPasskey); err != nil {
		return g, err
	}
	if g.Links, err = identity.UnlinkAll(ctx, tx, u, keepIssuer, keepSubject); err != nil {
		return g, err
	}
	if err := totp.Disable(ctx, tx, u); err != nil {
		return g, err
	}
	if err := factor.Forget(ctx, tx, u); err != nil {
		return g, err
	}
	if g.Passkeys, err = passkey.RemoveAll(ctx, tx, u); err != nil {
		return g, err
	}
	g.Sessions, err = Everything(ctx, tx, u, now)
	return g, err
}

// Upstream ends whatever was signed in by an upstream that nobody is to come by any
// more, or not as before, and reports how many browser sessions that were.
func Upstream(ctx context.Context, tx *db.Tx, upstream string, now time.Time) (sessions int, err error) {
	ended, err := session.EndByUpstream(ctx, tx, upstream)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	for _, id := range ended {
		if _, err := token.EndBySession(ctx, tx, id); err != nil {
			return 0, err
		}
		if err := logout.Session(ctx, tx, id, now); err != nil {
			return 0, err
		}
	}
	_, err = token.EndByUpstream(ctx, tx, upstream)
	return len(ended), err
}
