package scim

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"sallyport/internal/directory"
	"sallyport/internal/provision"
)

// The number of resources in one answer (RFC 7644 §3.4.2.4).
const (
	usualCount = 100
	maxCount   = 200
)

// query is what a list is asked for.
type query struct {
	filter       string
	start, count int
}

// listing answers a query of an exchange: one page, and how many there are.
type listing func(context.Context, exchange, query) ([]map[string]any, int, error)

// list answers with the resources that the URL asks for.
func (a *API) list(do listing) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, err := a.exchange(w, r)
		if err == nil {
			v := r.URL.Query()
			q := query{filter: v.Get("filter"), start: 1, count: usualCount}
			if err = q.read(v.Get("startIndex"), v.Get("count")); err == nil {
				a.answerList(w, r, x, q, do)
				return
			}
		}
		a.fail(w, r, err)
	}
}

// search answers with the resources that a body asks for (RFC 7644 §3.4.3).
func (a *API) search(do listing) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x, err := a.exchange(w, r)
		if err == nil {
			q := query{filter: str(x.body["filter"]), start: 1, count: usualCount}
			x.shown = projection{attributes: texts(x.body["attributes"]), excluded: texts(x.body["excludedAttributes"])}
			if err = q.read(number(x.body["startIndex"]), number(x.body["count"])); err == nil {
				a.answerList(w, r, x, q, do)
				return
			}
		}
		a.fail(w, r, err)
	}
}

// number is a number of a body as it was written, "" for none.
func number(v any) string {
	switch n := v.(type) {
	case nil:
		return ""
	case json.Number:
		return n.String()
	}
	return "?"
}

func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, one := range list {
		all = append(all, str(one))
	}
	return names(all)
}

// read takes the page over. What is below its least counts as that.
func (q *query) read(start, count string) error {
	for _, c := range []struct {
		name, given string
		into        *int
		least       int
	}{{"startIndex", start, &q.start, 1}, {"count", count, &q.count, 0}} {
		if c.given == "" {
			continue
		}
		n, err := strconv.Atoi(c.given)
		if err != nil || n > 1<<30 {
			return invalid(c.name)
		}
		*c.into = max(n, c.least)
	}
	q.count = min(q.count, maxCount)
	return nil
}

func (a *API) answerList(w http.ResponseWriter, r *http.Request, x exchange, q query, do listing) {
	page, total, err := do(r.Context(), x, q)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if page == nil {
		page = []map[string]any{}
	}
	write(w, http.StatusOK, map[string]any{
		"schemas": []string{listURN}, "totalResults": total, "startIndex": q.start, "itemsPerPage": len(page), "Resources": page,
	})
}

func (a *API) listUsers(ctx context.Context, x exchange, q query) ([]map[string]any, int, error) {
	sought := provision.Query{Start: q.start, Count: q.count}
	var keep func(directory.User) bool
	if q.filter != "" {
		e, err := parseFilter(users, q.filter)
		if err != nil || mentions(e, "groups") {
			return nil, 0, errFilter
		}
		var rest bool
		if sought.Exact, rest = exactly(e); rest {
			keep = func(u directory.User) bool {
				res, err := userResource(u, x.base)
				return err == nil && e.holds(res)
			}
		}
	}
	found, total, err := a.Provision.Users(ctx, x.who, sought, keep)
	out := make([]map[string]any, len(found))
	for i, u := range found {
		if out[i], err = showUser(u, x.base); err != nil {
			return nil, 0, err
		}
		out[i] = x.shown.of(users, out[i])
	}
	return out, total, err
}

func (a *API) listGroups(ctx context.Context, x exchange, q query) ([]map[string]any, int, error) {
	sought := provision.Query{Start: q.start, Count: q.count}
	var keep func(directory.Group) bool
	if q.filter != "" {
		e, err := parseFilter(groups, q.filter)
		if err != nil {
			return nil, 0, errFilter
		}
		var rest bool
		if sought.Exact, rest = exactly(e); rest {
			// Members are looked for by the database or not at all.
			if e = lessMember(e); mentions(e, "members") {
				return nil, 0, errFilter
			}
			keep = func(g directory.Group) bool { return e == nil || e.holds(groupResource(g, x.base)) }
		}
	}
	found, total, err := a.Provision.Groups(ctx, x.who, sought, keep)
	if err != nil {
		return nil, 0, err
	}
	out, err := a.showGroups(ctx, x, found...)
	for i := range out {
		out[i] = x.shown.of(groups, out[i])
	}
	return out, total, err
}
