package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/job"
	"sallyport/internal/secret"
)

// sealLabel is the purpose under which secrets are sealed, each bound to the
// id of its subscription.
const sealLabel = "webhook"

const columns = `w.id, w.client_id, w.url, w.events, w.active, w.created_at`

func scan(r db.Row) (w Webhook, err error) {
	var created db.Time
	err = r.Scan(&w.ID, &w.ClientID, &w.URL, db.JSON(&w.Events), &w.Active, &created)
	w.CreatedAt = created.Time
	return w, err
}

// Subscribe stores a subscription of w's client to w's events, which Check has
// taken, and returns it with its secret: 64 hexadecimal digits, shown this once.
// The error is db.ErrNotFound if there is no such client.
func Subscribe(ctx context.Context, tx *db.Tx, k *secret.Key, w Webhook, now time.Time) (Webhook, string, error) {
	// The client's row first: it orders this against Delete, see there.
	n, err := tx.Exec(ctx, `UPDATE clients SET has_webhooks = TRUE WHERE id = $1`, w.ClientID)
	if err == nil && n == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return Webhook{}, "", fmt.Errorf("mark client: %w", err)
	}
	if w.Events == nil {
		w.Events = []Event{}
	}
	w.ID, w.Active, w.CreatedAt = ID(identity.NewID()), true, now
	shown := secret.Hex(32)
	_, err = tx.Exec(ctx, `INSERT INTO webhooks (id, client_id, url, events, sealed, active, created_at) VALUES ($1, $2, $3, $4, $5, TRUE, $6)`,
		w.ID, w.ClientID, w.URL, db.JSON(w.Events), k.Seal(sealLabel, []byte(shown), string(w.ID)), db.At(now))
	if err != nil {
		return Webhook{}, "", fmt.Errorf("store webhook: %w", err)
	}
	return w, shown, nil
}

// ByID returns a subscription of a client, or db.ErrNotFound.
func ByID(ctx context.Context, tx *db.Tx, c client.ID, id ID) (Webhook, error) {
	return db.One(ctx, tx, scan, `SELECT `+columns+` FROM webhooks w WHERE w.id = $1 AND w.client_id = $2`, id, c)
}

// List returns one page of a client's subscriptions, oldest first, and how many
// there are.
func List(ctx context.Context, tx *db.Tx, c client.ID, limit, offset int) ([]Webhook, int, error) {
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM webhooks WHERE client_id = $1`, c)
	if err != nil {
		return nil, 0, fmt.Errorf("count webhooks: %w", err)
	}
	all, err := db.All(ctx, tx, scan, `SELECT `+columns+` FROM webhooks w WHERE w.client_id = $1 ORDER BY w.created_at, w.id LIMIT $2 OFFSET $3`, c, limit, offset)
	return all, int(total), err
}

// subscribers returns the active subscriptions of a client.
func subscribers(ctx context.Context, tx *db.Tx, c client.ID) ([]Webhook, error) {
	return db.All(ctx, tx, scan, `SELECT `+columns+` FROM webhooks w WHERE w.client_id = $1 AND w.active ORDER BY w.created_at, w.id`, c)
}

// Delete ends a subscription of a client with its log; db.ErrNotFound if there
// is none. What waits to be delivered is not.
func Delete(ctx context.Context, tx *db.Tx, c client.ID, id ID) error {
	// Writing the client's row makes one wait here that subscribes or deletes for
	// the same client at once; only then can the last statement see what that one
	// has done.
	if _, err := tx.Exec(ctx, `UPDATE clients SET has_webhooks = has_webhooks WHERE id = $1`, c); err != nil {
		return fmt.Errorf("mark client: %w", err)
	}
	n, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE id = $1 AND client_id = $2`, id, c)
	if err == nil && n == 0 {
		err = db.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete webhook: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE clients SET has_webhooks = EXISTS (SELECT 1 FROM webhooks WHERE client_id = $1) WHERE id = $1`, c); err != nil {
		return fmt.Errorf("mark client: %w", err)
	}
	return nil
}

const deliveryColumns = `d.id, d.webhook_id, d.event, d.body, d.status, d.attempts, d.response_status, d.response_body, d.error, d.created_at, d.delivered_at, d.next_retry_at`

func scanDelivery(r db.Row) (d Delivery, err error) {
	var created, delivered, next db.Time
	err = r.Scan(&d.ID, &d.WebhookID, &d.Event, &d.Body, &d.Status, &d.Attempts, &d.ResponseStatus, &d.ResponseBody, &d.Error, &created, &delivered, &next)
	d.CreatedAt, d.DeliveredAt, d.NextRetryAt = created.Time, delivered.Time, next.Time
	return d, err
}

// Deliveries returns one page of a subscription's log, newest first, and how
// many entries it has.
func Deliveries(ctx context.Context, tx *db.Tx, w ID, limit, offset int) ([]Delivery, int, error) {
	total, err := db.One(ctx, tx, db.Int, `SELECT COUNT(*) FROM deliveries WHERE webhook_id = $1`, w)
	if err != nil {
		return nil, 0, fmt.Errorf("count deliveries: %w", err)
	}
	all, err := db.All(ctx, tx, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.webhook_id = $1 ORDER BY d.created_at DESC, d.id DESC LIMIT $2 OFFSET $3`, w, limit, offset)
	return all, int(total), err
}

// create stores a delivery and the job of its first attempt.
func create(ctx context.Context, tx *db.Tx, w ID, e Event, body string, now time.Time) (string, error) {
	id := identity.NewID()
	_, err := tx.Exec(ctx, `INSERT INTO deliveries (id, webhook_id, event, body, status, attempts, response_body, error, created_at)
		VALUES ($1, $2, $3, $4, 'pending', 0, '', '', $5)`, id, w, e, body, db.At(now))
	if err != nil {
		return "", fmt.Errorf("store delivery: %w", err)
	}
	return id, attempt{Delivery: id, Start: now}.enqueue(ctx, tx, now, now)
}

// Redeliver begins a new series of attempts of a delivery that was delivered or
// has failed: same id, same bytes. It returns db.ErrNotFound if the subscription
// has no such delivery, and ErrPending if a series is under way.
func Redeliver(ctx context.Context, tx *db.Tx, w ID, id string, now time.Time) error {
	made, err := db.One(ctx, tx, db.Int, `UPDATE deliveries SET status = 'pending', error = '', delivered_at = NULL, next_retry_at = NULL
		WHERE id = $1 AND webhook_id = $2 AND status <> 'pending' RETURNING attempts`, id, w)
	if errors.Is(err, db.ErrNotFound) {
		if _, err := db.One(ctx, tx, db.Int, `SELECT 1 FROM deliveries WHERE id = $1 AND webhook_id = $2`, id, w); err != nil {
			return err
		}
		return ErrPending
	}
	if err != nil {
		return fmt.Errorf("restart delivery: %w", err)
	}
	return attempt{Delivery: id, Made: int(made), Start: now}.enqueue(ctx, tx, now, now)
}

// target is what an attempt needs to know.
type target struct {
	delivery Delivery
	webhook  Webhook
	sealed   []byte // the secret
}

// waiting returns the delivery that an attempt is for, or db.ErrNotFound if that
// attempt was made already or its subscription is gone.
func waiting(ctx context.Context, tx *db.Tx, a attempt) (target, error) {
	return db.One(ctx, tx, func(r db.Row) (t target, err error) {
		d, w := &t.delivery, &t.webhook
		err = r.Scan(&d.ID, &d.Event, &d.Body, &w.ID, &w.URL, &w.Active, &t.sealed)
		return t, err
	}, `SELECT d.id, d.event, d.body, w.id, w.url, w.active, w.sealed FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id
		WHERE d.id = $1 AND d.attempts = $2 AND d.status = 'pending'`, a.Delivery, a.Made)
}

// settle writes what came of an attempt, unless that has been done; false then.
// A zero next ends the series.
func settle(ctx context.Context, tx *db.Tx, a attempt, res result, next, now time.Time) (bool, error) {
	status, delivered := Pending, time.Time{}
	switch {
	case res.reason == "":
		status, delivered = Delivered, now
	case next.IsZero():
		status = Failed
	}
	var code any
	if res.status != 0 {
		code = res.status
	}
	n, err := tx.Exec(ctx, `UPDATE deliveries SET status = $3, attempts = attempts + 1, response_status = $4, response_body = $5, error = $6, delivered_at = $7, next_retry_at = $8
		WHERE id = $1 AND attempts = $2 AND status = 'pending'`,
		a.Delivery, a.Made, status, code, res.body, res.reason, db.AtOrNull(delivered), db.AtOrNull(next))
	return n == 1, err
}

// Kept is how long deliveries stay in the log.
const Kept = 30 * 24 * time.Hour

// Sweep deletes up to n deliveries that have left the log at now, and reports
// how many that were.
func Sweep(ctx context.Context, tx *db.Tx, now time.Time, n int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE created_at < $1 ORDER BY created_at LIMIT $2)`, db.At(now.Add(-Kept)), n)
}

// Kind is the kind of the jobs that make one attempt each.
const Kind job.Kind = "webhook"
