package snooplytics

import "sallyport/internal/fault"

// Answers reports whether a fault has a status and words on this wire.
func Answers(c fault.Code) bool {
	k, ok := kinds[answers[c]]
	return ok && k.status != 0 && k.message != ""
}
