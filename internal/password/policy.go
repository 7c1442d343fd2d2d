package password

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Floor is the least length any policy asks for, in code points (NIST SP
// 800-63B §5.1.1.2). MaxLength is the greatest length of a password.
const (
	Floor     = 8
	MaxLength = 1024
)

// Policy is what a new password must be. The zero Policy asks for Floor code
// points and, as every policy does, for a password that is not a common one.
type Policy struct {
	MinLength        int  `json:"min_length"`
	RequireUppercase bool `json:"require_uppercase"`
	RequireLowercase bool `json:"require_lowercase"`
	RequireDigit     bool `json:"require_digit"`
	RequireSymbol    bool `json:"require_symbol"`
	MaxLength        int  `json:"max_length,omitempty"`   // 0: the package's MaxLength
	RefuseEmail      bool `json:"refuse_email,omitempty"` // the local part of an address in it
}

// Rule names what a password lacks.
type Rule string

// The rules, in the order they are checked.
const (
	TooShort    Rule = "too_short"
	TooLong     Rule = "too_long"
	NoUppercase Rule = "no_uppercase"
	NoLowercase Rule = "no_lowercase"
	NoDigit     Rule = "no_digit"
	NoSymbol    Rule = "no_symbol"
	Common      Rule = "common"
	HoldsEmail  Rule = "holds_email"
)

// Weak reports the rules a password broke, the first by itself.
type Weak struct {
	Rule     Rule
	All      []Rule
	Min, Max int // the policy's lengths in code points
}

func (w *Weak) Error() string { return "password: " + string(w.Rule) }

// Min returns the least length in code points that p asks for.
func (p Policy) Min() int { return max(Floor, p.MinLength) }

// Max returns the greatest length in code points that p takes.
func (p Policy) Max() int {
	if p.MaxLength > 0 {
		return min(MaxLength, p.MaxLength)
	}
	return MaxLength
}

// Check returns a *Weak with the rules that plain breaks, or nil. Length is
// counted in code points. context is what an attacker tries first: the user's
// e-mail address (its local part is added), their name, the application's name.
// A password equal to any of it but for letter case is Common, as is one on the
// list of common passwords. A symbol is what is neither letter, digit nor space.
func (p Policy) Check(plain string, context ...string) error {
	var upper, lower, digit, symbol bool
	for _, r := range plain {
		switch {
		case unicode.IsUpper(r):
			upper = true
		case unicode.IsLower(r):
			lower = true
		case unicode.IsNumber(r):
			digit = true
		case !unicode.IsLetter(r) && !unicode.IsSpace(r) && !unicode.IsControl(r):
			symbol = true
		}
	}
	length := utf8.RuneCountInString(plain)
	var all []Rule
	for _, c := range []struct {
		broken bool
		rule   Rule
	}{
		{length < p.Min(), TooShort},
		{length > p.Max(), TooLong},
		{p.RequireUppercase && !upper, NoUppercase},
		{p.RequireLowercase && !lower, NoLowercase},
		{p.RequireDigit && !digit, NoDigit},
		{p.RequireSymbol && !symbol, NoSymbol},
		{isCommon(plain) || isContext(plain, context), Common},
		{p.RefuseEmail && holdsEmail(plain, context), HoldsEmail},
	} {
		if c.broken {
			all = append(all, c.rule)
		}
	}
	if all == nil {
		return nil
	}
	return &Weak{Rule: all[0], All: all, Min: p.Min(), Max: p.Max()}
}

// holdsEmail reports whether plain holds the local part of an address of the
// context, but for letter case. Fewer than four characters are in many passwords.
func holdsEmail(plain string, context []string) bool {
	plain = strings.ToLower(plain)
	for _, c := range context {
		if at := strings.LastIndexByte(c, '@'); at >= 4 && strings.Contains(plain, strings.ToLower(c[:at])) {
			return true
		}
	}
	return false
}

// isContext reports whether plain is one of the context strings, or the local
// part of one that is an e-mail address.
func isContext(plain string, context []string) bool {
	for _, c := range context {
		if strings.EqualFold(plain, c) {
			return true
		}
		if at := strings.LastIndexByte(c, '@'); at > 0 && strings.EqualFold(plain, c[:at]) {
			return true
		}
	}
	return false
}
