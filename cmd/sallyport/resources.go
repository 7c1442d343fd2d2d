package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/password"
	"sallyport/internal/resource"
)

type planCmd struct {
	File  string `arg:"" help:"The resource file; - is standard input."`
	Prune bool   `help:"Show also what --prune would delete."`
}

// Help is the text of --help.
func (planCmd) Help() string {
	return `Shows what apply would change, and changes nothing. Secrets are shown as whether there is one.

Example:
  sallyport plan resources.yaml`
}

// Run plans.
func (p planCmd) Run(a *app) error {
	core, _, file, d, err := a.resources(p.File)
	if err != nil {
		return err
	}
	defer d.Close()
	changes, err := core.Plan(a.ctx, file, p.Prune)
	if err != nil {
		return err
	}
	changes = onlyChanges(changes)
	a.print(map[string]any{"changes": changes}, func(w io.Writer) { printChanges(w, changes) })
	return nil
}

type applyCmd struct {
	File   string `arg:"" help:"The resource file; - is standard input."`
	Prune  bool   `help:"Delete what an earlier apply of the file made and it names no more."`
	NoMail bool   `help:"Make invitations without mailing them, and print their links."`
}

// invitation is one that was not mailed, so its link is shown.
type invitation struct {
	Client string `json:"client"`
	Org    string `json:"org,omitempty"`
	Email  string `json:"email"`
	Link   string `json:"link"`
}

// Help is the text of --help.
func (applyCmd) Help() string {
	return `Makes the database say what the file says: all of it, or nothing and the reason. Applying it again changes nothing. New invitations are mailed by a serving node unless --no-mail.

Example:
  sallyport plan resources.yaml
  sallyport apply resources.yaml`
}

// Run applies.
func (p applyCmd) Run(a *app) error {
	core, c, file, d, err := a.resources(p.File)
	if err != nil {
		return err
	}
	defer d.Close()
	result, err := core.Apply(a.ctx, file, resource.Options{Prune: p.Prune, NoMail: p.NoMail, BaseURL: c.PublicURL})
	if err != nil {
		return err
	}
	changes := onlyChanges(result.Changes)
	invited := []invitation{}
	for _, i := range result.Invited {
		invited = append(invited, invitation{i.Client, i.Org, i.Email, i.Link.Reveal()})
	}
	a.print(map[string]any{"changes": changes, "clients": result.Clients, "invited": invited}, func(w io.Writer) {
		printChanges(w, changes)
		for _, i := range invited {
			fmt.Fprintf(w, "invitation for %s: %s\n", i.Email, i.Link)
		}
	})
	return nil
}

type pullCmd struct{}

// Help is the text of --help.
func (pullCmd) Help() string {
	return `Writes the resource file that would change nothing to standard output. Secrets are written as the references they were applied with, or as "stored", which means the one that is there.

Example:
  sallyport pull > resources.yaml
  sallyport plan resources.yaml`
}

// Run pulls.
func (pullCmd) Run(a *app) error {
	c, d, err := a.open()
	if err != nil {
		return err
	}
	defer d.Close()
	core := &resource.Core{DB: d, Now: time.Now, Key: c.SecretKey}
	text, err := core.Pull(a.ctx)
	if err != nil {
		return err
	}
	a.print(map[string]string{"resources": string(text)}, func(w io.Writer) { _, err = w.Write(text) })
	return err
}

// resources reads a resource file and opens what it is to be applied to.
func (a *app) resources(name string) (core *resource.Core, c config.Config, file *resource.File, d *db.DB, err error) {
	if c, err = a.config(); err != nil {
		return nil, c, nil, nil, err
	}
	data, shown, err := a.readResources(name)
	if err != nil {
		return nil, c, nil, nil, misuse{err}
	}
	file, err = resource.Parse(shown, data, resource.ParseOptions{Outbound: c.OutboundAllow})
	if err != nil {
		return nil, c, nil, nil, err
	}
	for _, w := range file.Warnings {
		fmt.Fprintln(a.err, "sallyport: warning: "+w.String())
	}
	if d, err = a.openWith(c); err != nil {
		return nil, c, nil, nil, err
	}
	core = &resource.Core{DB: d, Now: time.Now, Key: c.SecretKey, Passwords: password.NewPool(password.PoolOptions{Queue: 1 << 10, Wait: time.Hour})}
	return core, c, file, d, nil
}

// readResources reads the file, or standard input, a little further than the
// parser would go, so that it can say that it is too large.
func (a *app) readResources(name string) (data []byte, shown string, err error) {
	in, shown := a.in, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, name, fmt.Errorf("cannot read the resource file: %w", err)
		}
		defer f.Close()
		in, shown = f, name
	}
	data, err = io.ReadAll(io.LimitReader(in, resource.MaxFile+1))
	if err != nil {
		return nil, shown, fmt.Errorf("cannot read the resource file: %w", err)
	}
	return data, shown, nil
}

// onlyChanges leaves out what stays as it is.
func onlyChanges(all []resource.Change) []resource.Change {
	changes := []resource.Change{}
	for _, c := range all {
		if c.Action != resource.None {
			changes = append(changes, c)
		}
	}
	return changes
}

var signs = map[resource.Action]string{resource.Create: "+", resource.Update: "~", resource.Delete: "-"}

func printChanges(w io.Writer, changes []resource.Change) {
	if len(changes) == 0 {
		fmt.Fprintln(w, "no changes")
		return
	}
	counts := map[resource.Action]int{}
	for _, c := range changes {
		counts[c.Action]++
		fmt.Fprintf(w, "%s %s %s\n", signs[c.Action], c.Kind, c.Name)
		for _, f := range c.Fields {
			switch c.Action {
			case resource.Create:
				fmt.Fprintf(w, "    %s: %s\n", f.Name, f.New)
			case resource.Delete:
				fmt.Fprintf(w, "    %s: %s\n", f.Name, f.Old)
			default:
				fmt.Fprintf(w, "    %s: %s → %s\n", f.Name, orNothing(f.Old), orNothing(f.New))
			}
		}
	}
	fmt.Fprintf(w, "%d to create, %d to update, %d to delete\n", counts[resource.Create], counts[resource.Update], counts[resource.Delete])
}

func orNothing(s string) string {
	if strings.TrimSpace(s) == "" {
		return "(nothing)"
	}
	return s
}
