// Package e2e tests and measures the program as its users meet it: the real
// binary, built once, started as a process of its own with a configuration
// file, a database of its own on either engine and a mail server on a real
// socket, and spoken to over HTTP alone. It owns no rule of its own and looks
// into no package under test; what can be shown with less is shown by the
// packages themselves.
//
//	site     an installation: configuration, database, mail sink   (site_test.go)
//	node     one process that serves it                            (node_test.go)
//	visitor  somebody with an address of their own and a browser   (visitor_test.go)
//
// What needs a clock that the test moves, or hundreds of clients, is tried
// against a rig behind its whole handler, by HTTP as well:
//
//	op       a provider with its pages                             (conformance_op_test.go)
//	party    a relying party that verifies all it gets             (conformance_party_test.go)
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sallyport/internal/db/dbtest"
)

// scratch holds the binary while the tests run.
var scratch string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "sallyport-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return m.Run()
}

// program is the path of the binary, built as it is released.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "sallyport")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "sallyport/cmd/sallyport")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// each runs f against an installation on each engine.
func each(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		t.Parallel()
		f(t, newSite(t, url, options{}))
	})
}
