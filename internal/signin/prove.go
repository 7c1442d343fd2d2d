package signin

import (
	"context"
	"encoding/json"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/eviction"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/passkey"
	"sallyport/internal/secret"
)

// Prove names an upstream account that waits for its owner to sign in here, as
// Returned.Prove gave it, with the binding cookie of the browser. Completing a
// sign-in with it connects the two. It is no credential: what does not fit (another
// browser's, another user's, old, or none at all) is passed over in silence, and
// the sign-in is one as ever. So a secret that somebody else planted does nothing.
type Prove struct{ Secret, Cookie string }

// hash is the SHA-256 of the secret, by which a mail and a challenge remember it.
func (p Prove) hash() []byte {
	if p.Secret == "" {
		return nil
	}
	return secret.Hash(p.Secret)
}

// proves returns the SHA-256 of the secret if it is good for this user in this
// browser, else nil.
func (c *Core) proves(ctx context.Context, tx *db.Tx, p Prove, u identity.UserID) ([]byte, error) {
	return c.stillProves(ctx, tx, p.hash(), p.Cookie, u)
}

// stillProves is proves for a secret whose SHA-256 was remembered.
func (c *Core) stillProves(ctx context.Context, tx *db.Tx, hash []byte, cookie string, u identity.UserID) ([]byte, error) {
	if len(hash) == 0 || cookie == "" {
		return nil, nil
	}
	s, err := onetime.PeekHashed(ctx, tx, onetime.Linking, hash, c.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && s.UserID != u {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var w waiting
	if err := json.Unmarshal(s.Data, &w); err != nil {
		return nil, err
	}
	if !secret.Equal(w.Browser, secret.Hash(cookie)) {
		return nil, nil
	}
	return hash, nil
}

// linkProved connects the upstream account that a completed sign-in proved. An
// account that became somebody's meanwhile stays theirs.
func (c *Core) linkProved(ctx context.Context, tx *db.Tx, p proof) error {
	if len(p.prove) == 0 {
		return nil
	}
	s, err := onetime.SpendHashed(ctx, tx, onetime.Linking, p.prove, c.Now())
	if errors.Is(err, db.ErrNotFound) || err == nil && s.UserID != p.user.ID {
		return nil
	} else if err != nil {
		return err
	}
	var w waiting
	if err := json.Unmarshal(s.Data, &w); err != nil {
		return err
	}
	_, _, err = identity.ByLink(ctx, tx, w.Profile.Issuer, w.Profile.Subject)
	if !errors.Is(err, db.ErrNotFound) {
		return err
	}
	if err = c.addLink(ctx, tx, p.client, p.user, w.Profile, p.visitor); errors.Is(err, errRaced) {
		return nil
	} else if err != nil {
		return err
	}
	return c.tellOfLink(ctx, tx, p.client, p.user, w.Profile.Upstream)
}

// keep is the upstream account that proved an address, and so outlives what was
// there before; the zero value is none.
type keep struct{ issuer, subject string }

// prove is called when the visitor proved that the user's address is theirs: by a
// mailed secret, or by an upstream that vouches for it. If the address was not
// verified before, whoever made the account may have been somebody else: their
// password, their upstream accounts and everything they are signed in by ends
// before the owner comes in (contract keymaster §2.3).
func (c *Core) prove(ctx context.Context, tx *db.Tx, u identity.User, email string, k keep, v Visitor) (identity.User, error) {
	now := c.Now()
	first, err := identity.VerifyEmail(ctx, tx, u.ID, email, now)
	if err != nil || !first {
		return u, err
	}
	u.EmailVerified = true
	if err := audit.Record(ctx, tx, now, v.event(audit.UserEmailVerified, u, client.Client{}, nil)); err != nil {
		return u, err
	}
	// Whether or not there was one when we looked; and it holds the user, so that
	// nothing is added meanwhile.
	if err := identity.ReplacePassword(ctx, tx, u.ID, "", now); err != nil {
		return u, err
	}
	u.PasswordHash = ""
	return u, c.evict(ctx, tx, u, k, v)
}

// evict ends every way in that somebody may have made for themselves before the
// owner of the address came.
func (c *Core) evict(ctx context.Context, tx *db.Tx, u identity.User, k keep, v Visitor) error {
	gone, err := eviction.Squatter(ctx, tx, u.ID, k.issuer, k.subject, c.Now())
	if err != nil {
		return err
	}
	if err := c.recordEvicted(ctx, tx, u, gone.Links, gone.Passkeys, "email_verified", v); err != nil {
		return err
	}
	return c.wereSignedIn(ctx, tx, u, gone.Sessions, v)
}

// evictOlder ends the upstream accounts and passkeys that are older than the proof
// of an address, whose owner has lost the password or never had one. A verification
// link ends nothing of what came before it, because who presses its button is as a
// rule who signed up; but if that was somebody else, a new password alone would not
// put them out.
func (c *Core) evictOlder(ctx context.Context, tx *db.Tx, u identity.User, address string, keepKeys bool, v Visitor) error {
	emails, err := identity.Emails(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	if at := identity.AddressIn(emails, address); address != "" && at != nil {
		gone, err := identity.UnlinkBefore(ctx, tx, u.ID, at.VerifiedAt)
		if err != nil {
			return err
		}
		keys, err := passkey.RemoveBefore(ctx, tx, u.ID, at.VerifiedAt)
		if err != nil {
			return err
		}
		if err := c.recordEvicted(ctx, tx, u, gone, keys, "password_reset", v); err != nil {
			return err
		}
	}
	return c.endEverything(ctx, tx, u, keepKeys, v)
}

func (c *Core) recordEvicted(ctx context.Context, tx *db.Tx, u identity.User, gone []identity.Link, keys int64, reason string, v Visitor) error {
	for _, l := range gone {
		err := audit.Record(ctx, tx, c.Now(), v.event(audit.UserUnlinked, u, client.Client{}, map[string]any{
			"upstream": l.Upstream, "issuer": l.Issuer, "subject": l.Subject, "reason": reason,
		}))
		if err != nil {
			return err
		}
	}
	if keys == 0 {
		return nil
	}
	return audit.Record(ctx, tx, c.Now(), v.event(audit.UserPasskeyRemoved, u, client.Client{}, map[string]any{"passkeys": keys, "reason": reason}))
}

// evictAll is evict where no upstream account proved the address.
func (c *Core) evictAll(ctx context.Context, tx *db.Tx, u identity.User, v Visitor) error {
	return c.evict(ctx, tx, u, keep{}, v)
}
