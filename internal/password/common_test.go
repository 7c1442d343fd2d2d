package password

import (
	"fmt"
	"strings"
	"testing"
)

func TestCommonFilterIsWellFormed(t *testing.T) {
	t.Parallel()
	n := (len(commonFilter) - commonIndex) / 3
	if n < 100_000 || commonIndex+3*n != len(commonFilter) {
		t.Fatalf("%d bytes hold %d entries, want 100,000 and more without a rest", len(commonFilter), n)
	}
	last := 0
	for b := range 1<<bucketBits + 1 {
		begin := common24(3 * b)
		if begin < last || begin > n {
			t.Fatalf("bucket %d begins at %d after %d, of %d", b, begin, last, n)
		}
		last = begin
	}
	if last != n {
		t.Errorf("the buckets end at %d, want %d", last, n)
	}
}

func TestCommonPasswordsAreFound(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"password", "PASSWORD", "12345678", "123456789", "qwertyuiop", "Qwerty123", "sunshine1",
		"football", "baseball", "superman", "1qaz2wsx", "passw0rd", "p@ssw0rd", "letmein1", "starwars", "iloveyou", "password123"} {
		if !isCommon(plain) {
			t.Errorf("%q is not on the list", plain)
		}
	}
}

func TestCommonFilterSeldomErrs(t *testing.T) {
	t.Parallel()
	// Of 2,000,000 made-up passwords 0.7 are expected to be taken for common;
	// 8 or more would happen once in a million such sets.
	wrong := 0
	for i := range 2_000_000 {
		if isCommon(fmt.Sprintf("made up %d", i)) {
			wrong++
		}
	}
	if wrong > 7 {
		t.Errorf("%d of 2,000,000 taken for common, want about one", wrong)
	}
	for _, plain := range []string{"", strings.Repeat("é", 600), "password" + strings.Repeat(" ", 60), "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"} {
		if isCommon(plain) {
			t.Errorf("%.40q is taken for common", plain)
		}
	}
}

func TestCommonLookupAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { isCommon("Correct Horse Battery Stäple") }); n != 0 {
		t.Errorf("%v allocations a look-up, want none", n)
	}
}

func BenchmarkIsCommon(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		isCommon("correct horse battery staple")
	}
}
