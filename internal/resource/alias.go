package resource

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
)

// maxAlias bounds an alias in bytes.
const maxAlias = 255

// alias takes an alias that no other user of the file has in the client. Those of
// the surface tofu are the numbers that its user.id is.
func (c *checker) alias(path string, e *Enrolment) {
	switch {
	case e.Alias == "":
		return
	case len(e.Alias) > maxAlias || strings.ContainsFunc(e.Alias, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		c.wrong(path, "must be one word of at most %d bytes", maxAlias)
		return
	case c.bound[e.Client] == "tofu" && !number(e.Alias):
		c.wrong(path, "must be a whole number from 1, as the ids of the surface tofu are")
		return
	}
	if c.aliases[e.Client] == nil {
		c.aliases[e.Client] = map[string]string{}
	}
	c.unique(path, e.Alias, c.aliases[e.Client])
}

// number reports whether an alias is a number from 1 in its one spelling.
func number(alias string) bool {
	n, err := strconv.ParseInt(alias, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == alias
}

func (s *state) loadAliases(ctx context.Context, tx *db.Tx, ids []identity.UserID) (err error) {
	s.aliases = map[client.ID]map[identity.UserID]string{}
	for _, cl := range s.clients {
		if s.aliases[cl.ID], err = identity.Aliases(ctx, tx, string(cl.ID), ids); err != nil {
			return err
		}
	}
	return nil
}

// alias gives the user the id that a client knows them by.
func (x *userDiff) alias(path string, e *Enrolment) {
	cl := x.clients[e.Client]
	was := x.s.aliases[cl.ID][x.next.ID]
	if e.Alias != "" && was != "" && was != e.Alias {
		x.wrong(path, "the client %q knows %s as %s, which cannot be changed", e.Client, x.u.Email, was)
		return
	}
	if e.Alias == "" || !x.field("enrolments."+e.Client+".alias", was, e.Alias) {
		return
	}
	id := x.next.ID
	x.steps = append(x.steps, func(ctx context.Context, tx *db.Tx) error {
		err := identity.SetAlias(ctx, tx, string(cl.ID), e.Alias, id)
		if errors.Is(err, identity.ErrAliasTaken) {
			return fmt.Errorf("user %s: the client %s knows another user as %s: %w", x.u.Email, e.Client, e.Alias, err)
		}
		return err
	})
}
