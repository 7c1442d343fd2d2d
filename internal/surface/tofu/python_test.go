package tofu_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/internal/surface/tofu"
)

// numbers are JSON's with Python's text of them.
var numbers = map[string]string{
	"0": "0", "-0": "0", "12": "12", "-7": "-7", "12345678901234567890123": "12345678901234567890123",
	"0.0": "0.0", "-0.0": "-0.0", "1.0": "1.0", "1.50": "1.5", "1e5": "100000.0", "1E-4": "0.0001", "1e-5": "1e-05", "-2.5e-7": "-2.5e-07",
	"1e15": "1000000000000000.0", "1e16": "1e+16", "123456789012345678.0": "1.2345678901234568e+17", "1e22": "1e+22", "1e400": "inf", "-1e400": "-inf",
	"1e-400": "0.0", "5e-324": "5e-324", "1.7976931348623157e308": "1.7976931348623157e+308", "0.1": "0.1", "9007199254740993.0": "9007199254740992.0",
}

func TestNumbersAreWrittenAsPythonDoes(t *testing.T) {
	t.Parallel()
	for given, want := range numbers {
		if _, got, err := tofu.ParseJSON([]byte(given)); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", given, got, err, want)
		}
	}
	py := python(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 2))
	var given []string
	for range 3000 {
		f := math.Float64frombits(random.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		given = append(given, fmt.Sprintf("%.*g", 1+random.IntN(20), f))
	}
	cmd := exec.CommandContext(t.Context(), py, "-c", "import json,sys\nfor line in sys.stdin: print(str(json.loads(line)))")
	cmd.Stdin = strings.NewReader(strings.Join(given, "\n"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if _, got, err := tofu.ParseJSON([]byte(given[i])); got != want || err != nil {
			t.Errorf("seed %d: %s: got %q, %v, want %q", seed, given[i], got, err, want)
		}
	}
}

// FuzzJSON holds the reader against the standard library's, which knows the same
// grammar.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"email":"x","password":[1,2.5e-3,null]}`, `"\ud83d\ude00 \ud800"`, `[[{}],-0]`, "\"\\u00", "{\"a\":1,}", "\xff", `1.5e`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !utf8.Valid(b) || len(b) > 4000 || strings.HasPrefix(string(b), "\ufeff") {
			b = []byte(strings.ToValidUTF8(strings.TrimPrefix(string(b[:min(len(b), 4000)]), "\ufeff"), "?"))
		}
		_, _, err := tofu.ParseJSON(b)
		if deep := strings.Count(string(b), "[")+strings.Count(string(b), "{") > 400; !deep && (err == nil) != json.Valid(b) {
			t.Errorf("%q: %v, the standard library says valid: %v", b, err, json.Valid(b))
		}
	})
}
