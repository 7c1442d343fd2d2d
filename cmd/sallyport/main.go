// Command sallyport is a self-hosted identity server and the tools to run it.
// This package has the command line only: flags, where output goes, exit
// codes. The work is done by package server and by the cores.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/server"
	"sallyport/internal/yaml"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the work could not be done
	exitMisuse = 2 // wrong arguments, or mistakes in a file that the operator wrote
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], process{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}))
}

// process is what a command sees of the process it runs in.
type process struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// cli is the command line. The doc comments of the commands are in their Help.
type cli struct {
	Config string `help:"Read the configuration from this file. Without it: ./sallyport.yaml if there is one, and the environment." placeholder:"FILE" short:"c"`
	JSON   bool   `help:"Write the result to standard output as JSON."`

	Dev      devCmd      `cmd:"" help:"Start a playground on this machine: no file, no set-up."`
	Serve    serveCmd    `cmd:"" help:"Start the server."`
	Plan     planCmd     `cmd:"" help:"Show what applying a resource file would change."`
	Apply    applyCmd    `cmd:"" help:"Make the database say what a resource file says."`
	Pull     pullCmd     `cmd:"" help:"Write the resource file that would change nothing."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database's schema up to this release."`
	Keys     keysCmd     `cmd:"" help:"List and rotate the keys that sign tokens."`
	Operator operatorCmd `cmd:"" help:"Make operators."`
	Doctor   doctorCmd   `cmd:"" help:"Check configuration, database, mail server, keys and machine."`
	Clients  clientsCmd  `cmd:"" help:"List the clients with their ids."`
}

const about = "Sallyport, a self-hosted identity server.\n\nExample:\n  sallyport dev\n\n" +
	"Commands read sallyport.yaml, or the file that --config names, and SALLYPORT_... variables over it. " +
	"They exit with 0 when the work is done, 1 when it is not, and 2 when the arguments or a file have mistakes."

// misuse is an error of the one who called.
type misuse struct{ error }

// Unwrap returns what was wrong.
func (m misuse) Unwrap() error { return m.error }

// exit is what kong's own exits (after --help) are turned into.
type exit int

// run does what args say and returns the exit code. ctx ends when the process
// is told to stop.
func run(ctx context.Context, args []string, p process) (code int) {
	var c cli
	defer func() {
		switch v := recover().(type) {
		case nil:
		case exit:
			code = int(v)
		default:
			panic(v)
		}
	}()
	parser, err := kong.New(&c, kong.Name("sallyport"), kong.Description(about),
		kong.Writers(p.out, p.err), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false, WrapUpperBound: 100}))
	if err != nil {
		panic(err) // the struct tags are wrong
	}
	a := &app{process: p, ctx: ctx, cli: &c}
	parsed, err := parser.Parse(args)
	if err != nil {
		c.JSON = c.JSON || slices.Contains(args, "--json")
		return a.fail(misuse{fmt.Errorf("%w; see: sallyport --help", err)})
	}
	if err := parsed.Run(a); err != nil {
		return a.fail(err)
	}
	return exitOK
}

// app is what a command works with.
type app struct {
	process
	ctx context.Context
	cli *cli
}

// fail reports err, one line for each thing that is wrong, and returns the exit
// code for it.
func (a *app) fail(err error) int {
	if errors.Is(err, errReported) {
		return exitFailed
	}
	code := exitFailed
	lines := []string{err.Error()}
	if m, ok := errors.AsType[*yaml.Mistakes](err); ok {
		code, lines = exitMisuse, nil
		for _, one := range m.List {
			lines = append(lines, one.String())
		}
	}
	if _, ok := errors.AsType[misuse](err); ok {
		code = exitMisuse
	}
	if a.cli.JSON {
		a.encode(a.err, map[string]any{"errors": lines})
		return code
	}
	for _, line := range lines {
		fmt.Fprintln(a.err, "sallyport: "+line)
	}
	return code
}

// errReported is the failure of a command whose output says all there is.
var errReported = errors.New("reported")

// print writes v as JSON if that is asked for, and text otherwise.
func (a *app) print(v any, text func(w io.Writer)) {
	if a.cli.JSON {
		a.encode(a.out, v)
		return
	}
	text(a.out)
}

func (a *app) encode(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintln(a.err, "sallyport:", err)
	}
}

// getenv reads the environment that the process was given.
func (a *app) getenv(name string) string {
	for _, pair := range slices.Backward(a.environ) {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			return v
		}
	}
	return ""
}

// config loads the configuration and passes its warnings on.
func (a *app) config() (config.Config, error) {
	c, err := a.loadConfig()
	if err != nil {
		return c, err
	}
	for _, w := range c.Warnings {
		fmt.Fprintln(a.err, "sallyport: warning: "+w)
	}
	return c, nil
}

func (a *app) loadConfig() (config.Config, error) {
	c, err := config.Load(config.Options{File: a.cli.Config, Environ: a.environ})
	if _, mistakes := errors.AsType[*yaml.Mistakes](err); err != nil && !mistakes {
		return c, misuse{err}
	}
	return c, err
}

// open opens the configured database, which must have this release's schema;
// an empty one gets it.
func (a *app) open() (config.Config, *db.DB, error) {
	c, err := a.config()
	if err != nil {
		return c, nil, err
	}
	d, err := a.openWith(c)
	return c, d, err
}

func (a *app) openWith(c config.Config) (*db.DB, error) {
	d, err := server.OpenDB(a.ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := server.PrepareSchema(a.ctx, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// stamp is an instant for people, "-" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

// table writes rows in columns that line up.
func table(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-len([]rune(cell))+2))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}
