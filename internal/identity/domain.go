package identity

import "strings"

// NormalizeDomain returns a domain as it stands in a normalised address, or false
// if none can have it.
func NormalizeDomain(s string) (string, bool) {
	address, err := NormalizeEmail("x@" + strings.TrimSuffix(strings.TrimSpace(s), "."))
	if err != nil || strings.Count(address, "@") != 1 {
		return "", false
	}
	return address[2:], true
}
