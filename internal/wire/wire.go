// Package wire owns the plumbing between net/http and a surface: strict
// reading of request bodies, forms and queries, writing of responses, routing,
// who is asking from where, cookies, cross-origin and cross-site rules, and the
// middleware that every request passes.
//
// It does not know any API's words. What it refuses it reports as a value (a
// *BodyError, a list of Problem), and each surface says it in its own format. Of
// an error from the core it says only whether a client may learn of it (Fault).
// It knows nothing of users, clients or tokens.
//
// A request meets it in this order:
//
//	Requests          request id, client address, access log
//	└ SecurityHeaders
//	  └ LimitBody, Deadline
//	    └ Mux         exact paths; 404 and 405 are the surface's
//	      └ CORS, Recover
//	        └ the surface's handler: ReadBody → … → WriteJSON
//
// It follows RFC 9110 (methods, 405 and Allow, HEAD), RFC 8259 and RFC 7493
// (I-JSON: UTF-8, no duplicate names, no lone surrogates), RFC 6265 (cookies)
// and the WHATWG Fetch standard (CORS).
package wire
