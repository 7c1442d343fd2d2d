package snooplytics

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/enterprise"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/signin"
	"sallyport/internal/sso"
	"sallyport/internal/wire"
)

// auditRoutes are what happened in an organization, for who manages its members
// (contract §14).
func (a *API) auditRoutes() []route {
	return []route{
		{method: "GET", path: tenantPath + "/audit-logs", wants: byAny, scope: userRead, do: tenant((*API).auditLogs)},
		{method: "GET", path: tenantPath + "/audit-logs/export", wants: byAny, scope: userRead, do: tenant((*API).exportAudit)},
	}
}

// entry is something that happened, on the wire.
type entry struct {
	ID        string          `json:"id"`
	CreatedAt stamp           `json:"createdAt"`
	Org       org.ID          `json:"organizationId"`
	UserID    identity.UserID `json:"userId"`
	Action    string          `json:"action"`
	Type      string          `json:"resourceType"`
	Resource  string          `json:"resourceId"`
	IPAddress string          `json:"ipAddress"`
	UserAgent string          `json:"userAgent"`
	Metadata  map[string]any  `json:"metadata"`
}

// nouns are what the wire calls a kind of thing otherwise than we do.
var nouns = map[string]string{"org": "organization", "apikey": "api-key", "connection": "sso", "user": "auth"}

// actionOf is an action on the wire. Sign-ins are of auth; those in an organization's
// log are by its own provider.
func actionOf(a audit.Action) string {
	switch a {
	case audit.UserLogin:
		return "auth.sso.login"
	case audit.UserLoginFailed:
		return "auth.sso.login_failed"
	case audit.UserLinked:
		return "auth.sso.linked"
	}
	noun, verb, _ := strings.Cut(string(a), ".")
	if named := nouns[noun]; named != "" {
		noun = named
	}
	return noun + "." + verb
}

// actionNamed is the action that the wire calls so; what it calls none is none of ours.
func actionNamed(name string) string {
	switch name {
	case "auth.login":
		return string(audit.UserLogin)
	case "auth.login_failed":
		return string(audit.UserLoginFailed)
	}
	for _, a := range audit.Actions {
		if actionOf(a) == name {
			return string(a)
		}
	}
	return name
}

// nounNamed is the kind of thing that the wire calls so.
func nounNamed(name string) string {
	for ours, theirs := range nouns {
		if name == theirs {
			return ours
		}
	}
	return name
}

// about names what an entry is about: of what has an id of its own that one, else the
// user or the organization.
func about(e audit.Entry) (kind, id string) {
	noun, _, _ := strings.Cut(string(e.Action), ".")
	named, key := map[string]string{"invite": "invite_id", "apikey": "key", "domain": "domain"}[noun], ""
	if named != "" {
		key, _ = e.Detail[named].(string)
	}
	kind = noun
	if theirs := nouns[noun]; theirs != "" {
		kind = theirs
	}
	switch {
	case key != "":
		return kind, key
	case noun == "user", noun == "member":
		return kind, string(e.UserID)
	}
	return kind, string(e.OrgID)
}

func entryOf(e audit.Entry) entry {
	kind, id := about(e)
	agent, _ := e.Detail["user_agent"].(string)
	out := entry{
		ID: e.ID, CreatedAt: stamp(e.At), Org: e.OrgID, UserID: e.UserID, Action: actionOf(e.Action), Type: kind, Resource: id, IPAddress: e.IP, UserAgent: agent,
		Metadata: map[string]any{"actor": e.Actor.String()},
	}
	if e.Actor.Kind == audit.KindUser {
		out.UserID = identity.UserID(e.Actor.ID) // who did it; whom they did it to is the resource
	}
	for name, v := range e.Detail {
		if name != "org" && name != "user_agent" {
			out.Metadata[name] = told(e.OrgID, name, v)
		}
	}
	return out
}

// told is a detail as its organization knows it: the names that we keep its provider
// and its issuer under are ours.
func told(id org.ID, name string, v any) any {
	s, ok := v.(string)
	switch {
	case ok && name == "method":
		return methodOf(s)
	case ok && name == "issuer":
		return strings.TrimPrefix(s, sso.LinkIssuer(id, ""))
	}
	return v
}

// methodOf is what a sign-in was by.
func methodOf(method string) string {
	if _, own := sso.OrgOf(method); own {
		return signin.MethodSSO
	}
	return method
}

// chosen reads which entries are asked for.
func (c *call) chosen() enterprise.AuditIn {
	in := enterprise.AuditIn{
		Action: actionNamed(c.text("action", wire.Max(maxName))), ResourceType: nounNamed(c.text("resourceType", wire.Max(maxName))),
		ResourceID: c.text("resourceId", wire.Max(maxOpaque)), UserID: identity.UserID(c.text("userId", wire.Max(maxOpaque))),
		Since: c.instant("startDate", 0), Until: c.instant("endDate", 24*time.Hour),
	}
	return in
}

// instant reads a time or a date, zero for none; day is added to a date, for the end of
// one that is included.
func (in *input) instant(name string, day time.Duration) time.Time {
	given := in.text(name, wire.Max(maxName))
	if given == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.DateOnly, given); err == nil {
		return t.Add(day)
	}
	t, err := time.Parse(time.RFC3339, given)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		in.wrong(name, "Invalid date")
		return time.Time{}
	}
	return t
}

type logs struct {
	Logs []entry `json:"logs"`
}

// auditLogs is GET …/audit-logs, the newest first.
func (a *API) auditLogs(w http.ResponseWriter, r *http.Request, c *call) error {
	in, p := c.chosen(), c.page()
	if err := c.err(); err != nil {
		return err
	}
	in.Limit, in.Offset = p.limit, p.offset
	all, total, err := a.Enterprise.AuditLogs(r.Context(), c.actor(r), c.org, in)
	if err != nil {
		return err
	}
	return list(w, logs{viewsOf(all, entryOf)}, total, p)
}

// mostExported is how many entries an export has at most, the newest.
const mostExported = 10_000

// exportAudit is GET …/audit-logs/export: CSV (RFC 4180), or JSON by format=json.
func (a *API) exportAudit(w http.ResponseWriter, r *http.Request, c *call) error {
	in, format := c.chosen(), c.text("format", wire.Max(maxName))
	if format != "" && format != "csv" && format != "json" {
		c.wrong("format", "Invalid format")
	}
	if err := c.err(); err != nil {
		return err
	}
	all := []entry{}
	for in.Limit = enterprise.MaxAudit; in.Offset < mostExported; in.Offset += in.Limit {
		some, _, err := a.Enterprise.AuditLogs(r.Context(), c.actor(r), c.org, in)
		if err != nil {
			return err
		}
		all = append(all, viewsOf(some, entryOf)...)
		if len(some) < in.Limit {
			break
		}
	}
	if format == "json" {
		w.Header().Set("Content-Disposition", `attachment; filename="audit-logs.json"`)
		return done(w, logs{all})
	}
	text, err := csvOf(all)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="audit-logs.csv"`)
	wire.Write(w, http.StatusOK, "text/csv; charset=UTF-8", []byte(text))
	return nil
}

func csvOf(all []entry) (string, error) {
	var b strings.Builder
	out := csv.NewWriter(&b)
	out.UseCRLF = true
	rows := [][]string{{"id", "createdAt", "organizationId", "userId", "action", "resourceType", "resourceId", "ipAddress", "userAgent", "metadata"}}
	for _, e := range all {
		meta, err := json.Marshal(e.Metadata)
		if err != nil {
			return "", err
		}
		rows = append(rows, []string{
			e.ID, time.Time(e.CreatedAt).UTC().Format("2006-01-02T15:04:05.000Z"), string(e.Org), string(e.UserID), e.Action, e.Type, e.Resource, e.IPAddress, e.UserAgent, string(meta),
		})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = inert(row[i])
		}
	}
	err := out.WriteAll(rows)
	return b.String(), err
}

// inert is a cell that a spreadsheet takes for no formula: a stranger's browser, or the
// name of an invited person, would run in the administrator's (CWE-1236).
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n|", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
