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
)

// Weak reports the first rule a password broke.
type Weak struct {
	Rule Rule
	Min  int // the policy's least length in code points
}

func (w *Weak) Error() string { return "password: " + string(w.Rule) }

// Min returns the least length in code points that p asks for.
func (p Policy) Min() int { return max(Floor, p.MinLength) }

// Check returns a *Weak for the first rule that plain breaks, or nil. Length is
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
	for _, c := range []struct {
		broken bool
		rule   Rule
	}{
		{length < p.Min(), TooShort},
		{length > MaxLength, TooLong},
		{p.RequireUppercase && !upper, NoUppercase},
		{p.RequireLowercase && !lower, NoLowercase},
		{p.RequireDigit && !digit, NoDigit},
		{p.RequireSymbol && !symbol, NoSymbol},
		{isCommon(plain) || isContext(plain, context), Common},
	} {
		if c.broken {
			return &Weak{Rule: c.rule, Min: p.Min()}
		}
	}
	return nil
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
