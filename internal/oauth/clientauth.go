package oauth

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/fault"
	"sallyport/internal/grant"
	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/token"
	"sallyport/internal/wire"
)

// The ways in which a request may carry a client's credentials; "" is none.
const (
	BySecretBasic = "client_secret_basic"
	BySecretPost  = "client_secret_post"
	ByAssertion   = "assertion"
)

// AssertionJWT is the one type of client assertion (RFC 7523 §2.2).
const AssertionJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// ClientAuth is who a request says its client is. ID may be empty beside an
// assertion. Endpoint is the URL of the endpoint that was asked.
type ClientAuth struct {
	ID            string
	Secret        string
	Method        string
	Assertion     string
	AssertionType string
	Certificate   *Certificate
	Endpoint      string
	Visitor       Visitor
}

// Certificate is what a client showed to the proxy that ended its TLS (RFC
// 8705). X5T is the SHA-256 of it. That its chain was verified is the proxy's
// affair.
type Certificate struct {
	X5T                 string
	SubjectDN           string // RFC 4514
	Public              crypto.PublicKey
	NotBefore, NotAfter time.Time
}

// once is something that may come once, until it is no longer good anyway.
// code is the refusal of a second.
type once struct {
	key   string
	until time.Time
	code  string
}

// spend notes all of them in the transaction that acts on them, and fails with
// an *Error if one came before.
func spend(ctx context.Context, tx *db.Tx, all []once) error {
	for _, o := range all {
		fresh, err := grant.See(ctx, tx, []byte(o.key), o.until)
		if err != nil {
			return err
		}
		if !fresh {
			return refuse(o.code, "it was used before")
		}
	}
	return nil
}

// spendAlone is spend for what is not followed by anything to write.
func (c *Core) spendAlone(ctx context.Context, all []once) error {
	if len(all) == 0 {
		return nil
	}
	return c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return spend(ctx, tx, all) })
}

// Authenticate proves the client of a request: by secret, assertion or
// certificate, or, of a public client, by nothing. An assertion is good once.
// Fails with an *Error, or with fault.RateLimited after too many wrong secrets.
func (c *Core) Authenticate(ctx context.Context, in ClientAuth) (client.Client, error) {
	cl, seen, err := c.authenticate(ctx, in)
	if err != nil {
		return client.Client{}, err
	}
	return cl, c.spendAlone(ctx, seen)
}

// authenticate is Authenticate for an operation that spends what may come once
// in its own transaction.
func (c *Core) authenticate(ctx context.Context, in ClientAuth) (client.Client, []once, error) {
	id, err := in.claimed()
	if err != nil {
		return client.Client{}, nil, err
	}
	var cl client.Client
	if strings.HasPrefix(string(id), "https:") || strings.HasPrefix(string(id), "http:") {
		// It may be new to us. What its document says of it has no secret to guess.
		if cl, err = c.ClientByID(ctx, string(id), in.Visitor); err != nil {
			return client.Client{}, nil, err
		}
		return c.authenticateAs(ctx, cl, in, tries{})
	}
	var tries tries
	err = c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if tries, err = c.tries(ctx, tx, in, id); err != nil {
			return err
		}
		cl, err = client.ByID(ctx, tx, id)
		return notFoundIsZero(err)
	})
	if err != nil {
		return client.Client{}, nil, err
	}
	return c.authenticateAs(ctx, cl, in, tries)
}

func notFoundIsZero(err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	return err
}

// claimed is the client that the credentials say they are of, in the spelling
// of its row.
func (a ClientAuth) claimed() (client.ID, error) {
	id := a.ID
	if a.Method == ByAssertion {
		if a.AssertionType != AssertionJWT || a.Assertion == "" {
			return "", refuse(InvalidClient, "client_assertion_type is not "+AssertionJWT)
		}
		var says struct {
			Subject string `json:"sub"`
		}
		if _, err := token.Peek(a.Assertion, &says); err != nil || says.Subject == "" {
			return "", &Error{Code: InvalidClient, Description: "the assertion is malformed", Err: err}
		}
		if id != "" && id != says.Subject {
			return "", refuse(InvalidClient, "client_id is not the subject of the assertion")
		}
		id = says.Subject
	}
	if id == "" {
		return "", refuse(InvalidClient, "the request names no client")
	}
	if canonical, ok := identity.ParseID(id); ok {
		id = canonical
	}
	if !utf8.ValidString(id) || strings.IndexByte(id, 0) >= 0 || len(id) > maxDocumentID {
		return "", wrongClient("client_id is no id") // nor anything that a database takes
	}
	return client.ID(id), nil
}

// failures limits wrong secrets, by client and network: by client alone it
// would let anybody lock an application out.
func failures(id client.ID, v Visitor) limit.Rule {
	return limit.Rule{Name: "oauth.client", Key: string(id) + " " + wire.Origin{IP: v.IP}.Network(), N: 20, Per: 15 * time.Minute}
}

// tries is what is known of wrong secrets before one is judged.
type tries struct {
	rule    limit.Rule
	counted bool // something is
}

// tries reads the limit on wrong secrets. A right one is refused as well while
// it lasts, or it would limit nothing. One look tells both whether anything is
// counted and whether it is too much.
func (c *Core) tries(ctx context.Context, tx *db.Tx, in ClientAuth, id client.ID) (tries, error) {
	if in.Method != BySecretBasic && in.Method != BySecretPost {
		return tries{}, nil
	}
	return c.look(ctx, tx, failures(id, in.Visitor))
}

func (c *Core) look(ctx context.Context, tx *db.Tx, rule limit.Rule) (tries, error) {
	one := rule
	one.N = 1 // would wait if anything at all is counted
	wait, _, err := limit.Wait(ctx, tx, c.Now(), one)
	if over := wait - rule.Per/time.Duration(rule.N)*time.Duration(rule.N-1); err == nil && over > 0 {
		err = fault.Later(fault.RateLimited, over)
	}
	return tries{rule: rule, counted: wait > 0}, err
}

// authenticateAs judges the credentials against the client that they are said
// to be of, the zero Client if there is none. What may come once is returned
// for the caller to spend.
func (c *Core) authenticateAs(ctx context.Context, cl client.Client, in ClientAuth, t tries) (client.Client, []once, error) {
	seen, err := c.credentials(ctx, cl, in)
	if _, wrong := errors.AsType[*Error](err); wrong && t.rule.N > 0 {
		return client.Client{}, nil, c.countWrong(ctx, cl, in, t, err)
	} else if err != nil {
		return client.Client{}, nil, err
	}
	if t.counted {
		if err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return limit.Reset(ctx, tx, t.rule) }); err != nil {
			return client.Client{}, nil, err
		}
	}
	return cl, seen, nil
}

// countWrong counts and records a wrong secret. The count decides what is told,
// so that any number of parallel guesses learn no more than the limit allows.
func (c *Core) countWrong(ctx context.Context, cl client.Client, in ClientAuth, t tries, wrong error) error {
	err := c.wrongSecret(ctx, cl, t.rule, in.Visitor)
	if fault.Is(err, fault.ClientAuthFailed) {
		return wrong
	}
	return err
}

// credentials judges them by the method that the client is registered with
// (RFC 7591 §2): one that registered a key is not let in by a secret, and one
// that has a secret not by nothing.
func (c *Core) credentials(ctx context.Context, cl client.Client, in ClientAuth) ([]once, error) {
	if cl.ID == "" || !cl.Active {
		return nil, wrongClient("no such client, or it is switched off")
	}
	method := methodOf(cl)
	if cl.Policy.FAPI() && !slices.Contains(fapiMethods, method) {
		return nil, wrongClient("the fapi2 profile takes private_key_jwt or mutual TLS, the client is registered with " + method)
	}
	switch method {
	case client.AuthNone:
		if in.Method != "" {
			return nil, wrongClient("a public client sent credentials")
		}
		return nil, nil
	case client.AuthSecretBasicOrPost, client.AuthSecretBasic, client.AuthSecretPost:
		return nil, c.secretIs(cl, method, in)
	case client.AuthSecretJWT, client.AuthPrivateKeyJWT:
		return c.assertion(ctx, cl, method, in)
	case client.AuthTLS, client.AuthSelfSignedTLS:
		return nil, c.certificateIs(ctx, cl, method, in)
	}
	return nil, wrongClient("unknown method " + method)
}

// methodOf is how a client proves itself: as it is registered, else by what it
// has to do so with.
func methodOf(cl client.Client) string {
	o := cl.Policy.OAuth
	switch {
	case o.TokenEndpointAuth != "":
		return o.TokenEndpointAuth
	case cl.Confidential():
		return client.AuthSecretBasicOrPost
	case len(o.JWKS) > 0 || cl.Policy.JWKSURI != "":
		return client.AuthPrivateKeyJWT
	case o.TLSSubjectDN != "":
		return client.AuthTLS
	}
	return client.AuthNone
}

// fapiMethods are those of FAPI 2.0 §5.3.2.1.
var fapiMethods = []string{client.AuthPrivateKeyJWT, client.AuthTLS, client.AuthSelfSignedTLS}

func wrongClient(detail string) error {
	return &Error{Code: InvalidClient, Description: "client authentication failed", Detail: detail}
}

// secretIs judges a shared secret. A client that names neither header nor form
// may use both.
func (c *Core) secretIs(cl client.Client, method string, in ClientAuth) error {
	switch {
	case in.Method != BySecretBasic && in.Method != BySecretPost:
		return wrongClient("no secret was sent")
	case method != client.AuthSecretBasicOrPost && in.Method != method:
		return wrongClient("the client is registered with " + method)
	case !cl.VerifySecret(c.Key, in.Secret):
		return wrongClient("wrong secret")
	}
	return nil
}

// wrongSecret counts a wrong secret under the rule and records it. It never
// succeeds: it fails with fault.ClientAuthFailed, or fault.RateLimited.
func (c *Core) wrongSecret(ctx context.Context, cl client.Client, rule limit.Rule, v Visitor) error {
	err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		wait, _, err := limit.Take(ctx, tx, c.Now(), rule)
		if err != nil {
			return err
		}
		if wait > 0 {
			return fault.Later(fault.RateLimited, wait)
		}
		if cl.ID == "" {
			return nil // made-up ids do not fill the log
		}
		return audit.Record(ctx, tx, c.Now(), audit.Event{
			Actor: audit.Actor{Kind: audit.KindAnonymous}, Action: audit.ServiceFailed, ClientID: cl.ID, IP: v.IP, RequestID: v.RequestID,
		})
	})
	if err != nil {
		return err
	}
	return fault.New(fault.ClientAuthFailed)
}
