package transcript

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// step is an exchange, or a directive when verb is not empty.
type step struct {
	line int

	verb, args string

	method, target string
	headers        []header
	body           string
	want           answer
}

type header struct{ name, value string }

// answer is what a response must be like.
type answer struct {
	status  int
	headers []header
	absent  []string
	given   bool // there is a body to compare
	body    string
	any     bool // "< *"
	holds   []string
}

var headerLine = regexp.MustCompile(`^([A-Za-z0-9-]+):(?: (.*))?$`)

// parse reads a transcript. It names the file and line of a mistake.
func parse(file, text string) ([]step, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var steps []step
	for i := 0; i < len(lines); {
		l := lines[i]
		var s step
		var n int
		var err error
		switch {
		case l == "" || strings.HasPrefix(l, "#"):
			i++
			continue
		case strings.HasPrefix(l, "@ "):
			s.verb, s.args, _ = strings.Cut(strings.TrimSpace(l[2:]), " ")
			n = 1
		case strings.HasPrefix(l, ">"):
			s, n, err = exchange(lines[i:])
		default:
			err = fmt.Errorf("a line starts with none of # > < @: %q", l)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1+n, err)
		}
		s.line = i + 1
		steps = append(steps, s)
		i += n
	}
	return steps, nil
}

// take returns the leading lines that start with mark, without it and the space
// that follows.
func take(lines []string, mark string) []string {
	var out []string
	for _, l := range lines {
		rest, ok := strings.CutPrefix(l, mark)
		if !ok {
			break
		}
		out = append(out, strings.TrimPrefix(rest, " "))
	}
	return out
}

// exchange reads a request and its response. n counts the lines read, up to the
// mistake if there is one.
func exchange(lines []string) (s step, n int, err error) {
	req := take(lines, ">")
	s.method, s.target, _ = strings.Cut(req[0], " ")
	if s.method == "" || s.target == "" || strings.Contains(s.target, " ") {
		return s, 0, fmt.Errorf("want \"> METHOD path\", got %q", req[0])
	}
	var body []string
	s.headers, body = headers(req[1:])
	s.body = strings.Join(body, "\n")

	n = len(req)
	resp := take(lines[n:], "<")
	if len(resp) == 0 {
		return s, n, fmt.Errorf("a request has no response")
	}
	if s.want.status, err = strconv.Atoi(resp[0]); err != nil {
		return s, n, fmt.Errorf("want \"< STATUS\", got %q", resp[0])
	}
	// The marked lines may stand anywhere after the status.
	var plain []string
	for i, l := range resp[1:] {
		switch l := strings.TrimRight(l, " "); {
		case strings.HasPrefix(l, "!"):
			s.want.absent = append(s.want.absent, strings.TrimSpace(l[1:]))
		case strings.HasPrefix(l, "~"):
			s.want.holds = append(s.want.holds, strings.TrimPrefix(l[1:], " "))
			if _, err := regexp.Compile(s.want.holds[len(s.want.holds)-1]); err != nil {
				return s, n + 1 + i, err
			}
		default:
			plain = append(plain, resp[1+i])
		}
	}
	n += len(resp)
	s.want.headers, body = headers(plain)
	s.want.body = strings.Join(body, "\n")
	s.want.given = len(body) > 0
	if s.want.body == "*" {
		s.want.any, s.want.given = true, false
	}
	return s, n, nil
}

// headers splits lines into headers and body. An empty line ends the headers,
// and so does a line that does not look like one.
func headers(lines []string) (hs []header, body []string) {
	for i, l := range lines {
		m := headerLine.FindStringSubmatch(l)
		if l == "" {
			return hs, lines[i+1:]
		}
		if m == nil {
			return hs, lines[i:]
		}
		hs = append(hs, header{m[1], m[2]})
	}
	return hs, nil
}
