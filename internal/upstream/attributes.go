package upstream

import (
	"bytes"
	"encoding/json"
	"strings"

	"sallyport/internal/openid"
)

// maxAttributes bounds how many claims are kept of one person.
const maxAttributes = 200

// attributesOf are the members of JSON objects as lists of texts. Of what several
// have, the last one's word counts: an ID token after user information.
func attributesOf(objects ...json.RawMessage) map[string][]string {
	all := map[string][]string{}
	for _, object := range objects {
		var members map[string]json.RawMessage
		if json.Unmarshal(object, &members) != nil {
			continue
		}
		for name, raw := range members {
			if _, known := all[name]; known || len(all) < maxAttributes {
				all[name] = textsOf(raw)
			}
		}
	}
	return all
}

// textsOf is a text, or a list of texts; anything else as it is written.
func textsOf(raw json.RawMessage) []string {
	var list openid.Words
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0, string(raw) == "null":
		return nil
	case raw[0] == '"', raw[0] == '[' && !strings.ContainsAny(string(raw), "{"):
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
			return list
		}
	}
	return []string{string(raw)}
}
