package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sallyport/internal/config"
	"sallyport/internal/jwks"
	"sallyport/internal/wire"
)

// conflict is a route that another surface has, or has for some of its paths,
// before the one whose it is gets to see them.
type conflict struct {
	loser, pattern string   // whose route it is
	winner, by     string   // who answers instead, and by which route
	methods        []string // of the route that are concerned, sorted
	whole          bool     // for all paths of the pattern
}

// String is the conflict as people read it.
func (c conflict) String() string {
	what := strings.Join(c.methods, ", ") + " " + c.pattern
	if !c.whole {
		what += " where it is " + c.by
	}
	return fmt.Sprintf("%s: %s is answered by %s", c.loser, what, c.winner)
}

// conflicts finds the routes of sets, which are asked in their order, that an
// earlier set keeps from being reached.
func conflicts(sets []surface) []conflict {
	var all []conflict
	for i, later := range sets {
		for _, r := range later.routes {
			for _, earlier := range sets[:i] {
				lost := false
				for _, by := range earlier.routes {
					both, whole := overlap(by.Pattern, r.Pattern)
					if both && later.lent == earlier.name && by.Pattern == r.Pattern {
						lost = true
						break
					}
					if both && (by.Method == r.Method || by.Method == http.MethodGet && r.Method == http.MethodHead) {
						all, lost = note(all, conflict{later.name, r.Pattern, earlier.name, by.Pattern, []string{r.Method}, whole}), lost || whole
					}
				}
				if lost {
					break
				}
			}
		}
	}
	return all
}

// note adds a conflict, to one that differs in its method alone if there is one.
func note(all []conflict, c conflict) []conflict {
	for i := range all {
		if o := &all[i]; o.loser == c.loser && o.pattern == c.pattern && o.winner == c.winner && o.by == c.by {
			o.methods = slices.Compact(slices.Sorted(slices.Values(append(o.methods, c.methods...))))
			return all
		}
	}
	return append(all, c)
}

// overlap reports whether a path fits both patterns, and whether every path that
// fits the second fits the first.
func overlap(first, second string) (both, whole bool) {
	a, b := strings.Split(first, "/"), strings.Split(second, "/")
	if len(a) != len(b) {
		return false, false
	}
	whole = true
	for i := range a {
		anyA, anyB := strings.HasPrefix(a[i], "{"), strings.HasPrefix(b[i], "{")
		switch {
		case anyA && b[i] == "", anyB && a[i] == "": // a brace takes no empty segment
			return false, false
		case anyA:
		case anyB:
			whole = false
		case a[i] != b[i]:
			return false, false
		}
	}
	return true, whole
}

// rootConflicts are the conflicts at the root under a configuration, without
// those of preflight requests, which all answer alike.
func rootConflicts(c config.Config) ([]conflict, error) {
	s := &Server{cfg: c, settings: &settings{}, keys: &Keys{Ring: &jwks.Ring{}}, metrics: &counters{}, ready: &ready{}}
	all, err := s.surfaces(s.newCores(), nil)
	if err != nil {
		return nil, err
	}
	sets := atRoot(s.probes(), all, c.Root)
	for i := range sets {
		sets[i].routes = slices.DeleteFunc(slices.Clone(sets[i].routes), func(r wire.Route) bool { return r.Method == http.MethodOptions })
	}
	return conflicts(sets), nil
}

// root tells which routes of which surface are to be reached by its prefix or a
// host of its own alone.
func (d *doctor) root() {
	all, err := rootConflicts(d.cfg)
	if err != nil {
		d.add("root", Fail, "%v", err)
		return
	}
	lost := map[string][]string{}
	var order []string
	for _, c := range all {
		if lost[c.loser] == nil {
			order = append(order, c.loser)
		}
		_, what, _ := strings.Cut(c.String(), ": ")
		lost[c.loser] = append(lost[c.loser], what)
	}
	for _, name := range order {
		d.add("root", OK, "%s at the root: %s; use /%s or a host of its own for these", name, strings.Join(lost[name], "; "), name)
	}
}
