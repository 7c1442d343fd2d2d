package hackillinois

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/openid"
	"sallyport/internal/wire"
)

// The types of errors (contract §1.5); the last is ours (§9 W20).
const (
	malformed     = "MALFORMED_REQUEST_ERROR"
	authorization = "AUTHORIZATION_ERROR"
	database      = "DATABASE_ERROR"
	internal      = "INTERNAL_ERROR"
	conflict      = "CONFLICT_ERROR"
	rateLimit     = "RATE_LIMIT_ERROR"
)

// refusal is the body of an error. There is no raw_error: what went wrong inside
// is for the log (§9 W19).
type refusal struct {
	Status  int    `json:"status"`
	Type    string `json:"type"`
	Message string `json:"message"`
}

// gateRefusal is the one that says nothing (§1.4).
var gateRefusal = refusal{Status: http.StatusForbidden}

// words are what one route says of failures: of the faults that its contract
// tells apart, of all others, and of what is no fault or none of the caller's.
type words struct {
	faults  map[fault.Code]refusal
	refused refusal
	broken  refusal
}

var (
	invalidProvider = refusal{422, malformed, "Invalid OAuth provider."}
	noID            = refusal{422, malformed, "Must provide id parameter in request."}
	noRoles         = refusal{403, authorization, "Could not get user's roles."}
	noToken         = refusal{403, authorization, "Could not get OAuth token."}
	noInfo          = refusal{403, authorization, "Could not fetch user's info from OAuth provider."}
	noJWT           = refusal{403, authorization, "Could not create HackIllinois API JWT for user."}
	noNewJWT        = refusal{403, authorization, "Could not make a new JWT for the user."}
)

// same is a route that has one answer for whatever fails.
func same(r refusal, faults map[fault.Code]refusal) words { return words{faults, r, r} }

// Each route's words (§4.1 to §4.9, §7.2). A caller who stopped being one between
// the gate and the operation meets the gate's.
var (
	startWords = same(refusal{403, authorization, "Could not retrieve OAuth provider authorization code URL."}, map[fault.Code]refusal{
		fault.UpstreamUnknown: invalidProvider, fault.MethodDisabled: invalidProvider,
	})
	exchangeWords = words{
		faults:  map[fault.Code]refusal{fault.UpstreamUnknown: invalidProvider, fault.MethodDisabled: invalidProvider},
		refused: noToken,
		broken:  refusal{403, authorization, "Could not fetch user's API roles."},
	}
	rolesWords = same(noRoles, nil)
	addWords   = same(refusal{500, internal, "Could not add user role."}, map[fault.Code]refusal{
		fault.RoleInvalid: {422, malformed, "Must provide a valid role parameter in request."}, fault.Unauthenticated: gateRefusal,
	})
	removeWords = same(refusal{500, internal, "Could not remove user's user role."}, map[fault.Code]refusal{
		fault.LastAdministrator: {409, conflict, "Could not remove the last user with this role."}, fault.Unauthenticated: gateRefusal,
	})
	refreshWords = words{
		faults: map[fault.Code]refusal{
			fault.LinkUnknown: {500, database, "Could not fetch user info."},
			fault.NotEnrolled: {500, internal, "Could not fetch user roles."},
		},
		refused: gateRefusal,
		broken:  refusal{500, database, "Could not fetch user info."},
	}
	listWords     = same(refusal{500, database, "Could not retrieve list of valid roles."}, nil)
	byRoleWords   = same(refusal{500, database, "Could not retrieve list of users with requested role."}, nil)
	ownInfoWords  = same(refusal{500, database, "Could not fetch user info by ID."}, nil)
	infoWords     = same(refusal{500, database, "Could not fetch user information by user id."}, nil)
	filterWords   = same(refusal{500, database, "Could not fetch filtered users."}, nil)
	describeWords = same(refusal{500, internal, "Could not set user info."}, map[fault.Code]refusal{fault.Unauthenticated: gateRefusal})
	noProfileID   = refusal{422, malformed, "Must provide user id in request."}
	unreadable    = refusal{422, malformed, "Could not read request body."}
	tooLarge      = refusal{413, malformed, "Request body is too large."}
	tooMany       = refusal{429, rateLimit, "Too many requests."}
	noSuchAddress = refusal{422, malformed, "Must provide a valid email in request."}
	callbackWords = same(noToken, nil)
)

// of finds the words for an error.
func (ws words) of(err error) refusal {
	switch {
	case errors.Is(err, errMalformed):
		return unreadable
	case errors.Is(err, errLarge):
		return tooLarge
	}
	f, ok := wire.Fault(err)
	if !ok {
		return ws.broken
	}
	switch said, known := ws.faults[f.Code]; {
	case known:
		return said
	case f.Code == fault.RateLimited:
		return tooMany
	case f.Code == fault.Unavailable, f.Code == fault.Busy:
		return ws.broken
	}
	return ws.refused
}

// fail answers with an error in a route's words.
func (a *API) fail(w http.ResponseWriter, r *http.Request, ws words, err error) {
	a.report(r, err)
	if f, ok := wire.Fault(err); ok && f.RetryAfter > 0 {
		later(w, f.RetryAfter)
	}
	refuse(w, ws.of(err))
}

func later(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(limit.RetryAfter(d)))
}

func refuse(w http.ResponseWriter, said refusal) {
	if said.Type == "" {
		empty(w, said.Status)
		return
	}
	answer(w, said.Status, said)
}

// report logs what the client is not told: what is no fault, and what an upstream
// got wrong.
func (a *API) report(r *http.Request, err error) {
	f, ok := wire.Fault(err)
	switch {
	case errors.Is(err, errMalformed), errors.Is(err, errLarge), errors.Is(err, context.Canceled):
	case !ok:
		a.Log.ErrorContext(r.Context(), "request failed", "request_id", wire.OriginOf(r.Context()).RequestID, "route", r.Pattern, "err", err)
	case f.Code == fault.UpstreamFailed, f.Code == fault.UpstreamUnreachable, f.Code == fault.UpstreamThrottled:
		a.Log.WarnContext(r.Context(), "sign-in at a provider failed", "request_id", wire.OriginOf(r.Context()).RequestID, "route", r.Pattern, "err", err)
	}
}

// redeemed reports whether the provider took the code, so that what failed is
// the question who it is (§4.2).
func redeemed(err error) bool {
	f, ok := errors.AsType[*openid.Failure](err)
	return ok && f.Redeemed()
}
