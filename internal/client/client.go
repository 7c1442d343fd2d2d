// Package client owns applications, their policy, and the enrolments that
// give users a place in them.
package client

// ID is the id of a client: a lower-case hyphenated UUID. It is the OAuth
// client_id and Keymaster's app_id.
type ID string
