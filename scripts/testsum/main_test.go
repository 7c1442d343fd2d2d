package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	const good = `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"T"}
{"Action":"output","Package":"a","Test":"T","Output":"=== RUN   T\n"}
{"Action":"output","Package":"a","Test":"T","Output":"    quiet\n"}
{"Action":"pass","Package":"a","Test":"T","Elapsed":0.1}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a","Elapsed":0.1}
`
	for _, c := range []struct {
		name, in string
		checks   []string
		ok       bool
		want     []string
		not      []string
	}{
		{"good", good, nil, true, []string{"ok    a  0.1s\n", "\n1 passed, 0 failed\n"}, []string{"quiet"}},
		{"nothing ran", "", nil, false, []string{"0 passed, 0 failed\n"}, nil},
		{"a check failed", good, []string{"lint", "build"}, false, []string{"FAILED before the tests: lint, build\n", "1 passed, 0 failed\n"}, nil},
		{
			"failed", good + `{"Action":"output","Package":"b","Test":"F","Output":"    got 1, want 2\n"}
{"Action":"fail","Package":"b","Test":"F"}
{"Action":"output","Package":"b","Output":"FAIL\n"}
{"Action":"fail","Package":"b","Elapsed":2}
`, nil, false,
			[]string{"got 1, want 2\n", "FAIL  b  2.0s\n", "1 passed, 1 failed\n"}, nil,
		},
		{
			"skipped", good + `{"Action":"output","Package":"b","Test":"S","Output":"--- SKIP: S\n"}
{"Action":"output","Package":"b","Test":"S","Output":"    x.go:1: no server\n"}
{"Action":"skip","Package":"b","Test":"S"}
{"Action":"pass","Package":"b","Elapsed":2}
`, nil, true,
			[]string{"SKIPPED:\n  b S: x.go:1: no server\n", "1 passed, 0 failed, 1 skipped\n"}, nil,
		},
		{
			"panic", good + `{"Action":"run","Package":"b","Test":"P"}
{"Action":"output","Package":"b","Test":"P","Output":"panic: boom\n"}
{"Action":"fail","Package":"b","Elapsed":2}
`, nil, false,
			[]string{"b: P did not end\npanic: boom\n", "1 passed, 1 failed\n"}, nil,
		},
		{
			"does not compile", good + `{"Action":"build-output","ImportPath":"b","Output":"b.go:1: syntax\n"}
{"Action":"build-fail","ImportPath":"b"}
{"Action":"output","Package":"b","Output":"FAIL\tb [build failed]\n"}
{"Action":"fail","Package":"b","FailedBuild":"b"}
`, nil, false,
			[]string{"b.go:1: syntax\n", "1 passed, 1 failed\n"}, nil,
		},
		{"killed", good + `{"Action":"run","Package":"b","Test":"K"}` + "\n", nil, false, []string{"b: K did not end", "1 passed, 1 failed\n"}, nil},
		{"not of a test", "go: downloading x\n" + good, nil, true, []string{"go: downloading x\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := summarize(strings.NewReader(c.in), &out, c.checks)
			if err != nil || ok != c.ok {
				t.Errorf("got %v, %v; want %v", ok, err, c.ok)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got %s\nwant it to say %q", out.String(), want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("got %s\nwant it not to say %q", out.String(), not)
				}
			}
		})
	}
}
