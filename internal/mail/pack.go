package mail

import (
	"context"
	"encoding/json"
	"fmt"

	"sallyport/internal/secret"
)

// sealLabel is the purpose under which packed mails are sealed.
const sealLabel = "mail"

// packed is a mail that waits in the queue. It is rendered when it is sent, so
// the queue holds few bytes.
type packed struct {
	ID       string   `json:"id"`
	Template Template `json:"template"`
	To       string   `json:"to"`
	Data     Data     `json:"data"`
}

// Pack seals a mail for the queue. It fixes the Message-ID, so that a mail that
// is sent again because nobody knows whether the first time succeeded is shown
// once by clients that care.
func Pack(k *secret.Key, t Template, to string, d Data) []byte {
	b, err := json.Marshal(packed{ID: secret.Hex(16), Template: t, To: to, Data: d})
	if err != nil {
		panic("mail: " + err.Error()) // strings and a number always marshal
	}
	return k.Seal(sealLabel, b)
}

// Unpack opens what Pack sealed and renders it. Its error is ErrRefused: the
// key or the templates have changed since.
func Unpack(k *secret.Key, payload []byte) (Message, error) {
	b, err := k.Open(sealLabel, payload)
	if err != nil {
		return Message{}, fmt.Errorf("%w: unpack: %w", ErrRefused, err)
	}
	var p packed
	if err := json.Unmarshal(b, &p); err != nil {
		return Message{}, fmt.Errorf("%w: unpack: %w", ErrRefused, err)
	}
	m, err := Render(p.Template, p.Data)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	m.ID, m.To = p.ID, p.To
	return m, nil
}

// Deliver sends a packed mail: the work of the job that carries it. An error
// that is ErrRefused will not go away by a repeat.
func Deliver(ctx context.Context, s Sender, k *secret.Key, payload []byte) error {
	m, err := Unpack(k, payload)
	if err != nil {
		return err
	}
	return s.Send(ctx, m)
}
