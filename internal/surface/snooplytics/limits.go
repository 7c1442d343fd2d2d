package snooplytics

import (
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The limits of contract §1.5, all of them by address.

// bucket is a limit; the zero value is none. With lots it is counted so many requests
// at a time, so that to look something up costs no write.
type bucket struct {
	name string
	n    int
	per  time.Duration
	lot  int
}

func perIP(name string, n int, per time.Duration) bucket { return bucket{name, n, per, 1} }

func (b bucket) lots(n int) bucket { b.lot = n; return b }

func (b bucket) rule(o wire.Origin) limit.Rule {
	return limit.Rule{Name: "snooplytics." + b.name, Key: o.Network(), N: b.n, Per: b.per}
}

var (
	everything      = perIP("all", 500, 15*time.Minute).lots(10)
	signInLimit     = perIP("signin", 5, time.Minute)
	signUpLimit     = perIP("signup", 3, time.Minute)
	twoFactorLimit  = perIP("twofactor", 5, time.Minute)
	passkeyLimit    = perIP("passkey", 10, time.Minute)
	magicLinkLimit  = perIP("magic", 5, time.Hour)
	socialLimit     = perIP("social", 20, time.Minute)
	verifyLimit     = perIP("verify", 5, 15*time.Minute)
	resetLimit      = perIP("reset", 3, 15*time.Minute)
	identifyLimit   = perIP("identify", 20, time.Minute).lots(5)
	discoverLimit   = perIP("discover", 20, time.Minute).lots(5)
	ssoStartLimit   = perIP("sso.start", 20, time.Minute)
	completionLimit = perIP("sso.complete", 10, time.Minute)
)

// count counts the request, and tells how the limit stands that has the least left.
func (a *API) count(w http.ResponseWriter, r *http.Request, e route) error {
	o, now := wire.OriginOf(r.Context()), a.Now()
	var states []limit.State
	var all, due []bucket
	for _, b := range []bucket{everything, e.limit} {
		if b.name == "" {
			continue
		}
		if s, ok := a.purse.Pay(b.rule(o), now); ok {
			all, states = append(all, b), append(states, s)
		} else {
			due = append(due, b)
		}
	}
	var err error
	if len(due) > 0 {
		rules := make([]limit.Rule, len(due))
		for i, b := range due {
			rules[i] = b.rule(o).Lots(b.lot)
		}
		var counted []limit.State
		counted, err = a.SignIn.CountRequest(r.Context(), rules...)
		for i, s := range counted {
			if err == nil {
				s = a.purse.Fill(due[i].rule(o), due[i].lot, s, now)
			}
			all, states = append(all, due[i]), append(states, s)
		}
	}
	tell(w, all, states)
	return err
}

// tell says how the tightest limit stands (contract §1.5).
func tell(w http.ResponseWriter, all []bucket, states []limit.State) {
	tightest := -1
	for i, s := range states {
		if tightest < 0 || s.Left < states[tightest].Left {
			tightest = i
		}
	}
	if tightest < 0 {
		return
	}
	h := w.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(all[tightest].n))
	h.Set("RateLimit-Remaining", strconv.Itoa(states[tightest].Left))
	h.Set("RateLimit-Reset", strconv.Itoa(limit.RetryAfter(states[tightest].Full)))
}

// perAddress counts mails to one address, whoever asks for them.
func perAddress(name, email string, n int, per time.Duration) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "snooplytics." + name + ".email", Key: email, N: n, Per: per}}}
}

// resetTries count new passwords by mailed links, of which nobody needs many.
func resetTries(r *http.Request) []limit.Rule {
	return []limit.Rule{perIP("reset.tries", 20, 15*time.Minute).rule(wire.OriginOf(r.Context()))}
}
