package resource

import (
	"errors"

	"sallyport/internal/reference"
	"sallyport/internal/secret"
)

// stored is what a file says in place of a secret that is to stay the one in
// the database. Pull writes it where no reference is known.
const stored = "stored"

// Secret is a secret of the file: as it is written, which is a reference that
// may be shown or a literal that may not, and what it stands for.
type Secret struct {
	text  secret.Value
	value secret.Value
}

// referTo is the secret that is written as a reference, not looked up.
func referTo(text string) Secret { return Secret{text: secret.Value(text)} }

// UnmarshalText takes a secret as it is written.
func (s *Secret) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("is empty; leave the key out, or name the secret as in env:NAME")
	}
	s.text = secret.Value(text)
	return nil
}

// MarshalText writes a reference; a literal is never written.
func (s Secret) MarshalText() ([]byte, error) {
	if s.Stored() {
		return []byte(stored), nil
	}
	if ref := s.Reference(); ref != "" {
		return []byte(ref), nil
	}
	return nil, errors.New("resource: a literal secret is not written")
}

// IsZero reports whether the file gives no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// Stored reports whether the file wants the secret that is there.
func (s Secret) Stored() bool { return s.text.Reveal() == stored }

// Given reports whether the file brings a secret.
func (s Secret) Given() bool { return !s.IsZero() && !s.Stored() }

// Reference is env:NAME or file:PATH, or "" if the secret is not referred to.
func (s Secret) Reference() string {
	if reference.KindOf(s.text.Reveal()) == reference.Literal {
		return ""
	}
	return s.text.Reveal()
}

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.value.Reveal() }
