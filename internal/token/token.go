// Package token owns what a client holds after sign-in: it signs and verifies
// JWTs (RFC 7519, RFC 8725) with the keys of package jwks, and keeps
// refresh-token families (RFC 6749 §1.5, RFC 9700 §4.14). It does not decide
// which claims a token carries (each surface does), how long it lives
// (client.Policy), or who may have one (signin).
//
// # JWTs
//
// Compact JWS (RFC 7515 §7.1) with the header members alg, kid and typ. Verify
// takes the allowed algorithms from its caller and the key from a jwks.Ring,
// never from the token.
//
// # Refresh tokens
//
// A family is one row, made at sign-in by Issue. Rotation replaces the hash in
// that row, so it costs one read by primary key and one write of the same page,
// and used tokens leave nothing behind. A token is 32 bytes in hexadecimal:
//
//	family id (8) ‖ secret (16) ‖ tag (8), where tag = MAC(family id, secret)
//
// The row holds the SHA-256 of the current token only. The tag says that we
// made a token, so an older one is known without having been stored, and
// somebody who has no token of a family cannot end it by making one up:
//
//	presented                                 Find says
//	not 64 hex digits, or wrong tag,          ErrUnknown
//	  or no row, or the row has expired
//	hash is the row's                         Current
//	rotated less than the grace ago           Repeat, with the current token
//	rotated earlier                           ErrReused
//
// ErrReused means that two parties hold the family: its caller ends it. A
// family that has ended is a deleted row, so its tokens are plainly unknown.
//
// Without a grace a successor is random. With one, it is derived from the token
// that it replaces by the process key,
//
//	secret' = MAC(token)[:16]
//
// so that all who present a token inside its grace (tabs of one browser, the
// retry of a request whose answer was lost) are led along the same chain to the
// token that is current, though we store only its hash. The row keeps the times
// of the rotations that are still inside their grace, newest first: if k steps
// lead from a presented token to the current one, the k-th time is when it was
// rotated.
package token
