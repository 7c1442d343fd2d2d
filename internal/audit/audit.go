// Package audit owns the append-only log of everything that changes who can get
// in, and of every attempt to. An entry is recorded in the transaction of what
// it tells of, so neither exists without the other. Entries are never changed;
// retention deletes the oldest. They outlive the users and clients they name.
//
// An entry may also be announced: webhooks are fed from here, so that an event
// is stored once. Announced hands each such entry out once:
//
//	operation: change rows ─ Record(Announce: true) ─ commit
//	job:       Announced ─ insert deliveries and their jobs ─ commit
//
// Which entries become which webhook events is package webhook's to say.
//
// No entry ever holds a secret: no password, code, token, hash or key, and no
// address of a link that carries one. A secret.Value in Detail is recorded as
// "[secret]", which is a net and not a plan.
package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/identity"
	"sallyport/internal/org"
)

// Kind says what kind of party acted.
type Kind string

// The kinds of actors.
const (
	KindAnonymous Kind = "anonymous"  // somebody who has not proved who they are
	KindUser      Kind = "user"       // a user, over any surface
	KindService   Kind = "service"    // a client acting for itself
	KindOperator  Kind = "operator"   // whoever runs the installation: command line, resource file
	KindSystem    Kind = "system"     // nobody: a job or a rule
	KindSetupLink Kind = "setup_link" // whoever has a link to set up an organization's sign-in
	KindDirectory Kind = "directory"  // an organization's own directory, by SCIM
)

// Actor is who did it. The zero value is anonymous.
type Actor struct {
	Kind Kind
	ID   string // of the user, client or organization; a name for an operator
}

// User is the actor for a user.
func User(id identity.UserID) Actor { return Actor{KindUser, string(id)} }

// Service is the actor for a client that acts for itself.
func Service(id client.ID) Actor { return Actor{KindService, string(id)} }

// Operator is the actor for who runs the installation, by the name of the way
// in: "apply", "admin".
func Operator(name string) Actor { return Actor{KindOperator, name} }

// Directory is the actor for the directory of an organization.
func Directory(id org.ID) Actor { return Actor{KindDirectory, string(id)} }

// System is the actor for what nobody asked for.
func System() Actor { return Actor{Kind: KindSystem} }

// String is the actor as it is stored and shown: "user:<id>", "system".
func (a Actor) String() string {
	if a.Kind == "" {
		a.Kind = KindAnonymous
	}
	if a.ID == "" {
		return string(a.Kind)
	}
	return string(a.Kind) + ":" + a.ID
}

// ParseActor reads what String wrote. It takes any text: an unknown kind, of a
// later release perhaps, is kept as it is.
func ParseActor(s string) Actor {
	kind, id, _ := strings.Cut(s, ":")
	return Actor{Kind(kind), id}
}

// Event is something that happened. ClientID and UserID say where and to whom,
// and are empty where that means nothing; so is OrgID, the organization whose
// affair it is, which its own people may read: where Detail names one under "org",
// it is that. IP and RequestID come from the request
// if there was one. Detail holds what else a reader wants to know; over MaxText
// a text in it is cut, over MaxDetail all of it is left out.
type Event struct {
	Actor     Actor
	Action    Action
	ClientID  client.ID
	UserID    identity.UserID
	OrgID     org.ID
	IP        string
	RequestID string
	Detail    map[string]any
	Announce  bool // hand it to the webhooks
}

// org is the organization whose affair an event is.
func (e Event) org() org.ID {
	if named, ok := e.Detail["org"].(string); ok && e.OrgID == "" {
		return org.ID(named)
	}
	return e.OrgID
}

// Entry is a recorded event. Numbers in its Detail are float64.
type Entry struct {
	ID string // UUIDv7; their order is the order of recording on one node
	At time.Time
	Event
}

// Bounds of an event's detail in bytes. A sign-in must not fail because its
// entry would be too long, so what exceeds them is cut or left out instead.
const (
	MaxText   = 1 << 10
	MaxDetail = 8 << 10
)

// truncated stands for a detail that was too large.
const truncated = `{"truncated":true}`

// detailText is the JSON object that is stored for detail.
func detailText(detail map[string]any) (string, error) {
	if len(detail) == 0 {
		return "{}", nil
	}
	cut := make(map[string]any, len(detail))
	for k, v := range detail {
		if s, ok := v.(string); ok {
			v = clip(s, MaxText)
		}
		cut[k] = v
	}
	b, err := json.Marshal(cut)
	if err != nil {
		return "", fmt.Errorf("audit: detail: %w", err)
	}
	if len(b) > MaxDetail {
		return truncated, nil
	}
	return string(b), nil
}

// clip is s in at most n bytes, cut between characters and marked as cut.
func clip(s string, n int) string {
	const mark = "…"
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len(mark)], "") + mark
}
