// Package emulator starts other people's identity providers, which are programs for
// node, for tests to sign in at. It is for tests only, and knows none of them: what
// is run is a script of the test's.
package emulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// What scripts/test sets: a node, and a node_modules with the programs in it.
const (
	nodeVariable    = "SALLYPORT_TEST_NODE"
	modulesVariable = "SALLYPORT_TEST_EMULATORS"
)

// Needed ends a test that cannot have emulators: it says so, and fails where they are
// to be there. It returns node, and the modules.
func Needed(t testing.TB) (node, modules string) {
	t.Helper()
	node, modules = os.Getenv(nodeVariable), os.Getenv(modulesVariable)
	if node == "" || modules == "" {
		why := "set " + nodeVariable + " and " + modulesVariable + ", or run scripts/test, to test against other people's providers"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		fmt.Fprintf(os.Stderr, "%s: SKIPPED: %s\n", t.Name(), why)
		t.Skip(why)
	}
	return node, modules
}

// Start runs a script with the modules and the arguments until the test ends, which
// closes its standard input, and reads what it says once it serves: a line of JSON.
func Start(t testing.TB, into any, script string, args ...string) {
	t.Helper()
	node, modules := Needed(t)
	cmd := exec.CommandContext(t.Context(), node, append([]string{"--no-deprecation", script, modules}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it may have been ended with the test
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), into) == nil {
			return
		}
	}
	t.Fatalf("%s did not start", script)
}
