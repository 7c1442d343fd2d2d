package password

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// raw64 is the base64 of PHC strings: standard alphabet, no padding, no stray
// bits at the end.
var raw64 = base64.RawStdEncoding.Strict()

// phpass64 are the characters of phpass's base64 in the order of their values.
// bcrypt has the same characters in another order.
const phpass64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// decode64 reads standard base64 with or without padding, if it gives from least
// to most bytes.
func decode64(s string, least, most int) ([]byte, bool) {
	if n := len(s); n%4 == 0 && strings.HasSuffix(s, "=") {
		s = strings.TrimSuffix(s[:n-1], "=")
	}
	b, err := raw64.DecodeString(s)
	// The decoder skips line breaks, which no hash has.
	return b, err == nil && len(b) >= least && len(b) <= most && !strings.ContainsAny(s, "\r\n")
}

// number reads a positive decimal number of up to nine digits, without sign or
// leading zeros.
func number(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func twoDigits(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) == 2 && strings.Trim(s, "0123456789") == ""
}

// fields reads name=value pairs, separated by commas, with exactly these names
// in this order. It returns nil for anything else.
func fields(s string, names ...string) []string {
	pairs := strings.Split(s, ",")
	if len(pairs) != len(names) {
		return nil
	}
	for i, name := range names {
		value, ok := strings.CutPrefix(pairs[i], name+"=")
		if !ok {
			return nil
		}
		pairs[i] = value
	}
	return pairs
}

// numbers reads fields whose values are all numbers.
func numbers(s string, names ...string) ([]int, bool) {
	values := fields(s, names...)
	if values == nil {
		return nil, false
	}
	out := make([]int, len(values))
	for i, v := range values {
		n, ok := number(v)
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

// encodePhpass writes b six bits at a time, lowest first.
func encodePhpass(b []byte) string {
	var out strings.Builder
	for i := 0; i < len(b); i += 3 {
		v, n := 0, 0
		for j := range min(3, len(b)-i) {
			v |= int(b[i+j]) << (8 * j)
			n++
		}
		for range n + 1 {
			out.WriteByte(phpass64[v&63])
			v >>= 6
		}
	}
	return out.String()
}
