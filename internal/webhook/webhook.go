// Package webhook owns subscriptions to events and their deliveries: which
// audit entries become which events, what a delivery says, how it is signed,
// when it is tried again, and the log of it all. It does not record events
// (package audit), nor decide who may subscribe.
//
//	operation: change rows ─ audit.Record(Announce) ─ commit
//	FanOut:    take announced entries ─ a delivery and a job for each subscriber ─ commit
//	Deliver:   read delivery ─ POST, no transaction open ─ write result, and the job of the next attempt
//
// The wire is Keymaster's (its documentation of webhooks, §9 of our contract):
// one body per delivery, the same bytes for every attempt, signed with
// HMAC-SHA256 (RFC 2104) over the body alone under the ASCII characters of the
// secret. A delivery arrives at least once; order is not promised.
package webhook

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/outbound"
)

// ID is the id of a subscription: a UUIDv7.
type ID string

// Event is what a subscriber is told of.
type Event string

// The events. Ping is sent on demand, whatever was subscribed to.
const (
	UserSignup      Event = "user.signup"
	UserLogin       Event = "user.login"
	UserLogout      Event = "user.logout"
	UserRoleChanged Event = "user.role_changed"
	UserSuspended   Event = "user.suspended"
	UserDeleted     Event = "user.deleted"
	Ping            Event = "ping"
)

// Events is every event there is.
var Events = []Event{UserSignup, UserLogin, UserLogout, UserRoleChanged, UserSuspended, UserDeleted, Ping}

// events are the audit actions that subscribers hear of.
var events = map[audit.Action]Event{
	audit.UserSignup:      UserSignup,
	audit.UserLogin:       UserLogin,
	audit.UserLogout:      UserLogout,
	audit.UserRoleChanged: UserRoleChanged,
	audit.UserSuspended:   UserSuspended,
	audit.UserDeleted:     UserDeleted,
}

// Webhook is a subscription. Its secret is not part of it: Subscribe shows it
// once.
type Webhook struct {
	ID        ID
	ClientID  client.ID
	URL       string
	Events    []Event
	Active    bool
	CreatedAt time.Time
}

// Status says how a delivery stands.
type Status string

// The statuses of a delivery.
const (
	Pending   Status = "pending"
	Delivered Status = "delivered"
	Failed    Status = "failed"
)

// Delivery is one event for one subscriber, with the last answer to it.
type Delivery struct {
	ID             string
	WebhookID      ID
	Event          Event
	Body           string // exactly what is sent
	Status         Status
	Attempts       int // made so far
	ResponseStatus int // 0: no answer
	ResponseBody   string
	Error          string // why the last attempt failed, as a few words; empty if it did not
	CreatedAt      time.Time
	DeliveredAt    time.Time // zero: not delivered
	NextRetryAt    time.Time // zero: no further attempt, or the first one is about to be made
}

var (
	// ErrURL reports a URL that is not delivered to: not https, or an address that
	// is not public.
	ErrURL = errors.New("webhook: URL is refused")
	// ErrPending reports a delivery that cannot be sent again because it still is
	// being sent.
	ErrPending = errors.New("webhook: delivery is still under way")
)

// UnknownEvent reports the name of an event that does not exist.
type UnknownEvent struct{ Name string }

func (e *UnknownEvent) Error() string { return "webhook: no event " + e.Name }

// Check judges what somebody wants to subscribe to and returns the events, each
// once. allow are networks that may be reached although they are not public.
// The error is ErrURL or *UnknownEvent. What url's name leads to is judged
// again at each delivery.
func Check(url string, names []string, allow []netip.Prefix) ([]Event, error) {
	if _, err := outbound.CheckURL(url, allow); err != nil {
		return nil, errors.Join(ErrURL, err)
	}
	es := make([]Event, 0, len(names))
	for _, n := range names {
		e := Event(n)
		if !slices.Contains(Events, e) {
			return nil, &UnknownEvent{n}
		}
		if !slices.Contains(es, e) {
			es = append(es, e)
		}
	}
	return es, nil
}
