package main

import (
	"fmt"
	"io"
	"net"

	"sallyport/internal/server"
)

type serveCmd struct{}

// Help is the text of --help.
func (serveCmd) Help() string {
	return `Starts the server of the configuration and runs until it is told to stop (SIGINT or SIGTERM); then it finishes what is in flight. An empty database gets its schema; one of another release is refused, with what to do.

Example:
  export SALLYPORT_SECRET_KEY=$(openssl rand -base64 32)
  sallyport serve --config /etc/sallyport/sallyport.yaml`
}

// Run runs the server.
func (serveCmd) Run(a *app) error {
	c, err := a.loadConfig()
	if err != nil {
		return err
	}
	log := server.NewLog(a.err, c.Log)
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	s, err := server.New(a.ctx, server.Options{Config: c, Log: log, TuneMemory: a.getenv("GOMEMLIMIT") == ""})
	if err != nil {
		return err
	}
	return s.Run(a.ctx, func(at net.Addr) {
		a.print(map[string]string{"address": at.String(), "public_url": c.PublicURL}, func(io.Writer) {})
	})
}

type devCmd struct {
	Listen string `help:"Listen on this loopback address." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Dir    string `help:"Keep the database and its key in this directory." default:".sallyport" placeholder:"DIR"`
	Fresh  bool   `help:"Begin again: remove what an earlier run left."`
}

// Help is the text of --help.
func (devCmd) Help() string {
	return `Starts a server for trying things out: an SQLite database under ./.sallyport, a demo client, a demo user, an operator, and a mailbox for what is mailed; it prints command lines to copy. It listens on loopback addresses alone, because everybody who reaches it may do everything.

Example:
  sallyport dev
  sallyport dev --listen 127.0.0.1:9000 --fresh`
}

// Run runs the playground.
func (d devCmd) Run(a *app) error {
	s, play, err := server.Dev(a.ctx, server.DevOptions{Listen: d.Listen, Dir: d.Dir, Fresh: d.Fresh, Log: a.err, TuneMemory: a.getenv("GOMEMLIMIT") == ""})
	if err != nil {
		return err
	}
	return s.Run(a.ctx, func(net.Addr) {
		a.print(play, func(w io.Writer) { fmt.Fprint(w, play.Text()) })
	})
}
