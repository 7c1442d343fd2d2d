package server

import (
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		first, second string
		both, whole   bool
	}{
		{"/auth/login", "/auth/login", true, true},
		{"/auth/login", "/auth/logout", false, false},
		{"/auth/login", "/auth/login/", false, false},
		{"/auth/{p}/", "/auth/login/", true, true},
		{"/auth/login/", "/auth/{p}/", true, false},
		{"/auth/{a}/", "/auth/{b}/", true, true},
		{"/auth/{a}/x", "/auth/y/{b}", true, false},
		{"/auth/{a}", "/auth/", false, false}, // a brace is never empty
		{"/auth/", "/auth/{a}", false, false},
		{"/a/b", "/a/b/c", false, false},
	} {
		if both, whole := overlap(c.first, c.second); both != c.both || whole != c.whole {
			t.Errorf("%s before %s: got %v, %v; want %v, %v", c.first, c.second, both, whole, c.both, c.whole)
		}
	}
}

// What conflicts says is what the mux does.
func TestConflictsAreWhatTheMuxDoes(t *testing.T) {
	sets := []surface{echo("one", false, nil, "/shared", "/x/lit"), echo("two", false, nil, "/shared", "/x/{any}", "/own"), echo("three", false, nil, "/x/{other}", "/x/lit")}
	var got []string
	for _, c := range conflicts(sets) {
		got = append(got, c.String())
	}
	want := []string{
		"two: GET /shared is answered by one",
		"two: GET /x/{any} where it is /x/lit is answered by one",
		"three: GET /x/{other} where it is /x/lit is answered by one",
		"three: GET /x/{other} is answered by two",
		"three: GET /x/lit is answered by one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// The order of root decides who has a shared path, and doctor tells the others'.
func TestRootConflictsFollowTheOrder(t *testing.T) {
	c := testConfig("")
	c.Root = config.Surfaces
	all, err := rootConflicts(c)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(c conflict) bool {
		return c.loser == "keymaster" && c.pattern == "/.well-known/openid-configuration" && c.winner == "oidc" && c.whole
	}) {
		t.Errorf("got %v", all)
	}
	for _, one := range all {
		if one.winner == one.loser || slices.Contains(one.methods, "OPTIONS") {
			t.Errorf("got %v", one)
		}
	}
}

// The README lists the routes that several surfaces have, and no others.
func TestReadmeListsTheConflicts(t *testing.T) {
	c := testConfig("")
	c.Root = config.Surfaces
	all, err := rootConflicts(c)
	if err != nil {
		t.Fatal(err)
	}
	losers := map[string][]string{}
	for _, one := range all {
		if !one.whole {
			t.Errorf("the table has no words for: %s", one)
		}
		row := "| `" + strings.Join(one.methods, ", ") + " " + one.pattern + "` | " + one.winner + " | "
		losers[row] = append(losers[row], one.loser)
	}
	var want []string
	for row, names := range losers {
		want = append(want, row+strings.Join(names, ", ")+" |")
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, there := strings.Cut(string(text), "| At the root | is of | and not of |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	got := strings.Split(table, "\n")
	slices.Sort(want)
	slices.Sort(got)
	if !there || !slices.Equal(got, want) {
		t.Errorf("README.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
