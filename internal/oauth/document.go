package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/outbound"
	"sallyport/internal/wire"
)

// The bounds of client id metadata documents. A document that cannot be had is
// believed as it was for staleDocument; what is stored says when it was last
// read to within noteDocument.
const (
	maxDocument   = 16 << 10
	maxDocumentID = 512
	staleDocument = 24 * time.Hour
	noteDocument  = time.Hour
)

// ClientByID returns the client that a request names. One whose id is an https
// URL is what the document there says (OAuth Client ID Metadata Document): it is
// read, unless it was a while ago, and kept as a client beside the others. So
// this may wait for another server, and is not called in a transaction. Fails
// with an *Error that is InvalidClient, or fault.RateLimited where one visitor
// brings in many new ones.
func (c *Core) ClientByID(ctx context.Context, id string, v Visitor) (client.Client, error) {
	if strings.HasPrefix(id, "https:") || strings.HasPrefix(id, "http:") {
		return c.documentClient(ctx, id, v)
	}
	id, ok := identity.ParseID(id)
	if !ok {
		return client.Client{}, unknownClient("not an id")
	}
	cl, found, err := c.findClient(ctx, client.ID(id))
	if err == nil && !found {
		err = unknownClient("no client has the id " + id)
	}
	return cl, err
}

func unknownClient(detail string) error {
	return &Error{Code: InvalidClient, Description: "client_id is of no client", Detail: detail}
}

func (c *Core) findClient(ctx context.Context, id client.ID) (cl client.Client, found bool, err error) {
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		cl, err = client.ByID(ctx, tx, id)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return cl, false, nil
	}
	return cl, err == nil, err
}

func (c *Core) documentClient(ctx context.Context, id string, v Visitor) (client.Client, error) {
	if !c.settings().ClientDocuments {
		return client.Client{}, unknownClient("client id metadata documents are off")
	}
	if why := badDocumentID(id); why != "" {
		return client.Client{}, &Error{Code: InvalidClient, Description: "client_id " + why, Detail: short(id)}
	}
	was, known, err := c.findClient(ctx, client.ID(id))
	if err != nil {
		return client.Client{}, err
	}
	if !known {
		if err := c.countDocument(ctx, v); err != nil {
			return client.Client{}, err
		}
	}
	policy := newPolicy()
	if known {
		policy = was.Policy
	}
	next, err := c.readDocument(ctx, id, policy)
	if err != nil {
		if known && outbound.Unreachable(err) && c.Now().Before(was.RefreshedAt.Add(staleDocument)) {
			return was, nil
		}
		return client.Client{}, err
	}
	return c.keepDocument(ctx, was, known, next, v)
}

// badDocumentID says what keeps a URL from being a client id (Client ID Metadata
// Document §3), or "". A second spelling of a host would be a second client that
// looks the same.
func badDocumentID(id string) string {
	u, err := url.Parse(id)
	switch {
	case err != nil || len(id) > maxDocumentID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "is not a URL, or too long"
	case u.Path == "":
		return "has no path"
	case u.Fragment != "" || strings.Contains(id, "#"):
		return "has a fragment"
	case u.User != nil:
		return "has user information"
	case u.Host != strings.ToLower(u.Host):
		return "has a host in capital letters"
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }):
		return "has a path with dots"
	}
	return ""
}

// documents is how many clients that nobody has named before one network may
// name: each makes us ask another server.
func documents(v Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.document", Key: wire.Origin{IP: v.IP}.Network(), N: 20, Per: 10 * time.Minute}
}

func (c *Core) countDocument(ctx context.Context, v Visitor) error {
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return take(ctx, tx, c.Now(), documents(v)) })
}

// take counts under the rules, or fails with fault.RateLimited.
func take(ctx context.Context, tx *db.Tx, now time.Time, rules ...limit.Rule) error {
	wait, _, err := limit.Take(ctx, tx, now, rules...)
	if err == nil && wait > 0 {
		err = fault.Later(fault.RateLimited, wait)
	}
	return err
}

// readDocument returns the client that a document describes, with the policy that
// it has beside that. It must say that it
// is the document of that very id, or anybody's upload to a host could speak for
// another's application; and hold no secret, since it is public.
func (c *Core) readDocument(ctx context.Context, id string, policy client.Policy) (client.Client, error) {
	bad := func(description string, err error) error {
		return &Error{Code: InvalidClient, Description: "the client's metadata document " + description, Detail: short(id), Err: err}
	}
	raw, err := c.Documents.Get(ctx, id, outbound.Fetch{MaxBytes: maxDocument, Accept: "application/json", JSON: true})
	if err != nil {
		return client.Client{}, bad("could not be read", err)
	}
	m, err := readMembers(raw)
	if err != nil {
		return client.Client{}, bad("is not a JSON object", err)
	}
	if m.text("client_id") != id {
		return client.Client{}, bad("is of another client_id", nil)
	}
	if m.has("client_secret") || m.has("client_secret_expires_at") {
		return client.Client{}, bad("holds a secret", nil)
	}
	md, err := c.describe(ctx, m, registrant{document: true, scopes: c.settings().Scopes})
	if e, ok := errors.AsType[*Error](err); ok {
		return client.Client{}, bad("is refused: "+e.Description, err)
	}
	return client.Client{
		ID: client.ID(id), Name: md.Name, Active: true, Source: client.Document, RefreshedAt: c.Now(), CreatedAt: c.Now(), Policy: md.policy(policy),
	}, err
}

// keepDocument stores what a document says now. That the operator has switched
// the client off stays so, and one of the operator's own is left alone.
func (c *Core) keepDocument(ctx context.Context, was client.Client, known bool, next client.Client, v Visitor) (client.Client, error) {
	if known && was.Source != client.Document {
		return was, nil
	}
	changed := !known || was.Name != next.Name || !samePolicy(was.Policy, next.Policy)
	if !changed && c.Now().Before(was.RefreshedAt.Add(noteDocument)) {
		return was, nil
	}
	event := audit.Event{Actor: audit.System(), Action: audit.ClientUpdated, ClientID: next.ID, IP: v.IP, RequestID: v.RequestID,
		Detail: map[string]any{"source": client.Document, "name": next.Name, "redirect_uris": next.Policy.RedirectURIs}}
	if !known {
		event.Action = audit.ClientCreated
	}
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		one := next
		switch {
		case !known:
			if err := client.Create(ctx, tx, one); err != nil {
				return err
			}
			return audit.Record(ctx, tx, c.Now(), event)
		case changed:
			one.Active, one.UpdatedAt = was.Active, was.UpdatedAt
			if err := client.Update(ctx, tx, one, c.Now()); err != nil {
				return err
			}
			if err := audit.Record(ctx, tx, c.Now(), event); err != nil {
				return err
			}
		}
		return client.SetRefreshed(ctx, tx, one.ID, c.Now())
	})
	if err != nil && !errors.Is(err, db.ErrConflict) {
		return client.Client{}, err
	}
	// After a conflict too: another request has stored the same document.
	cl, found, err := c.findClient(ctx, next.ID)
	if err == nil && !found {
		err = unknownClient("the client was deleted meanwhile")
	}
	return cl, err
}

// samePolicy compares two policies as they are stored.
func samePolicy(a, b client.Policy) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
