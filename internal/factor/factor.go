// Package factor owns what a second factor can be beside an authenticator app and a
// passkey: a code that is mailed, and a browser that is trusted not to be asked again.
// It does not send mails, count tries or know what a session owes; apps and backup
// codes are package totp's.
//
// A mailed code proves the mailbox. Somebody whose first factor was proved by the
// mailbox, too, has one factor and not two: after a password that was set by a mailed
// link, mailed codes are barred for people with an app until the app, or one of its
// backup codes, has been used once.
//
// A code is mailed for one purpose, a slot, that is told by a text of the caller's; of
// the codes of a slot the newest is good, once, for CodeLife:
//
//	Code ──► Judge   right: spent; wrong: counted; the sixth try ends it unjudged
package factor

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/onetime"
	"sallyport/internal/secret"
)

const (
	// CodeLife is how long a mailed code is good.
	CodeLife = 3 * time.Minute
	// TrustLife is how long a browser is trusted after the factor that it was trusted
	// by, however often it is used meanwhile.
	TrustLife = 30 * 24 * time.Hour

	codeLength  = 6
	codeTries   = 5
	codeLabel   = "mailed-code"
	slotLabel   = "mailed-code-slot"
	maxDevices  = 20
	codeLetters = "0123456789"
)

// The ways in which a mailed code is refused.
var (
	ErrGone  = errors.New("factor: there is no such code, or not any more")
	ErrCode  = errors.New("factor: wrong code")
	ErrTries = errors.New("factor: too many tries of one code")
)

// Mailed is how somebody stands to mailed codes.
type Mailed struct{ Chosen, Barred bool }

// MailedOf reads it; the zero value is of somebody who never had to do with them.
func MailedOf(ctx context.Context, tx *db.Tx, u identity.UserID) (Mailed, error) {
	m, err := db.One(ctx, tx, func(r db.Row) (m Mailed, err error) { err = r.Scan(&m.Chosen, &m.Barred); return m, err },
		`SELECT chosen, barred FROM mailed_factors WHERE user_id = $1`, u)
	if errors.Is(err, db.ErrNotFound) {
		return Mailed{}, nil
	}
	return m, err
}

// Choose makes mailed codes a second factor of somebody's.
func Choose(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO mailed_factors (user_id, chosen, barred, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET chosen = $2`, u, true, false, db.At(now))
	return err
}

// Bar keeps mailed codes from standing beside an app.
func Bar(ctx context.Context, tx *db.Tx, u identity.UserID, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO mailed_factors (user_id, chosen, barred, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET barred = $3`, u, false, true, db.At(now))
	return err
}

// Unbar takes Bar back.
func Unbar(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	_, err := tx.Exec(ctx, `UPDATE mailed_factors SET barred = $2 WHERE user_id = $1 AND barred`, u, false)
	return err
}

// Forget ends mailed codes and trusted browsers of somebody: they have no second
// factor any more.
func Forget(ctx context.Context, tx *db.Tx, u identity.UserID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM mailed_factors WHERE user_id = $1`, u); err != nil {
		return fmt.Errorf("forget mailed codes: %w", err)
	}
	return Distrust(ctx, tx, u)
}

// Code makes a code for a slot of a user's, in place of the one before.
func Code(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, slot string, now time.Time) (string, error) {
	name := slotName(k, u, slot)
	if _, err := onetime.Spend(ctx, tx, onetime.MailedCode, name, time.Time{}); err != nil && !errors.Is(err, db.ErrNotFound) {
		return "", err
	}
	code := secret.Code(codeLetters, codeLength)
	data, err := json.Marshal(codeHash(k, u, slot, code))
	if err != nil {
		return "", err
	}
	return code, onetime.Put(ctx, tx, name, onetime.Secret{Purpose: onetime.MailedCode, UserID: u, Data: data, ExpiresAt: now.Add(CodeLife)}, now)
}

// Judge spends the code of a slot, or counts a wrong one. It fails with ErrGone,
// ErrCode or ErrTries, and what it counted stands only if the caller commits.
func Judge(ctx context.Context, tx *db.Tx, k *secret.Key, u identity.UserID, slot, code string, now time.Time) error {
	name := slotName(k, u, slot)
	s, err := onetime.Try(ctx, tx, onetime.MailedCode, name, codeTries+1, now)
	if errors.Is(err, db.ErrNotFound) {
		return ErrGone
	} else if err != nil {
		return err
	}
	if s.Tries > codeTries {
		return ErrTries
	}
	var want []byte
	if err := json.Unmarshal(s.Data, &want); err != nil {
		return err
	}
	if len(code) != codeLength || !secret.Equal(want, codeHash(k, u, slot, code)) {
		return ErrCode
	}
	_, err = onetime.Spend(ctx, tx, onetime.MailedCode, name, now)
	if errors.Is(err, db.ErrNotFound) {
		return ErrGone
	}
	return err
}

// slotName is the name of a slot's row. It is keyed: a code is found by who shows
// what the slot is of, and by nobody who reads the table.
func slotName(k *secret.Key, u identity.UserID, slot string) string {
	return hex.EncodeToString(k.MAC(slotLabel, []byte(u), []byte(slot)))
}

// codeHash is how a code is kept. Six digits can be guessed from a plain hash.
func codeHash(k *secret.Key, u identity.UserID, slot, code string) []byte {
	return k.MAC(codeLabel, []byte(u), []byte(slot), []byte(code))
}
