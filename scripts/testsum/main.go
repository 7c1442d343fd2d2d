// Command testsum reads what go test -json prints and shows it to people: one
// line for each package, the whole output of each test that failed, the names
// and reasons of those that were skipped, and a closing line that counts them,
//
//	812 passed, 0 failed
//
// Its arguments name checks that failed before the tests; it repeats them at the
// end. It exits with 1 if a test or a check failed, or if no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	ok, err := summarize(os.Stdin, os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// one is a test, or with an empty name the package itself.
type one struct {
	output        []string
	ended, failed bool
}

// report is what is known of all packages so far.
type report struct {
	out                     io.Writer
	packages                map[string]map[string]*one
	builds                  map[string][]string // what the compiler said, by import path
	passed, failed, skipped int
	skips                   []string
}

func summarize(in io.Reader, out io.Writer, checks []string) (ok bool, err error) {
	r := &report{out: out, packages: map[string]map[string]*one{}, builds: map[string][]string{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.packages)) { // go test itself was cut off
		r.end(event{Action: "fail", Package: p})
	}
	if len(r.skips) > 0 {
		slices.Sort(r.skips)
		fmt.Fprintf(out, "\nSKIPPED:\n  %s\n", strings.Join(r.skips, "\n  "))
	}
	if len(checks) > 0 {
		fmt.Fprintf(out, "\nFAILED before the tests: %s\n", strings.Join(checks, ", "))
	}
	fmt.Fprintf(out, "\n%d passed, %d failed", r.passed, r.failed)
	if r.skipped > 0 {
		fmt.Fprintf(out, ", %d skipped", r.skipped)
	}
	fmt.Fprintln(out)
	return r.failed == 0 && r.passed > 0 && len(checks) == 0, nil
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line) // not of a test: shown as it is
		return
	}
	switch e.Action {
	case "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
		return
	case "build-fail":
		fmt.Fprint(r.out, strings.Join(r.builds[e.ImportPath], ""))
		return
	}
	if r.packages[e.Package] == nil {
		r.packages[e.Package] = map[string]*one{}
	}
	tests := r.packages[e.Package]
	if tests[e.Test] == nil {
		tests[e.Test] = &one{}
	}
	switch e.Action {
	case "output":
		tests[e.Test].output = append(tests[e.Test].output, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.end(e)
			return
		}
		tests[e.Test].ended = true
		switch e.Action {
		case "pass":
			r.passed++
			tests[e.Test].output = nil // a suite's worth of it is not kept
		case "fail":
			r.failed++
			tests[e.Test].failed = true
			fmt.Fprintf(r.out, "\n%s", strings.Join(tests[e.Test].output, ""))
		case "skip":
			r.skipped++
			r.skips = append(r.skips, e.Package+" "+e.Test+": "+reason(tests[e.Test].output))
		}
	}
}

// end closes a package. A test that began and did not end was cut off by a panic
// or by the time limit. A package that failed with no test to blame, as one that
// did not compile, counts as one failure.
func (r *report) end(e event) {
	tests := r.packages[e.Package]
	delete(r.packages, e.Package)
	blamed := 0
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		switch t := tests[name]; {
		case name == "":
		case t.failed:
			blamed++
		case !t.ended:
			blamed++
			r.failed++
			fmt.Fprintf(r.out, "\n%s: %s did not end\n%s", e.Package, name, strings.Join(t.output, ""))
		}
	}
	switch e.Action {
	case "pass", "skip": // skip: it has no tests
		fmt.Fprintf(r.out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
	case "fail":
		if t := tests[""]; t != nil {
			fmt.Fprint(r.out, strings.Join(t.output, ""))
		}
		if blamed == 0 {
			r.failed++
		}
		fmt.Fprintf(r.out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
}

// reason is what a test said when it was skipped.
func reason(output []string) string {
	for _, l := range slices.Backward(output) {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "---") && !strings.HasPrefix(l, "===") {
			return l
		}
	}
	return "no reason given"
}
