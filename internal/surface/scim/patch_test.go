package scim

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The operations of RFC 7644 §3.5.2, and the shapes that Okta and Entra give them.
func TestPatch(t *testing.T) {
	const had = `{"userName":"b","title":"x","name":{"givenName":"B","familyName":"J"},"emails":[{"type":"work","value":"w@x.example","primary":true},{"type":"home","value":"h@x.example"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d"}}`
	// What becomes of the parts that change; "-" is one that is gone. Or the error.
	for ops, want := range map[string]string{
		`{"op":"add","value":{"title":"y","nickName":"n"}}`:                                                                   `{"title":"y","nickName":"n"}`,
		`{"op":"Add","path":"name.middleName","value":"M"}`:                                                                   `{"name":{"givenName":"B","familyName":"J","middleName":"M"}}`,
		`{"op":"replace","path":"name","value":{"givenName":"C"}}`:                                                            `{"name":{"givenName":"C","familyName":"J"}}`,
		`{"op":"replace","path":"NAME.GIVENNAME","value":"C"}`:                                                                `{"name":{"givenName":"C","familyName":"J"}}`,
		`{"op":"replace","value":{"name":{"givenName":"C"},"active":"False"}}`:                                                `{"name":{"givenName":"C","familyName":"J"},"active":false}`,
		`{"op":"replace","path":"title","value":["y"]}`:                                                                       `{"title":"y"}`,
		`{"op":"replace","path":"title","value":null}`:                                                                        `{"title":"-"}`,
		`{"op":"remove","path":"title"}`:                                                                                      `{"title":"-"}`,
		`{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}`:                                    `{"name":"-"}`,
		`{"op":"remove","path":"nickName"}`:                                                                                   `{}`,
		`{"op":"add","path":"emails","value":{"type":"other","value":"o@x.example","primary":true}}`:                          `{"emails":[{"type":"work","value":"w@x.example","primary":false},{"type":"home","value":"h@x.example"},{"type":"other","value":"o@x.example","primary":true}]}`,
		`{"op":"add","path":"emails","value":[{"type":"home","value":"h@x.example"}]}`:                                        `{}`,
		`{"op":"replace","path":"emails","value":[{"value":"o@x.example"}]}`:                                                  `{"emails":[{"value":"o@x.example"}]}`,
		`{"op":"remove","path":"emails"}`:                                                                                     `{"emails":"-"}`,
		`{"op":"remove","path":"emails[type eq \"home\"]"}`:                                                                   `{"emails":[{"type":"work","value":"w@x.example","primary":true}]}`,
		`{"op":"remove","path":"emails[type eq \"other\"]"}`:                                                                  `{}`,
		`{"op":"remove","path":"emails[type eq \"home\"].value"}`:                                                             `{"emails":[{"type":"work","value":"w@x.example","primary":true}]}`,
		`{"op":"Remove","path":"emails","value":[{"value":"h@x.example"}]}`:                                                   `{"emails":[{"type":"work","value":"w@x.example","primary":true}]}`,
		`{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@x.example"}`:                                      `{"emails":[{"type":"work","value":"n@x.example","primary":true},{"type":"home","value":"h@x.example"}]}`,
		`{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"n@x.example","primary":"True"}}`:                 `{"emails":[{"type":"work","value":"w@x.example","primary":false},{"type":"home","value":"n@x.example","primary":true}]}`,
		`{"op":"add","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`:                                            `{"phoneNumbers":[{"type":"mobile","value":"1"}]}`,
		`{"op":"add","path":"phoneNumbers[type eq \"mobile\" and primary eq true].value","value":"1"}`:                        `{"phoneNumbers":[{"type":"mobile","value":"1","primary":true}]}`,
		`{"op":"replace","path":"emails.display","value":"d"}`:                                                                `{"emails":[{"type":"work","value":"w@x.example","primary":true,"display":"d"},{"type":"home","value":"h@x.example","display":"d"}]}`,
		`{"op":"replace","value":{"emails[type eq \"work\"].value":"n@x.example"}}`:                                           `{"emails":[{"type":"work","value":"n@x.example","primary":true},{"type":"home","value":"h@x.example"}]}`,
		`{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"26"}`:               `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","manager":{"value":"26"}}}`,
		`{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName","value":"M"}`:    `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","manager":{"displayName":"M"}}}`,
		`{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","value":{"costCenter":"c"}}`:         `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","costCenter":"c"}}`,
		`{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"costCenter":"c"}}}`:              `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","costCenter":"c"}}`,
		`{"op":"remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"}`:                      `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":"-"}`,
		`{"op":"remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}`:                                 `{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":"-"}`,
		`{"op":"replace","value":{"id":"other","meta":{"version":"9"},"groups":[{"value":"g"}],"schemas":["x"],"title":"y"}}`: `{"title":"y"}`,
		`{"op":"replace","path":"password","value":"secret"}`:                                                                 `{}`,
		`{"op":"replace","path":"externalId","value":"e"}`:                                                                    `{"externalId":"e"}`,
		`{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:title","value":"y"}`:                              `{"title":"y"}`,

		`{"op":"remove"}`:                                   `noTarget`,
		`{"op":"replace","value":"x"}`:                      `noTarget`,
		`{"op":"replace","path":"title"}`:                   `invalidValue`,
		`{"op":"replace","path":"title","value":{"a":"b"}}`: `invalidValue`,
		`{"op":"replace","path":"title","value":["a","b"]}`: `invalidValue`,
		`{"op":"replace","path":"active","value":"yes"}`:    `invalidValue`,
		`{"op":"replace","path":"emails","value":[{"value":"a","primary":true},{"value":"b","primary":true}]}`: `invalidValue`,
		`{"op":"replace","path":"emails","value":[{"value":{"a":1}}]}`:                                         `invalidValue`,
		`{"op":"remove","path":"userName"}`:                                                                    `mutability`,
		`{"op":"replace","path":"userName","value":null}`:                                                      `mutability`,
		`{"op":"replace","path":"id","value":"x"}`:                                                             `mutability`,
		`{"op":"add","path":"groups","value":[{"value":"g"}]}`:                                                 `mutability`,
		`{"op":"add","path":"meta.version","value":"9"}`:                                                       `mutability`,
		`{"op":"add","path":"shoeSize","value":"9"}`:                                                           `invalidPath`,
		`{"op":"add","value":{"shoe.size":"9"}}`:                                                               `invalidPath`,
		`{"op":"add","path":"urn:x:shoeSize","value":"9"}`:                                                     `invalidPath`,
		`{"op":"add","path":"emails[type eq \"work\"","value":"9"}`:                                            `invalidFilter`,
		`{"op":"add","path":"title[value eq \"x\"]","value":"9"}`:                                              `invalidPath`,
		`{"op":"add","path":["title"],"value":"9"}`:                                                            `invalidPath`,
		`{"op":"replace","path":"phoneNumbers[type ne \"work\"].value","value":"9"}`:                           `noTarget`,
		`{"op":"move","path":"title","value":"9"}`:                                                             `invalidSyntax`,
		`"x"`: `invalidSyntax`,
	} {
		res := object(t, had)
		err := apply(t, res, `{"Operations":[`+ops+`]}`)
		if p, ok := errors.AsType[*problem](err); ok || !strings.HasPrefix(want, "{") {
			if !ok || p.kind != want {
				t.Errorf("%s: got %v, want %s", ops, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", ops, err)
			continue
		}
		wanted := object(t, had)
		for name, v := range object(t, want) {
			if wanted[name] = v; v == "-" {
				delete(wanted, name)
			}
		}
		if diff := cmp.Diff(wanted, res); diff != "" {
			t.Errorf("%s: %s", ops, diff)
		}
	}
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := decode(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func apply(t testing.TB, res map[string]any, body string) error {
	t.Helper()
	all, err := operations(object(t, body))
	if err != nil {
		return err
	}
	return users.patch(res, all)
}

// Steps of groups: who comes and who goes, in the order of the operations.
func TestGroupSteps(t *testing.T) {
	for ops, want := range map[string]string{
		`{"op":"replace","value":{"id":"x","displayName":"N"}}`:                                                          `[{"Name":"N"}]`,
		`{"op":"replace","value":{"displayName":"N","members":[{"value":"1"}]}}`:                                         `[{"Name":"N"},{"Members":["1"]}]`,
		`{"op":"add","path":"members","value":{"value":"1"}}`:                                                            `[{"Add":["1"]}]`,
		`{"op":"add","path":"members","value":["1","2"]}`:                                                                `[{"Add":["1","2"]}]`,
		`{"op":"add","path":"members[value eq \"1\"]"}`:                                                                  `[{"Add":["1"]}]`,
		`{"op":"remove","path":"members[value eq \"1\" or value eq \"2\"]"}`:                                             `[{"Remove":["1","2"]}]`,
		`{"op":"remove","path":"members","value":[{"value":"1"}]},{"op":"add","path":"members","value":[{"value":"2"}]}`: `[{"Remove":["1"]},{"Add":["2"]}]`,
		`{"op":"remove","path":"members"}`:                                                                               `[{"Members":[]}]`,
		`{"op":"replace","path":"members","value":[]}`:                                                                   `[{"Members":[]}]`,
		`{"op":"remove","path":"externalId"}`:                                                                            `[{"ExternalID":""}]`,
		`{"op":"remove","path":"displayName"}`:                                                                           `mutability`,
		`{"op":"replace","path":"members[value eq \"1\"]","value":{"value":"2"}}`:                                        `noTarget`,
		`{"op":"remove","path":"members[display eq \"x\"]"}`:                                                             `invalidFilter`,
		`{"op":"remove","path":"members[not (value eq \"x\")]"}`:                                                         `invalidFilter`,
		`{"op":"add","path":"members","value":[{"display":"x"}]}`:                                                        `invalidValue`,
		`{"op":"add","path":"members.display","value":"x"}`:                                                              `mutability`,
		`{"op":"add","path":"meta","value":{}}`:                                                                          `mutability`,
		`{"op":"add","path":"userName","value":"x"}`:                                                                     `invalidPath`,
	} {
		all, err := operations(object(t, `{"Operations":[`+ops+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := groupSteps(all)
		if p, ok := errors.AsType[*problem](err); ok {
			if p.kind != want {
				t.Errorf("%s: got %s, want %s", ops, p.kind, want)
			}
			continue
		}
		var got []map[string]any
		for _, s := range steps {
			v, m := reflect.ValueOf(s), map[string]any{}
			for i := range v.NumField() {
				if f := v.Field(i); !f.IsNil() {
					m[v.Type().Field(i).Name] = f.Interface()
				}
			}
			got = append(got, m)
		}
		if b, _ := json.Marshal(got); strings.ReplaceAll(string(b), "null", "[]") != want {
			t.Errorf("%s: got %s, want %s", ops, b, want)
		}
	}
}

// Whatever a PATCH does, what comes of it is a resource in normal form, as it would be if
// it were sent whole.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`{"Operations":[{"op":"add","path":"emails[type eq \"work\"].value","value":"x"},{"op":"remove","path":"name"}]}`,
		`{"Operations":[{"op":"replace","value":{"emails":[{"value":"a","primary":true}],"active":"False","name.givenName":"x"}}]}`,
		`{"Operations":[{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","value":{"manager":"x"}}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		v, err := decode(json.RawMessage(body))
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		all, err := operations(m)
		if err != nil {
			return
		}
		_, _ = groupSteps(all)
		res, err := users.normal(sample())
		if err != nil {
			t.Fatal(err)
		}
		if users.patch(res, all) != nil {
			return
		}
		again, err := users.normal(res)
		if err != nil {
			t.Fatalf("%s makes %v, which is refused: %v", body, res, err)
		}
		if diff := cmp.Diff(res, again); diff != "" {
			t.Errorf("%s makes what is not in normal form: %s", body, diff)
		}
		if _, err := person(res); err != nil {
			t.Error(err)
		}
	})
}

// A list as long as a body can be costs no more than reading it does: one that is gone
// through for each of its values took minutes.
func TestPatchOfALongListIsBounded(t *testing.T) {
	t.Parallel()
	long := make([]any, 30_000)
	for i := range long {
		long[i] = map[string]any{"display": strconv.Itoa(i)}
	}
	had := map[string]any{"emails": slices.Clone(long[:maxList])}
	for op, want := range map[string]bool{"add": false, "remove": true} {
		start := time.Now()
		err := users.patch(had, []operation{{op: op, path: "emails", value: long, has: true}})
		if (err == nil) != want {
			t.Errorf("%s: %v", op, err)
		}
		t.Log(op, time.Since(start))
	}
	if had["emails"] != nil {
		t.Errorf("left: %v", had["emails"])
	}
	twice := []any{map[string]any{"value": "a"}, map[string]any{"value": "b"}, map[string]any{"value": "a"}}
	if err := users.patch(had, []operation{{op: "add", path: "emails", value: twice, has: true}}); err != nil || len(had["emails"].([]any)) != 2 {
		t.Errorf("one value twice: %v, %v", had, err)
	}
}
