// Package identity owns people: users, their e-mail addresses, and the links
// to the accounts they have at upstream identity providers. It knows nothing
// of applications, passwords' formats or sessions.
package identity

// UserID is the id of a user: a UUIDv7 in lower-case hyphenated form. It is
// the same in every client.
type UserID string
