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

func perIP(name string, n int, per time.Duration) func(wire.Origin) limit.Rule {
	return func(o wire.Origin) limit.Rule {
		return limit.Rule{Name: "snooplytics." + name, Key: o.Network(), N: n, Per: per}
	}
}

var (
	everything      = perIP("all", 500, 15*time.Minute)
	signInLimit     = perIP("signin", 5, time.Minute)
	signUpLimit     = perIP("signup", 3, time.Minute)
	twoFactorLimit  = perIP("twofactor", 5, time.Minute)
	passkeyLimit    = perIP("passkey", 10, time.Minute)
	magicLinkLimit  = perIP("magic", 5, time.Hour)
	socialLimit     = perIP("social", 20, time.Minute)
	verifyLimit     = perIP("verify", 5, 15*time.Minute)
	resetLimit      = perIP("reset", 3, 15*time.Minute)
	identifyLimit   = perIP("identify", 20, time.Minute)
	discoverLimit   = perIP("discover", 20, time.Minute)
	ssoStartLimit   = perIP("sso.start", 20, time.Minute)
	completionLimit = perIP("sso.complete", 10, time.Minute)
)

// count counts the request, and tells how the limit stands that has the least left.
func (a *API) count(w http.ResponseWriter, r *http.Request, e route) error {
	o := wire.OriginOf(r.Context())
	rules := []limit.Rule{everything(o)}
	if e.limit != nil {
		rules = append(rules, e.limit(o))
	}
	states, err := a.SignIn.CountRequest(r.Context(), rules...)
	tightest := 0
	for i, s := range states {
		if s.Left < states[tightest].Left {
			tightest = i
		}
	}
	if len(states) > 0 {
		h, s := w.Header(), states[tightest]
		h.Set("RateLimit-Limit", strconv.Itoa(rules[tightest].N))
		h.Set("RateLimit-Remaining", strconv.Itoa(s.Left))
		h.Set("RateLimit-Reset", strconv.Itoa(limit.RetryAfter(s.Full)))
	}
	return err
}

// perAddress counts mails to one address, whoever asks for them.
func perAddress(name, email string, n int, per time.Duration) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "snooplytics." + name + ".email", Key: email, N: n, Per: per}}}
}

// resetTries count new passwords by mailed links, of which nobody needs many.
func resetTries(r *http.Request) []limit.Rule {
	return []limit.Rule{perIP("reset.tries", 20, 15*time.Minute)(wire.OriginOf(r.Context()))}
}
