package oauth

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"sallyport/internal/client"
)

// asked is the claims parameter (OpenID Connect Core §5.5), by claim.
type asked struct{ userinfo, idToken map[string]json.RawMessage }

// readClaims takes it apart. It goes by maps, whose keys match exactly.
func readClaims(raw []byte) (a asked, err error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return a, err
	}
	for name, into := range map[string]*map[string]json.RawMessage{"userinfo": &a.userinfo, "id_token": &a.idToken} {
		if one, ok := top[name]; ok {
			if err := json.Unmarshal(one, into); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// fillClaims reads the claims parameter. What it wants of acr and sub decides
// who may sign in, and how (Core §5.5.1).
func (c *Core) fillClaims(r *Request, _ client.Client, p Params) *Error {
	raw := p.Get("claims")
	if raw == "" {
		return nil
	}
	if err := plainJSON(raw); err != nil {
		return &Error{Code: InvalidRequest, Description: "claims " + err.Error()}
	}
	a, err := readClaims([]byte(raw))
	if err != nil {
		return refuse(InvalidRequest, "claims is not of the form that OpenID Connect Core 5.5 has")
	}
	r.Claims = json.RawMessage(raw)
	for _, part := range []map[string]json.RawMessage{a.userinfo, a.idToken} {
		var sub struct {
			Value string `json:"value"`
		}
		if one, ok := part["sub"]; ok && json.Unmarshal(one, &sub) == nil && sub.Value != "" {
			if r.IDTokenHintSubject != "" && r.IDTokenHintSubject != sub.Value {
				return refuse(InvalidRequest, "claims names two people")
			}
			r.IDTokenHintSubject = sub.Value
		}
	}
	var acr struct {
		Essential bool     `json:"essential"`
		Value     string   `json:"value"`
		Values    []string `json:"values"`
	}
	if one, ok := a.idToken["acr"]; ok && json.Unmarshal(one, &acr) == nil && acr.Essential {
		r.ACREssential = acr.Values
		if acr.Value != "" {
			r.ACREssential = append(r.ACREssential, acr.Value)
		}
	}
	return nil
}

// ClaimNames are the single claims that the request asks for, in order.
func (r Request) ClaimNames() []string {
	if len(r.Claims) == 0 {
		return nil
	}
	a, err := readClaims(r.Claims)
	if err != nil {
		return nil // it was checked before it was kept
	}
	var names []string
	for _, part := range []map[string]json.RawMessage{a.userinfo, a.idToken} {
		for name := range part {
			if !slices.Contains(protocolClaims, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// protocolClaims tell of the sign-in and not of the person: nobody is asked for them.
var protocolClaims = []string{"sub", "acr", "amr", "auth_time", "sid"}

var (
	errClaimsForm = errors.New("is not a JSON object")
	errClaimsDeep = errors.New("is nested too deeply")
	errClaimTwice = errors.New("has a member twice")
)

// plainJSON refuses all but one JSON object of little depth, without a member
// twice: no two readers of it see different things.
func plainJSON(raw string) error {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	if !strings.HasPrefix(strings.TrimLeft(raw, " \t\r\n"), "{") || !json.Valid([]byte(raw)) {
		return errClaimsForm
	}
	if err := walk(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errClaimsForm
	}
	return nil
}

// walk reads one value.
func walk(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return errClaimsForm
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth > maxDepth {
		return errClaimsDeep
	}
	var seen []string
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errClaimsForm
			}
			s, _ := name.(string)
			if slices.Contains(seen, s) {
				return errClaimTwice
			}
			seen = append(seen, s)
		}
		if err := walk(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
