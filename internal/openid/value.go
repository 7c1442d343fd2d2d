package openid

import (
	"encoding/json"
	"strings"
)

// Truth is a boolean that some write as text, or as 1: "false" is false, and so
// is whatever is neither.
type Truth struct{ Known, Is bool }

// UnmarshalJSON takes whatever there is.
func (t *Truth) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true", "1":
		*t = Truth{Known: true, Is: true}
	case "null":
	default:
		*t = Truth{Known: true}
	}
	return nil
}

// Word is a text that is only shown or compared with another; what is none is
// the empty one.
type Word string

// UnmarshalJSON takes whatever there is.
func (w *Word) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*w = Word(s)
	}
	return nil
}

// Words is a list of texts, or one alone; others are left out.
type Words []string

// UnmarshalJSON takes whatever there is.
func (l *Words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = nil
		if one != "" {
			*l = Words{one}
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		return nil
	}
	*l = nil
	for _, raw := range list[:min(len(list), MaxWords)] {
		one = "" // null leaves what was there
		if json.Unmarshal(raw, &one) == nil && one != "" && len(one) <= MaxSubject {
			*l = append(*l, one)
		}
	}
	return nil
}

// MaxWords bounds the roles or groups of one person.
const MaxWords = 256

// MaxSubject is the greatest length of a subject (OpenID Connect Core §2).
const MaxSubject = 255
