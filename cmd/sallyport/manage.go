package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/audit"
	"sallyport/internal/fault"
	"sallyport/internal/jwks"
	"sallyport/internal/resource"
	"sallyport/internal/server"
)

type migrateCmd struct {
	Plan bool `help:"Only show what would be applied."`
}

// Help is the text of --help.
func (migrateCmd) Help() string {
	return `Applies the schema changes that this release has and the database lacks, each in one transaction. Changes go forward only; take a backup first.

Example:
  sallyport migrate --plan
  sallyport migrate`
}

// Run migrates.
func (m migrateCmd) Run(a *app) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	d, err := server.OpenDB(a.ctx, c)
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := d.Schema(a.ctx)
	if err != nil {
		return fmt.Errorf("cannot use the database (setting database, read from %s): %w", c.Source, err)
	}
	if len(s.Unknown) > 0 {
		return &server.SchemaError{Unknown: s.Unknown}
	}
	names, verb := s.Pending, "would apply"
	if !m.Plan {
		verb = "applied"
		if names, err = d.Migrate(a.ctx); err != nil {
			return err
		}
	}
	if names == nil {
		names = []string{}
	}
	a.print(map[string]any{"migrations": names, "applied": !m.Plan}, func(w io.Writer) {
		for _, name := range names {
			fmt.Fprintln(w, verb, name)
		}
		if len(names) == 0 {
			fmt.Fprintln(w, "nothing to do: the schema is this release's")
		}
	})
	return nil
}

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keysRotateCmd `cmd:"" help:"Let the next key sign from now on."`
}

type keysListCmd struct{}

// Help is the text of --help.
func (keysListCmd) Help() string {
	return `Lists every key with its state: next (published, does not sign yet), active (signs), retired (published until the last token it signed has expired).

Example:
  sallyport keys list`
}

// listedKey is a key as it is shown: nothing of its private half.
type listedKey struct {
	ID        string     `json:"id"`
	Alg       string     `json:"alg"`
	Client    string     `json:"client,omitempty"`
	State     jwks.State `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	ActiveAt  *time.Time `json:"active_at,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// Run lists keys.
func (keysListCmd) Run(a *app) error {
	c, d, err := a.open()
	if err != nil {
		return err
	}
	defer d.Close()
	keys, err := (&server.Keys{DB: d, Key: c.SecretKey, Now: time.Now}).Load(a.ctx)
	if err != nil {
		return err
	}
	listed := []listedKey{}
	rows := [][]string{{"ID", "ALG", "STATE", "CREATED", "SIGNS SINCE", "GOES AT", "CLIENT"}}
	for _, k := range keys {
		one := listedKey{ID: k.ID, Alg: k.Alg, Client: string(k.ClientID), State: k.State, CreatedAt: k.CreatedAt.UTC()}
		if !k.ActiveAt.IsZero() {
			one.ActiveAt = new(k.ActiveAt.UTC())
		}
		if !k.ExpiresAt.IsZero() {
			one.ExpiresAt = new(k.ExpiresAt.UTC())
		}
		listed = append(listed, one)
		rows = append(rows, []string{k.ID, k.Alg, string(k.State), stamp(k.CreatedAt), stamp(k.ActiveAt), stamp(k.ExpiresAt), string(k.ClientID)})
	}
	a.print(map[string]any{"keys": listed}, func(w io.Writer) { table(w, rows) })
	return nil
}

type keysRotateCmd struct {
	Alg   string `help:"The algorithm whose keys are rotated." enum:"RS256,ES256,EdDSA" default:"RS256"`
	Force bool   `help:"Do not wait until the next key has been published long enough. Relying parties that have not seen it refuse new tokens for up to an hour."`
}

// Help is the text of --help.
func (keysRotateCmd) Help() string {
	return `Retires the key that signs, lets the next one sign, and publishes a new next one. Serving nodes follow within seconds. Keys also rotate by themselves every 90 days.

Example:
  sallyport keys rotate --alg ES256`
}

// Run rotates.
func (k keysRotateCmd) Run(a *app) error {
	c, d, err := a.open()
	if err != nil {
		return err
	}
	defer d.Close()
	keys := &server.Keys{DB: d, Key: c.SecretKey, Now: time.Now}
	if err := keys.Ensure(a.ctx); err != nil {
		return err
	}
	id, err := keys.Rotate(a.ctx, k.Alg, k.Force, audit.Operator("command line"))
	if early, ok := errors.AsType[*jwks.TooSoon](err); ok {
		return fmt.Errorf("the next %s key must be published for another %s, so that relying parties know it when it signs; --force rotates at once", k.Alg, early.Wait.Round(time.Second))
	}
	if err != nil {
		return err
	}
	a.print(map[string]string{"alg": k.Alg, "active": id}, func(w io.Writer) { fmt.Fprintf(w, "%s signs with %s now\n", k.Alg, id) })
	return nil
}

type operatorCmd struct {
	Invite operatorInviteCmd `cmd:"" help:"Make a link by which somebody becomes an operator."`
}

type operatorInviteCmd struct {
	Email string `arg:"" help:"Their e-mail address."`
}

// Help is the text of --help.
func (operatorInviteCmd) Help() string {
	return `Prints a link, good for a day, by which the owner of the address sets up an account in the console client with the role admin. Nothing is mailed. If the link is lost, ask again: the earlier one ends.

Example:
  sallyport operator invite jane@example.com`
}

// Run invites.
func (o operatorInviteCmd) Run(a *app) error {
	c, d, err := a.open()
	if err != nil {
		return err
	}
	defer d.Close()
	made, err := (&admin.Core{DB: d, Now: time.Now, Key: c.SecretKey}).OperatorInvite(a.ctx, o.Email, c.PublicURL)
	switch {
	case fault.Is(err, fault.EmailInvalid):
		return misuse{fmt.Errorf("%q is not an e-mail address", o.Email)}
	case fault.Is(err, fault.AlreadyEnrolled):
		return fmt.Errorf("%s has a place in the console client already; an operator has the role admin there", o.Email)
	case err != nil:
		return err
	}
	ends := made.Invite.ExpiresAt.UTC()
	a.print(map[string]any{"email": made.Invite.Email, "link": made.Link, "expires_at": ends}, func(w io.Writer) {
		fmt.Fprintf(w, "%s\n\nGood until %s UTC, once, for %s.\n", made.Link, stamp(ends), made.Invite.Email)
	})
	return nil
}

type clientsCmd struct{}

// Help is the text of --help.
func (clientsCmd) Help() string {
	return `Lists every client: its key in the resource file, its id (the app_id or client_id of the APIs), its name.

Example:
  sallyport clients --json`
}

// Run lists clients.
func (clientsCmd) Run(a *app) error {
	_, d, err := a.open()
	if err != nil {
		return err
	}
	defer d.Close()
	clients, err := (&resource.Core{DB: d, Now: time.Now}).ListClients(a.ctx)
	if err != nil {
		return err
	}
	a.print(map[string]any{"clients": clients}, func(w io.Writer) {
		rows := [][]string{{"KEY", "ID", "NAME"}}
		for _, c := range clients {
			rows = append(rows, []string{c.Key, string(c.ID), strconv.Quote(c.Name)})
		}
		table(w, rows)
	})
	return nil
}

type doctorCmd struct{}

// Help is the text of --help.
func (doctorCmd) Help() string {
	return `Looks at everything that a server with this configuration needs and prints a line for each: ok, warn or fail. It exits with 1 if anything fails. It may run beside a serving node.

Example:
  sallyport doctor --config /etc/sallyport/sallyport.yaml`
}

// Run checks.
func (doctorCmd) Run(a *app) error {
	c, err := a.loadConfig()
	var checks []server.Check
	if err != nil {
		checks = server.Misconfigured(err)
	} else {
		checks = server.Doctor(a.ctx, c, time.Now())
	}
	failed := false
	for _, one := range checks {
		failed = failed || one.Verdict == server.Fail
	}
	a.print(map[string]any{"ok": !failed, "checks": checks}, func(w io.Writer) {
		for _, one := range checks {
			fmt.Fprintf(w, "%-4s  %s: %s\n", one.Verdict, one.Name, one.Detail)
		}
	})
	if failed {
		return errReported
	}
	return nil
}
