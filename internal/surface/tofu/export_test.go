package tofu

import "sallyport/internal/fault"

// ParseJSON, Decode and Number are what a body's text comes to.
func ParseJSON(body []byte) (kind, text string, err error) {
	doc, err := decode(body, "")
	if err != nil {
		return "", "", err
	}
	v, err := parseJSON(doc)
	return string(v.kind), v.text, err
}

// Answers reports whether the surface has a status and words for a fault.
func Answers(c fault.Code) bool {
	a := wording(fault.New(c))
	return a.status >= 400 && (a.Detail != "" || a.status == 429)
}
