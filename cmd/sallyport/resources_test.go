package main

import (
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/db/dbtest"
)

const resources = `
clients:
  - key: demo
    name: Demo
    redirect_uris: [http://localhost:3000/callback]
    registration: open
    methods: [password]
    roles: {available: [user], default: [user]}
  - key: console
    id: 3d2b7a54-91c8-4b7d-8a3e-5b8f0c6d2e77
    name: Console
    registration: invite
    methods: [password]
    roles: {available: [user, admin], default: [user]}
users:
  - {email: jane@example.com, email_verified: true, display_name: Jane, password: a-literal-password, enrolments: [{client: demo, roles: [user]}]}
invites:
  - {client: demo, email: new@example.com, role: user}
surfaces:
  keymaster: {console_client: console}
`

func TestResources(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		c := with(t, url)
		path := file(t, resources)
		planned := c.ok("plan", path)
		for _, want := range []string{"+ client demo\n", "+ client console\n", "+ user jane@example.com\n", "5 to create, 0 to update, 0 to delete\n"} {
			if !strings.Contains(planned, want) {
				t.Errorf("plan: no %q in\n%s", want, planned)
			}
		}
		r := c.run("apply", path, "--no-mail")
		if r.code != 0 || !strings.Contains(r.out, "invitation for new@example.com: http://localhost:8080/") {
			t.Fatalf("apply: exit %d\n%s%s", r.code, r.out, r.err)
		}
		if !strings.Contains(r.err, "sallyport: warning: "+path) || strings.Contains(r.err+planned, "a-literal-password") {
			t.Errorf("a literal secret is to be warned of and not shown:\n%s%s", planned, r.err)
		}
		if got := c.ok("apply", path); got != "no changes\n" {
			t.Errorf("applied again: got %s", got)
		}
		pulled := c.ok("pull")
		if got := c.ok("plan", file(t, pulled)); got != "no changes\n" {
			t.Errorf("plan of what was pulled:\n%s\n%s", got, pulled)
		}
		c.in = strings.Replace(pulled, "name: Demo", "name: Renamed", 1)
		if got := c.ok("plan", "-"); !strings.Contains(got, "~ client demo\n    name: Demo → Renamed\n") {
			t.Errorf("plan of a change:\n%s", got)
		}
		var change struct {
			Changes []struct{ Action, Kind, Name string }
			Clients []struct{ Key, ID, Name string }
		}
		c.json(&change, "apply", "-")
		if len(change.Changes) != 1 || change.Changes[0].Action != "update" || len(change.Clients) != 2 {
			t.Errorf("apply --json: got %+v", change)
		}
		var listed struct {
			Clients []struct{ Key, ID, Name string }
		}
		c.json(&listed, "clients")
		if !reflect.DeepEqual(listed.Clients, change.Clients) {
			t.Errorf("clients --json: got %+v, want %+v", listed.Clients, change.Clients)
		}
		if got := c.ok("clients"); !strings.Contains(got, "console  3d2b7a54-91c8-4b7d-8a3e-5b8f0c6d2e77  \"Console\"\n") {
			t.Errorf("clients:\n%s", got)
		}
		var invited struct{ Link, Email string }
		c.json(&invited, "operator", "invite", "olive@example.com")
		if !strings.HasPrefix(invited.Link, "http://localhost:8080/invite?app_id=3d2b7a54-91c8-4b7d-8a3e-5b8f0c6d2e77&code=") {
			t.Errorf("operator invite: got %+v", invited)
		}
		if got := c.ok("operator", "invite", "olive@example.com"); strings.Contains(got, invited.Link) || !strings.HasPrefix(got, "http://localhost:8080/invite?") {
			t.Errorf("a second link:\n%s\nthe first was %s", got, invited.Link)
		}
	})
}
