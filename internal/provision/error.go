package provision

import "fmt"

// Kind is what is wrong with what a directory asked for, in the terms of its protocol
// (RFC 7644 §3.12), where those are finer than faults.
type Kind string

// The kinds.
const (
	NotFound Kind = "not_found"     // no such person or group in this directory
	Taken    Kind = "uniqueness"    // somebody else, or another group, has the name or the address
	Foreign  Kind = "foreign"       // an address of a domain that the organization has not verified
	Invalid  Kind = "invalid_value" // Field holds what cannot be
	Changed  Kind = "changed"       // somebody changed it since it was read
	TooMany  Kind = "too_many"      // the answer would take going through more than there may be
)

// Error is a refusal that the directory is told of. Field is the attribute that it is
// about, in the protocol's words, or ""; Value what it holds, where that helps.
type Error struct {
	Kind  Kind
	Field string
	Value string
	Err   error
}

func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

func refuse(k Kind, field string) *Error { return &Error{Kind: k, Field: field} }
