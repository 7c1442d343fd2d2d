// Package totp owns the second factor that a person's authenticator app is: the
// shared secret (RFC 6238 with SHA-1, six digits, 30 seconds), and the backup
// codes for the day the device is lost. It does not count wrong codes (package
// limit), know what a session owes (package session) or draw the enrolment page.
//
// A factor is made in two steps, so that nobody locks themselves out with an app
// that did not take the secret:
//
//	Begin → secret shown, pending for 15 minutes → Confirm with a code
//	                                              → in force, backup codes shown once
//
// Every time step and every backup code is accepted once (RFC 6238 §5.2),
// decided by one guarded statement. Secrets are sealed to their user's id; backup
// codes are kept as keyed hashes.
package totp

import (
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"sallyport/internal/secret"
)

// The ways a call fails that its caller answers.
var (
	ErrEnabled    = errors.New("totp: already in force")
	ErrNotStarted = errors.New("totp: nothing to confirm or to use")
	ErrCode       = errors.New("totp: wrong code")
	ErrSecret     = errors.New("totp: not a base32 secret of 10 to 64 bytes")
)

const (
	// Pending is how long a secret waits to be confirmed.
	Pending = 15 * time.Minute

	digits      = 6
	period      = 30 // seconds
	skew        = 1  // steps accepted before and after the current one, RFC 6238 §5.2
	secretBytes = 20 // RFC 4226 §4 R6

	backupCodes    = 10
	backupLength   = 10 // characters, shown as two halves
	backupAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

	// Labels of the process key's subkeys.
	sealLabel   = "totp"
	backupLabel = "totp-backup-code"
)

var base32NoPad = base32.StdEncoding.WithPadding(base32.NoPadding)

// URI returns the otpauth URI that authenticator apps read from a QR code, for
// the base32 secret of account (an e-mail address) at issuer.
func URI(issuer, account, base32 string) string {
	// Apps differ in how they read "+": spaces are written %20.
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return "otpauth://totp/" + escape(issuer) + ":" + escape(account) +
		"?secret=" + base32 + "&issuer=" + escape(issuer) + "&algorithm=SHA1&digits=6&period=30"
}

// given is a code as it was typed, read.
type given struct {
	passcode string // six digits
	backup   string // or a backup code
}

// read takes a typed code apart: letters in either case, spaces and hyphens
// anywhere. What is neither a passcode nor a backup code is false.
func read(code string) (given, bool) {
	if len(code) > 64 {
		return given{}, false
	}
	code = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			return -1
		}
		return r
	}, code)
	switch {
	case len(code) == digits && strings.Trim(code, "0123456789") == "":
		return given{passcode: code}, true
	case len(code) == backupLength:
		// Lower case of ASCII only: no other letter may become one of the alphabet.
		code = strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}, code)
		return given{backup: code}, strings.Trim(code, backupAlphabet) == ""
	}
	return given{}, false
}

// match returns the time step near now, after the step last used, whose code is
// passcode. Of several the earliest is taken, which spends the least.
func match(shared []byte, passcode string, last int64, now time.Time) (int64, bool) {
	found, ok := int64(0), false
	current := now.Unix() / period
	for s := current + skew; s >= current-skew; s-- {
		if s < 0 {
			continue
		}
		want, err := hotp.GenerateCodeCustom(base32NoPad.EncodeToString(shared), uint64(s),
			hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		// All steps are compared, whichever matches: the time taken tells nothing.
		if err == nil && secret.Equal([]byte(want), []byte(passcode)) && s > last {
			found, ok = s, true
		}
	}
	return found, ok
}

// decode reads a base32 secret as people pass them on: either case, with or
// without padding, spaces and hyphens.
func decode(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '=' {
			return -1
		}
		return r
	}, s)
	b, err := base32NoPad.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) < 10 || len(b) > 64 {
		return nil, ErrSecret
	}
	return b, nil
}
