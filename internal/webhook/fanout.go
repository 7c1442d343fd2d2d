package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// body is the body of every delivery, its members in this order.
type body struct {
	Event     Event     `json:"event"`
	Timestamp string    `json:"timestamp"` // when it happened, RFC 3339 in UTC
	AppID     client.ID `json:"app_id"`
	Data      any       `json:"data"`
}

type userData struct {
	UserID identity.UserID `json:"user_id"`
	Email  string          `json:"email"`
	Name   string          `json:"name"`
}

type loginData struct {
	userData
	Method string `json:"method"`
}

type roleData struct {
	userData
	Roles         []string `json:"roles"`
	PreviousRoles []string `json:"previous_roles"`
}

type pingData struct {
	Message string `json:"message"`
}

// The keys of an audit entry's detail that FanOut reads. An operation that
// announces an entry fills in the first two always, DetailMethod for user.login,
// and the two role lists for user.role_changed.
const (
	DetailEmail         = "email"
	DetailName          = "name"
	DetailMethod        = "method"
	DetailRoles         = "roles"
	DetailPreviousRoles = "previous_roles"
)

// FanOut takes up to n announced audit entries and makes a delivery, due now,
// for every subscriber of each. It returns how many entries it took. They go to
// the subscribers of the entry's client; an entry without a client, and every
// user.logout, to those of all clients the user has a place in.
func FanOut(ctx context.Context, tx *db.Tx, n int, now time.Time) (int, error) {
	entries, err := audit.Announced(ctx, tx, n)
	if err != nil {
		return 0, err
	}
	known := map[client.ID][]Webhook{}
	for _, e := range entries {
		event, ok := events[e.Action]
		if !ok {
			continue
		}
		clients, err := audience(ctx, tx, e)
		if err != nil {
			return 0, err
		}
		for _, c := range clients {
			ws, ok := known[c]
			if !ok {
				if ws, err = subscribers(ctx, tx, c); err != nil {
					return 0, fmt.Errorf("list subscribers: %w", err)
				}
				known[c] = ws
			}
			if err := announce(ctx, tx, ws, event, c, e, now); err != nil {
				return 0, err
			}
		}
	}
	return len(entries), nil
}

// audience is the clients that hear of an entry.
func audience(ctx context.Context, tx *db.Tx, e audit.Entry) ([]client.ID, error) {
	if e.ClientID != "" && e.Action != audit.UserLogout {
		return []client.ID{e.ClientID}, nil
	}
	places, err := client.EnrolmentsOf(ctx, tx, e.UserID)
	if err != nil {
		return nil, err
	}
	var ids []client.ID
	for _, p := range places[e.UserID] {
		if p.Status != client.Pending { // who waits for approval has no access to lose
			ids = append(ids, p.ClientID)
		}
	}
	return ids, nil
}

func announce(ctx context.Context, tx *db.Tx, ws []Webhook, event Event, c client.ID, e audit.Entry, now time.Time) error {
	for _, w := range ws {
		if !slices.Contains(w.Events, event) {
			continue
		}
		if _, err := create(ctx, tx, w.ID, event, encode(event, e.At, c, data(event, e)), now); err != nil {
			return err
		}
	}
	return nil
}

// data is what a delivery says of an entry.
func data(event Event, e audit.Entry) any {
	u := userData{UserID: e.UserID, Email: text(e, DetailEmail), Name: text(e, DetailName)}
	switch event {
	case UserLogin:
		return loginData{u, text(e, DetailMethod)}
	case UserRoleChanged:
		return roleData{u, list(e, DetailRoles), list(e, DetailPreviousRoles)}
	}
	return u
}

// text is a detail of an entry, or "" if it is missing or something else.
func text(e audit.Entry, key string) string {
	s, _ := e.Detail[key].(string)
	return s
}

// list is the texts in a detail of an entry, never nil.
func list(e audit.Entry, key string) []string {
	out := []string{}
	items, _ := e.Detail[key].([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// encode is the body of a delivery.
func encode(event Event, at time.Time, c client.ID, data any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body{event, at.UTC().Format(time.RFC3339), c, data}); err != nil {
		panic("webhook: " + err.Error()) // strings and lists of strings always marshal
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// SendPing makes a delivery of Ping, due now, to a subscription of a client, and
// returns its id; db.ErrNotFound if there is no such subscription.
func SendPing(ctx context.Context, tx *db.Tx, c client.ID, id ID, now time.Time) (delivery string, err error) {
	if _, err := ByID(ctx, tx, c, id); err != nil {
		return "", err
	}
	return create(ctx, tx, id, Ping, encode(Ping, now, c, pingData{"ping"}), now)
}
