package job

import (
	"context"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/mail"
	"sallyport/internal/secret"
)

// EnqueueMail stores a mail to be sent, sealed, in the transaction of its
// cause. Somebody who has no address is mailed nothing.
func EnqueueMail(ctx context.Context, tx *db.Tx, k *secret.Key, t mail.Template, to string, d mail.Data, now time.Time) error {
	if to == "" {
		return nil
	}
	_, err := Enqueue(ctx, tx, Mail, mail.Pack(k, t, to, d), now, now)
	return err
}
