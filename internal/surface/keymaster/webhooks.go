package keymaster

import (
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/webhook"
	"sallyport/internal/wire"
)

// madeWebhook is a subscription with its secret, which is shown this once
// (contract §9.1).
type madeWebhook struct {
	ID     webhook.ID      `json:"id"`
	Secret string          `json:"secret"`
	URL    string          `json:"url"`
	Events []webhook.Event `json:"events"`
}

// createWebhook is POST /admin/apps/{app_id}/webhooks.
func (a *API) createWebhook(w http.ResponseWriter, r *http.Request) {
	a.withAdminBody(w, r, a.AdminCaller, http.StatusCreated, func(who admin.Caller, b *wire.Body) (any, error) {
		url, events := b.String("url", wire.Required), b.Strings("events", wire.Required, wire.Min(1))
		if err := b.Err(); err != nil {
			return nil, err
		}
		made, secret, err := a.Admin.Subscribe(r.Context(), who, appOf(r), url, events)
		return madeWebhook{made.ID, secret, made.URL, made.Events}, err
	})
}

type webhookView struct {
	ID        webhook.ID      `json:"id"`
	URL       string          `json:"url"`
	Events    []webhook.Event `json:"events"`
	Active    bool            `json:"is_active"`
	CreatedAt string          `json:"created_at"`
}

type webhookList struct {
	Webhooks []webhookView `json:"webhooks"`
	Total    int           `json:"total"`
}

// webhooks is GET /admin/apps/{app_id}/webhooks.
func (a *API) webhooks(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		p := page(q)
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Webhooks(r.Context(), who, appOf(r), p)
		out := webhookList{Webhooks: make([]webhookView, len(all)), Total: total}
		for i, h := range all {
			out.Webhooks[i] = webhookView{h.ID, h.URL, h.Events, h.Active, timestamp(h.CreatedAt)}
		}
		return out, err
	})
}

func webhookOf(r *http.Request) webhook.ID { return webhook.ID(known(r.PathValue("webhook_id"))) }

// deleteWebhook is DELETE /admin/apps/{app_id}/webhooks/{webhook_id}.
func (a *API) deleteWebhook(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		return ok, a.Admin.Unsubscribe(r.Context(), who, appOf(r), webhookOf(r))
	})
}

type testResponse struct {
	Status     string `json:"status"`
	DeliveryID string `json:"delivery_id"`
}

// testWebhook is POST /admin/apps/{app_id}/webhooks/{webhook_id}/test.
func (a *API) testWebhook(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		id, err := a.Admin.Ping(r.Context(), who, appOf(r), webhookOf(r))
		return testResponse{"ok", id}, err
	})
}

// deliveryView is an entry of a subscription's log (contract §9.1).
type deliveryView struct {
	ID             string         `json:"id"`
	Event          webhook.Event  `json:"event"`
	Status         webhook.Status `json:"status"`
	Attempts       int            `json:"attempts"`
	ResponseStatus *int           `json:"response_status"`
	Error          *string        `json:"error"`
	CreatedAt      string         `json:"created_at"`
	DeliveredAt    *string        `json:"delivered_at"`
	NextRetryAt    *string        `json:"next_retry_at"`
}

func viewDelivery(d webhook.Delivery) deliveryView {
	v := deliveryView{
		ID: d.ID, Event: d.Event, Status: d.Status, Attempts: d.Attempts, Error: orNull(d.Error), CreatedAt: timestamp(d.CreatedAt),
	}
	if d.ResponseStatus != 0 {
		v.ResponseStatus = &d.ResponseStatus
	}
	if !d.DeliveredAt.IsZero() {
		v.DeliveredAt = new(timestamp(d.DeliveredAt))
	}
	if !d.NextRetryAt.IsZero() {
		v.NextRetryAt = new(timestamp(d.NextRetryAt))
	}
	return v
}

type deliveryList struct {
	Deliveries []deliveryView `json:"deliveries"`
	Total      int            `json:"total"`
}

// deliveries is GET /admin/apps/{app_id}/webhooks/{webhook_id}/deliveries.
func (a *API) deliveries(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		q := wire.Query(r)
		p := page(q)
		if err := q.Err(); err != nil {
			return nil, err
		}
		all, total, err := a.Admin.Deliveries(r.Context(), who, appOf(r), webhookOf(r), p)
		out := deliveryList{Deliveries: make([]deliveryView, len(all)), Total: total}
		for i, d := range all {
			out.Deliveries[i] = viewDelivery(d)
		}
		return out, err
	})
}

// redeliver is POST /admin/apps/{app_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver,
// which the contract does not have: a receiver that was down longer than the
// retries last is not lost.
func (a *API) redeliver(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		return ok, a.Admin.Redeliver(r.Context(), who, appOf(r), webhookOf(r), r.PathValue("delivery_id"))
	})
}
