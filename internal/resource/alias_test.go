package resource

import (
	"strings"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// numbered are two users whose ids came with them, and one whose did not.
const numbered = bare + `
users:
  - {email: john@acme.com, enrolments: [{client: tofu, alias: "17"}, {client: hack, alias: github6892396}]}
  - {email: jane@acme.com, enrolments: [{client: tofu, alias: "4"}]}
  - {email: new@acme.com, enrolments: [{client: tofu}]}
`

func TestIdsOfAnotherSystemComeAlong(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(numbered, Options{})
		text := s.settled("numbered")
		for _, want := range []string{`alias: "17"`, `alias: github6892396`, `alias: "4"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
		wantNothing(s.t, "a file that does not say them", s.plan(strings.NewReplacer(`, alias: "17"`, "", ", alias: github6892396", "", `, alias: "4"`, "").Replace(numbered), false))
		s.refused(strings.Replace(numbered, `"17"`, `"18"`, 1), false, `the client "tofu" knows john@acme.com as 17, which cannot be changed`)
		s.refused(strings.Replace(numbered, "{client: tofu}]", `{client: tofu, alias: "4"}]`, 1), false, `"4" is on line`)
		for alias, want := range map[string]string{
			`"017"`: "must be a whole number from 1", `"0"`: "must be a whole number from 1", "john": "must be a whole number from 1", `"a b"`: "must be one word",
		} {
			s.refused(strings.Replace(numbered, `"17"`, alias, 1), false, want)
		}
		taken := s.parse(bare + "users:\n  - {email: other@acme.com, enrolments: [{client: tofu, alias: \"4\"}]}\n")
		if _, err := s.Apply(t.Context(), taken, Options{BaseURL: "https://auth.example.com"}); err == nil || !strings.Contains(err.Error(), "knows another user as 4") {
			t.Errorf("an alias of somebody else: %v", err)
		}
	})
}
