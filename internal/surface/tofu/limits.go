package tofu

import (
	"strings"
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The limits of contract §2.5. Successes count like failures, as DRF counts.

// obtainLimits count sign-ins by password.
func obtainLimits(o wire.Origin, email string) signin.Limits {
	return signin.Limits{Count: []limit.Rule{
		{Name: "tofu.token.ip", Key: o.Network(), N: 10, Per: time.Minute},
		{Name: "tofu.token.ip.email", Key: o.Network() + " " + strings.ToLower(email), N: 5, Per: time.Minute},
	}}
}

// refreshLimits count refreshes, before the token is looked at.
func refreshLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "tofu.refresh.ip", Key: o.Network(), N: 60, Per: time.Minute}}
}

// socialLimits count sign-ins by a provider's code, of all providers together.
func socialLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "tofu.social.ip", Key: o.Network(), N: 20, Per: time.Minute}}
}
