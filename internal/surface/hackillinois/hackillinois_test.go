package hackillinois_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/rig"
	"sallyport/internal/surface/hackillinois"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire/transcript"
)

// stage is a site where an administrator, Stan of the staff and Jane have signed
// in before.
func stage(t *testing.T, d *db.DB) transcript.Stage {
	s := newSite(t, d)
	vars := map[string]string{
		"client": string(s.client.ID),
		"admin":  s.admin(), "stan": s.login("google", "908290138109283982388"), "jane": s.login("github", ""),
	}
	// A token as the original made them (contract §2.1), by the secret that was
	// taken over.
	vars["legacy"] = forgeHS256(fmt.Sprintf(`{"email":"jane@gmail.com","exp":%d,"id":"github6892396","roles":["User","Staff"]}`, rig.Start.Add(24*time.Hour).Unix()), tokenSecret)
	for name, fake := range s.fakes {
		vars[name] = fake.Upstream(name).Settings.BaseURL
	}
	return transcript.Stage{Host: s.rig, Vars: vars, Hooks: hooks(s)}
}

// hooks are what people do at their providers, and what the operator changes.
func hooks(s *site) map[string]func(*testing.T, map[string]string) {
	type vars = map[string]string
	all := map[string]func(*testing.T, vars){
		"pass_through": func(*testing.T, vars) { s.settings.PassThrough = hackillinois.Providers },
		"code": func(t *testing.T, v vars) {
			back, err := url.Parse(v["back"])
			if err != nil {
				t.Fatal(err)
			}
			v["code"] = back.Query().Get("code")
		},
		"no linkedin":       func(*testing.T, vars) { s.settings.Upstreams["linkedin"] = "" },
		"old linkedin":      func(*testing.T, vars) { s.settings.LinkedInLegacy = true },
		"any role":          func(*testing.T, vars) { s.settings.AnyRole = true },
		"impersonation off": func(*testing.T, vars) { s.settings.Impersonation = false },
		"legacy tokens":     func(*testing.T, vars) { s.settings.LegacyUntil = s.rig.Now().Add(7 * 24 * time.Hour) },
		"unbound":           func(*testing.T, vars) { s.settings.Client = "" },
		"jane is suspended": func(*testing.T, vars) {
			s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
				u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
				if err != nil {
					return err
				}
				return identity.SetStatus(ctx, tx, u.ID, identity.Suspended, s.rig.Now())
			})
		},
		"nobody knows jane": func(*testing.T, vars) {
			s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
				u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
				if err != nil {
					return err
				}
				_, err = identity.Unlink(ctx, tx, u.ID, "github")
				return err
			})
		},
		"jane has no place": func(*testing.T, vars) {
			s.rig.Write(func(ctx context.Context, tx *db.Tx) error {
				u, err := identity.ByAlias(ctx, tx, string(s.client.ID), "github6892396")
				if err != nil {
					return err
				}
				return client.Remove(ctx, tx, u.ID, s.client.ID)
			})
		},
	}
	// A captured value stays what it is, so each login of a transcript has a
	// name of its own for where it leads.
	for n := range 20 {
		name := strconv.Itoa(n)
		all["at "+name] = func(_ *testing.T, v vars) { v["at"] = v["at"+name] }
	}
	for name, fake := range s.fakes {
		answer := func(person string, deny bool) func(*testing.T, vars) {
			return func(t *testing.T, v vars) {
				back, _, err := fake.Choose(v["at"], person, deny)
				if err != nil {
					t.Fatal(err)
				}
				v["back"] = back
			}
		}
		all["consent at "+name] = answer("", false)
		all["refuse at "+name] = answer("", true)
		for _, p := range people[name] {
			all["consent at "+name+" as "+p.Username+p.ID] = answer(p.ID, false)
		}
		all[name+" works"] = func(*testing.T, vars) { fake.Behave(upstreamtest.None) }
		all[name+" is down"] = func(*testing.T, vars) { fake.Behave(upstreamtest.Down, upstreamtest.AtToken) }
		all[name+" is mute about people"] = func(*testing.T, vars) { fake.Behave(upstreamtest.Down, upstreamtest.AtPerson) }
		all[name+" knows nobody"] = func(*testing.T, vars) { fake.Behave(upstreamtest.NoSubject) }
		all[name+" sends pages"] = func(*testing.T, vars) { fake.Behave(upstreamtest.HTML, upstreamtest.AtToken) }
	}
	return all
}

func TestTranscripts(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		transcript.Run(t, "testdata", func(t *testing.T) transcript.Stage { return stage(t, dbtest.Postgres(t)) })
	})
}

func TestEveryRouteHasATranscript(t *testing.T) {
	api := newSite(t, dbtest.SQLite(t)).api
	transcript.Coverage(t, append(api.Routes(), api.Alone()...), "testdata")
}

// TestEveryFaultHasWords holds every route against every fault: an answer that
// the contract has for that route, or the two that any route may give.
func TestEveryFaultHasWords(t *testing.T) {
	for _, c := range fault.Codes {
		for route, statuses := range hackillinois.Statuses(c) {
			for _, status := range statuses {
				switch status {
				case 403, 409, 422, 429, 500:
				default:
					t.Errorf("fault %q on %s: status %d", c, route, status)
				}
			}
		}
	}
}
