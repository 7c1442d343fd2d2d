package resource

import (
	"bytes"
	"context"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/factor"
	"sallyport/internal/identity"
	"sallyport/internal/totp"
)

func (x *userDiff) password() {
	hash, changed := x.was.PasswordHash, false
	switch u := x.u; {
	case u.PasswordHash.Given():
		// The hash may have been rewritten at a sign-in, or the password changed
		// by its owner: what the file brought once it does not bring again.
		given := u.PasswordHash.Reveal()
		if changed = hash != given && !x.o.PasswordHash.is(fingerprint(given)); changed {
			hash = given
		}
		x.o.Password, x.o.PasswordHash = nil, remember(u.PasswordHash, fingerprint(given))
	case u.Password.Given():
		if changed = !x.memo.verified(hash, u.Password); changed {
			hash = x.memo.hashed(u.Email, u.Password)
		}
		x.o.Password, x.o.PasswordHash = remember(u.Password, fingerprint(hash)), nil
	default:
		if u.Password.IsZero() {
			x.o.Password = nil
		}
		if u.PasswordHash.IsZero() {
			x.o.PasswordHash = nil
		}
	}
	if !changed {
		return
	}
	had := x.was.HasPassword()
	x.next.PasswordHash, x.cut = hash, true
	switch has := (identity.User{PasswordHash: hash}).HasPassword() || x.u.Password.Given(); {
	case has:
		x.c.Fields = append(x.c.Fields, secretField("password", had))
	case had:
		x.c.Fields = append(x.c.Fields, Field{"password", secretSet, ""})
	}
	if x.exists {
		x.then(func(ctx context.Context, tx *db.Tx) error {
			ok, err := identity.SetPassword(ctx, tx, x.next.ID, x.was.PasswordHash, hash, x.now)
			if err == nil && !ok {
				return errMoved
			}
			return err
		})
		x.say(audit.UserPasswordReset, nil)
	}
}

func (x *userDiff) totp() {
	id, was := x.next.ID, x.s.totp[x.next.ID]
	old, _ := totpBytes(was)
	s := x.u.TOTPSecret
	switch {
	case s.Given():
		given, _ := totpBytes(s.Reveal())
		if !bytes.Equal(old, given) {
			x.c.Fields = append(x.c.Fields, secretField("totp_secret", was != ""))
			x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
				if err := totp.Import(ctx, tx, x.core.Key, id, s.Reveal(), x.now); err != nil {
					return err
				}
				return x.record(ctx, tx, audit.Event{Action: audit.UserTOTPEnabled, UserID: id})
			})
		}
		x.o.TOTP = remember(s, mark(x.core.Key, string(id), given))
	case s.Stored():
	default:
		// The file had brought it and says no more; one that its owner set up
		// instead is not the file's to take away.
		if was != "" && x.o.TOTP.is(mark(x.core.Key, string(id), old)) {
			x.c.Fields = append(x.c.Fields, Field{"totp_secret", secretSet, ""})
			x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
				if err := factor.Distrust(ctx, tx, id); err != nil {
					return err
				}
				if err := totp.Disable(ctx, tx, id); err != nil {
					return err
				}
				return x.record(ctx, tx, audit.Event{Action: audit.UserTOTPDisabled, UserID: id})
			})
		}
		x.o.TOTP = nil
	}
}
