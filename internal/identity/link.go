package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
)

// Link is a user's account at an upstream identity provider. Issuer and
// Subject identify it for ever, and nothing else does; Upstream is the configured
// provider's key, Email the address there, and Profile what the provider said of
// the person at the last sign-in.
type Link struct {
	Issuer, Subject string
	UserID          UserID
	Upstream        string
	Email           string
	Profile         LinkProfile
	CreatedAt       time.Time
}

// LinkProfile is what a provider says of a person, to show and for nothing else.
type LinkProfile struct {
	Username      string `json:"username,omitempty"`
	Name          string `json:"name,omitempty"`
	GivenName     string `json:"given_name,omitempty"`
	FamilyName    string `json:"family_name,omitempty"`
	Picture       string `json:"picture,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
}

// ErrLinkTaken reports an upstream account that is linked already.
var ErrLinkTaken = errors.New("identity: the upstream account is linked already")

const linkColumns = `l.issuer, l.subject, l.user_id, l.upstream, l.email, l.profile, l.created_at`

func (l *Link) dest(at *db.Time) []any {
	return []any{&l.Issuer, &l.Subject, &l.UserID, &l.Upstream, &l.Email, db.JSON(&l.Profile), at}
}

func scanLink(r db.Row) (l Link, err error) {
	var at db.Time
	err = r.Scan(l.dest(&at)...)
	l.CreatedAt = at.Time
	return l, err
}

// ByLink returns the user whose upstream account it is, with the link, or
// db.ErrNotFound.
func ByLink(ctx context.Context, tx *db.Tx, issuer, subject string) (u User, l Link, err error) {
	var at db.Time
	u, err = db.One(ctx, tx, func(r db.Row) (User, error) { return scanAnd(r, l.dest(&at)...) }, `SELECT `+columns+`, `+linkColumns+`
		FROM links l JOIN users u ON u.id = l.user_id LEFT JOIN emails e ON e.user_id = u.id AND e.is_primary
		WHERE l.issuer = $1 AND l.subject = $2`, issuer, subject)
	l.CreatedAt = at.Time
	return u, l, err
}

// Links returns the upstream accounts of a user, oldest first.
func Links(ctx context.Context, tx *db.Tx, id UserID) ([]Link, error) {
	return db.All(ctx, tx, scanLink, `SELECT `+linkColumns+` FROM links l WHERE l.user_id = $1 ORDER BY l.created_at, l.issuer, l.subject`, id)
}

// AddLink stores a link. ErrLinkTaken means that the upstream account has one,
// under any race.
func AddLink(ctx context.Context, tx *db.Tx, l Link) error {
	n, err := tx.Exec(ctx, `INSERT INTO links (issuer, subject, user_id, upstream, email, profile, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (issuer, subject) DO NOTHING`, l.Issuer, l.Subject, l.UserID, l.Upstream, l.Email, db.JSON(l.Profile), db.At(l.CreatedAt))
	if err != nil {
		return fmt.Errorf("add link: %w", err)
	}
	if n == 0 {
		return ErrLinkTaken
	}
	return nil
}

// TouchLink stores what the upstream says of its account now. Whoever removes the
// link waits until this transaction ends, and so finds what was made by it;
// db.ErrNotFound if it is gone.
func TouchLink(ctx context.Context, tx *db.Tx, l Link) error {
	return one(tx.Exec(ctx, `UPDATE links SET upstream = $4, email = $5, profile = $6 WHERE issuer = $1 AND subject = $2 AND user_id = $3`,
		l.Issuer, l.Subject, l.UserID, l.Upstream, l.Email, db.JSON(l.Profile)))
}

// Unlink removes the user's accounts at the upstream and reports how many.
func Unlink(ctx context.Context, tx *db.Tx, id UserID, upstream string) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM links WHERE user_id = $1 AND upstream = $2`, id, upstream)
}

// UnlinkAll removes all upstream accounts of a user but the one given, which may
// be none, and returns them.
func UnlinkAll(ctx context.Context, tx *db.Tx, id UserID, keepIssuer, keepSubject string) ([]Link, error) {
	return db.All(ctx, tx, scanLink, `DELETE FROM links WHERE user_id = $1 AND NOT (issuer = $2 AND subject = $3)
		RETURNING issuer, subject, user_id, upstream, email, profile, created_at`, id, keepIssuer, keepSubject)
}

// UnlinkBefore removes the upstream accounts of a user that were linked before a
// time, and returns them.
func UnlinkBefore(ctx context.Context, tx *db.Tx, id UserID, at time.Time) ([]Link, error) {
	return db.All(ctx, tx, scanLink, `DELETE FROM links WHERE user_id = $1 AND created_at < $2
		RETURNING issuer, subject, user_id, upstream, email, profile, created_at`, id, db.At(at))
}
