package oauth

import (
	"strings"

	"sallyport/internal/secret"
)

// User codes are eight letters of twenty that are hard to mistake for others
// and spell no words (RFC 8628 §6.1): 2.6·10^10 of them, of which a guesser may
// try a few (§5.1). They are shown in two halves.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

func newUserCode() string { return secret.Code(userCodeLetters, userCodeLength) }

// ShowUserCode is a user code as a person reads it: "WDJB-MJHT".
func ShowUserCode(code string) string {
	if len(code) != userCodeLength {
		return code
	}
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

// ParseUserCode reads what a person typed, in either case and with whatever
// stands between the letters (RFC 8628 §6.1). False means that no device shows
// such a code.
func ParseUserCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	var b strings.Builder
	for _, c := range strings.ToUpper(typed) {
		switch {
		case strings.ContainsRune(userCodeLetters, c):
			b.WriteRune(c)
		case c == ' ', c == '-', c == '.', c == '_', c == '\t', c == '\u00a0', c == '\u2010', c == '\u2011', c == '\u2013', c == '\u2014':
		default:
			return "", false
		}
	}
	return b.String(), b.Len() == userCodeLength
}
