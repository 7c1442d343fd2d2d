package tofu

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// What Python makes of numbers, bytes and white space, as far as it shows on this
// wire.

// pythonFloat is str of a float: the shortest digits that mean the same number.
func pythonFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	short := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(short, "e")
	if e, err := strconv.Atoi(exponent); err == nil && (e < -4 || e >= 16) {
		return short
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// decode reads a body in a charset, as Python's stream reader does: an unfinished
// character at the end is left out. Charsets that Django does not know count as
// UTF-8, and so do here all others than those of one byte.
func decode(body []byte, charset string) ([]rune, error) {
	switch strings.ReplaceAll(strings.ToLower(charset), "_", "-") {
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1", "l1", "8859":
		return latin1(body), nil
	case "ascii", "us-ascii", "646":
		for i, c := range body {
			if c > 0x7f {
				return nil, fmt.Errorf("'ascii' codec can't decode byte 0x%02x in position %d: ordinal not in range(128)", c, i)
			}
		}
		return latin1(body), nil
	}
	out := make([]rune, 0, len(body))
	for i := 0; i < len(body); {
		r, n, why := decodeUTF8(body[i:])
		switch {
		case why == unfinished:
			return out, nil
		case why != "" && n == 1:
			return nil, fmt.Errorf("'utf-8' codec can't decode byte 0x%02x in position %d: %s", body[i], i, why)
		case why != "":
			return nil, fmt.Errorf("'utf-8' codec can't decode bytes in position %d-%d: %s", i, i+n-1, why)
		}
		out = append(out, r)
		i += n
	}
	return out, nil
}

func latin1(body []byte) []rune {
	out := make([]rune, len(body))
	for i, c := range body {
		out[i] = rune(c)
	}
	return out
}

// unfinished says that a character might be one if more came.
const unfinished = "unexpected end of data"

// decodeUTF8 reads the first character, or says why it is none and how many
// bytes that is to be blamed on (Unicode §3.9, table 3-7).
func decodeUTF8(b []byte) (r rune, n int, why string) {
	first := b[0]
	low, high := byte(0x80), byte(0xbf)
	switch {
	case first < 0x80:
		return rune(first), 1, ""
	case first < 0xc2 || first > 0xf4:
		return 0, 1, "invalid start byte"
	case first < 0xe0:
		n, r = 2, rune(first&0x1f)
	case first < 0xf0:
		n, r = 3, rune(first&0x0f)
	default:
		n, r = 4, rune(first&0x07)
	}
	switch first {
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	for i := 1; i < n; i++ {
		if i == len(b) {
			return 0, len(b), unfinished
		}
		if b[i] < low || b[i] > high {
			return 0, i, "invalid continuation byte"
		}
		r = r<<6 | rune(b[i]&0x3f)
		low, high = 0x80, 0xbf
	}
	return r, n, ""
}

// replaced is bytes.decode with errors="replace".
func replaced(s string) string {
	var out strings.Builder
	for b := []byte(s); len(b) > 0; {
		r, n, why := decodeUTF8(b)
		if why != "" {
			r = unicode.ReplacementChar
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// strip is str.strip: white space, and the four separators of ASCII.
func strip(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
}
