package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every printer gets in place of a secret.
const hidden = "[secret]"

// Value is a secret string, such as a token or a configured password, that
// does not leave through fmt, log/slog or an encoder: all of them print
// "[secret]". Reveal is the one way to the text, so that uses can be searched
// for. It must not be the key of a map: encoding/json writes string keys as they
// are.
type Value string

// Reveal returns the secret text.
func (v Value) Reveal() string { return string(v) }

// String returns "[secret]".
func (v Value) String() string { return hidden }

// GoString returns "[secret]".
func (v Value) GoString() string { return hidden }

// Format prints "[secret]" for every verb, the ones that bypass String
// (%x, %d, %#v) included.
func (v Value) Format(s fmt.State, _ rune) { io.WriteString(s, hidden) }

// LogValue makes log/slog print "[secret]".
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText makes encoding/json and other encoders write "[secret]". A
// secret that must be written is revealed by the one who writes it.
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }
