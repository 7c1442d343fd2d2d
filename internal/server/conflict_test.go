package server

import (
	"slices"
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
		"three: GET /x/lit is answered by two",
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
