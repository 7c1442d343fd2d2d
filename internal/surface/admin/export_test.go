package admin

import "sallyport/internal/fault"

// Answers reports whether the surface has a status and words for a fault.
func Answers(c fault.Code) bool {
	f := fault.New(c, "password")
	return answers[c].status >= 400 && detail(f) != ""
}
