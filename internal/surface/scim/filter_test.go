package scim

import (
	"strings"
	"testing"
)

// sample is a resource in normal form.
func sample() map[string]any {
	return map[string]any{
		"id": "2819c223", "userName": "bjensen", "externalId": "BJ", "active": true, "title": "Tour Guide",
		"name": map[string]any{"familyName": "O'Malley", "givenName": "Barbara"},
		"emails": []any{
			map[string]any{"value": "bjensen@example.com", "type": "work", "primary": true},
			map[string]any{"value": "babs@jensen.org", "type": "home"},
		},
		"addresses":   []any{map[string]any{"country": "US", "type": "work"}},
		"meta":        map[string]any{"resourceType": "User", "lastModified": "2011-05-13T04:42:34.000Z", "created": "2010-01-23T04:56:22.000Z"},
		"schemas":     []any{userURN, enterpriseURN},
		enterpriseURN: map[string]any{"employeeNumber": "701984", "manager": map[string]any{"value": "26118915"}},
	}
}

// The filters of RFC 7644 §3.4.2.2, figure 2, and what else directories ask.
func TestFilters(t *testing.T) {
	for filter, want := range map[string]bool{
		`userName eq "bjensen"`:         true,
		`USERNAME EQ "BJENSEN"`:         true,
		`userName eq "bjensen2"`:        false,
		`name.familyName co "O'Malley"`: true,
		`userName sw "J"`:               false,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "B"`: true,
		`title pr`:    true,
		`nickName pr`: false,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`:                             false,
		`meta.lastModified ge "2011-05-13T04:42:34Z"`:                             true,
		`meta.lastModified lt "2011-05-13T06:42:35+02:00"`:                        true,
		`meta.lastModified le "nonsense"`:                                         false,
		`title pr and nickName pr`:                                                false,
		`title pr or nickName pr`:                                                 true,
		`title eq "x" or userName pr and active eq true`:                          true, // "and" binds closer
		`(title eq "x" or userName pr) and active eq false`:                       false,
		`schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`: true,
		`active eq "True"`:                                                        true,
		`active ne false`:                                                         true,
		`not (active eq true)`:                                                    false,
		`NOT(title pr)`:                                                           false,
		`emails co "jensen.org"`:                                                  true,
		`emails.value ew ".org"`:                                                  true,
		`emails[type eq "work" and value co "@example.com"]`:                      true,
		`emails[type eq "home" and value co "@example.com"]`:                      false,
		`emails[type eq "work"].value eq "BJENSEN@example.com"`:                   true,
		`emails[type eq "work"].value eq "babs@jensen.org"`:                       false,
		`emails[not (type eq "work")].value ne "babs@jensen.org"`:                 false,
		`emails[primary eq true] and emails[type eq "home"]`:                      true,
		`addresses.country eq "us"`:                                               true,
		`addresses eq "us"`:                                                       false,
		`externalId eq "bj"`:                                                      false, // with regard to case
		`externalId eq BJ`:                                                        true,
		`id eq "2819C223"`:                                                        false,
		`title eq null`:                                                           false,
		`nickName eq null`:                                                        true,
		`title ne null`:                                                           true,
		enterpriseURN + `:employeeNumber eq "701984"`:                             true,
		enterpriseURN + `:manager.value eq "26118915"`:                            true,
		enterpriseURN + `:manager eq "26118915"`:                                  true,
		`userName eq "bj\u0065nsen"`:                                              true,
		`userName gt "bj" and userName lt "bk"`:                                   true,
		`userName eq "x" or (userName eq "bjensen")`:                              true,
	} {
		e, err := parseFilter(users, filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		} else if got := e.holds(sample()); got != want {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
}

func TestNoFilters(t *testing.T) {
	for _, filter := range []string{
		``, ` `, `userName`, `userName eq`, `userName eq "x`, `eq "x"`, `userName "x"`, `userName eq "x" and`, `and userName pr`, `userName eq "x" userName pr`,
		`(userName pr`, `userName pr)`, `()`, `not userName pr`, `not`, `shoeSize eq "43"`, `name.shoeSize pr`, `emails[type eq "work"`, `emails[]`, `emails[shoeSize pr]`,
		`userName[value pr]`, `emails[type eq "work"].shoeSize pr`, `emails.value[type pr]`, `emails[emails[type pr]]`, `password eq "x"`, `password pr`,
		`urn:evil:User:userName eq "x"`, `userName eq "\u0000"`, `userName eq "\x"`, `userName xx "y"`, "userName eq \"\xff\"", `userName eq x"y"`, `userName; DROP TABLE users`,
		`' OR '1'='1`, `userName eq 'x'--" or "`, strings.Repeat("(", 17) + `userName pr` + strings.Repeat(")", 17), strings.Repeat("not (", 5000) + `userName pr` + strings.Repeat(")", 5000),
		strings.Repeat(`userName pr or `, 100) + `userName pr`, `userName eq "` + strings.Repeat("x", maxFilter) + `"`,
	} {
		if e, err := parseFilter(users, filter); err == nil {
			t.Errorf("%.60s: taken as %v", filter, e)
		}
	}
}

// What the database looks for by itself.
func TestExactly(t *testing.T) {
	for filter, want := range map[string]string{
		`displayName eq "A"`:                        "A///",
		`id eq "1" and members eq "2"`:              "/1//2",
		`id eq "1" and members[value eq "2"]`:       "/1//2",
		`members.value eq "2"`:                      "///2",
		`externalId eq "e" and displayName eq "A"`:  "A//e/",
		`displayName eq ""`:                         "/// rest",
		`displayName eq "A" and displayName eq "B"`: "A/// rest",
		`displayName eq "A" and displayName co "B"`: "A/// rest",
		`displayName eq "A" or displayName eq "B"`:  "/// rest",
		`not (displayName eq "A")`:                  "/// rest",
		`displayName ne "A"`:                        "/// rest",
		`members[value eq "1" or value eq "2"]`:     "/// rest",
	} {
		e, err := parseFilter(groups, filter)
		if err != nil {
			t.Fatal(filter, err)
		}
		x, rest := exactly(e)
		got := strings.Join([]string{x.Name, x.ID, x.ExternalID, string(x.Member)}, "/")
		if rest {
			got += " rest"
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", filter, got, want)
		}
	}
	if e, _ := parseFilter(users, `displayName eq "A"`); e != nil { // of a person, it has no index
		if _, rest := exactly(e); !rest {
			t.Error("a person's displayName is looked for as a name")
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{`userName eq "x"`, `emails[type eq "work"].value co "a" and not (title pr)`, `(a`, `urn:ietf:params:scim:schemas:core:2.0:User:name.givenName pr`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) {
		for _, t := range []resourceType{users, groups} {
			if e, err := parseFilter(t, s); err == nil {
				e.holds(sample())
				exactly(e)
				mentions(e, "members")
			}
			_, _ = parsePath(t, s)
		}
	})
}
