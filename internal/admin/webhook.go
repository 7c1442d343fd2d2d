package admin

import (
	"context"
	"errors"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/webhook"
)

// Subscribe makes a subscription of a client to events, and returns it with its
// secret, which is shown this once.
func (c *Core) Subscribe(ctx context.Context, who Caller, id client.ID, url string, events []string) (webhook.Webhook, string, error) {
	var made webhook.Webhook
	var shown string
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := a.client(ctx, tx, id, clientAdmin)
		if err != nil {
			return err
		}
		checked, err := webhook.Check(url, events, c.Outbound)
		if err != nil {
			return webhookFault(err)
		}
		if made, shown, err = webhook.Subscribe(ctx, tx, c.Key, webhook.Webhook{ClientID: id, URL: url, Events: checked}, c.Now()); err != nil {
			return err
		}
		// The URL stays out of the log: some carry a token.
		detail := map[string]any{"webhook_id": made.ID, "events": checked}
		return c.record(ctx, tx, a, audit.WebhookCreated, cl, identity.User{}, detail)
	})
	return made, shown, err
}

func webhookFault(err error) error {
	if e, ok := errors.AsType[*webhook.UnknownEvent](err); ok {
		return fault.New(fault.EventInvalid, e.Name)
	}
	if errors.Is(err, webhook.ErrURL) {
		return &fault.Error{Code: fault.WebhookURLInvalid, Err: err}
	}
	if errors.Is(err, db.ErrNotFound) {
		return fault.New(fault.WebhookUnknown)
	}
	return err
}

// Webhooks returns one page of a client's subscriptions, oldest first, and how
// many there are.
func (c *Core) Webhooks(ctx context.Context, who Caller, id client.ID, p Page) ([]webhook.Webhook, int, error) {
	var out []webhook.Webhook
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if _, err := a.client(ctx, tx, id, clientAdmin); err != nil {
			return err
		}
		out, total, err = webhook.List(ctx, tx, id, p.Size, p.offset())
		return err
	})
	return out, total, err
}

// Unsubscribe ends a subscription of a client, with what waits to be delivered
// to it.
func (c *Core) Unsubscribe(ctx context.Context, who Caller, id client.ID, w webhook.ID) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := a.client(ctx, tx, id, clientAdmin)
		if err != nil {
			return err
		}
		if err := webhook.Delete(ctx, tx, id, w); err != nil {
			return webhookFault(err)
		}
		return c.record(ctx, tx, a, audit.WebhookDeleted, cl, identity.User{}, map[string]any{"webhook_id": w})
	})
}

// Ping queues a test delivery to a subscription of a client and returns its id.
func (c *Core) Ping(ctx context.Context, who Caller, id client.ID, w webhook.ID) (string, error) {
	var delivery string
	err := c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := a.client(ctx, tx, id, clientAdmin)
		if err != nil {
			return err
		}
		if delivery, err = webhook.SendPing(ctx, tx, id, w, c.Now()); err != nil {
			return webhookFault(err)
		}
		return c.record(ctx, tx, a, audit.WebhookTested, cl, identity.User{}, map[string]any{"webhook_id": w, "delivery_id": delivery})
	})
	return delivery, err
}

// Redeliver sends an ended delivery once more: the same id and the same bytes.
func (c *Core) Redeliver(ctx context.Context, who Caller, id client.ID, w webhook.ID, delivery string) error {
	return c.write(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) error {
		cl, err := a.client(ctx, tx, id, clientAdmin)
		if err != nil {
			return err
		}
		if _, err := webhook.ByID(ctx, tx, id, w); err != nil {
			return webhookFault(err)
		}
		switch err := webhook.Redeliver(ctx, tx, w, delivery, c.Now()); {
		case errors.Is(err, db.ErrNotFound):
			return fault.New(fault.DeliveryUnknown)
		case errors.Is(err, webhook.ErrPending):
			return fault.New(fault.DeliveryPending)
		case err != nil:
			return err
		}
		return c.record(ctx, tx, a, audit.WebhookRedelivered, cl, identity.User{}, map[string]any{"webhook_id": w, "delivery_id": delivery})
	})
}

// Deliveries returns one page of the log of a client's subscription, newest
// first, and how many entries it has.
func (c *Core) Deliveries(ctx context.Context, who Caller, id client.ID, w webhook.ID, p Page) ([]webhook.Delivery, int, error) {
	var out []webhook.Delivery
	var total int
	err := c.read(ctx, who, func(ctx context.Context, tx *db.Tx, a authority) (err error) {
		if _, err := a.client(ctx, tx, id, clientAdmin); err != nil {
			return err
		}
		if _, err := webhook.ByID(ctx, tx, id, w); err != nil {
			return webhookFault(err)
		}
		out, total, err = webhook.Deliveries(ctx, tx, w, p.Size, p.offset())
		return err
	})
	return out, total, err
}
