package hackillinois

import (
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/wire"
)

// The original has no limits (contract §9 W20). A hackathon's whole venue comes
// by one address within minutes, so these are wide: they keep a machine from
// filling the database, and no code can be guessed anyway.
const (
	window   = 5 * time.Minute
	starts   = 600 // 4.1, per network and provider
	redeems  = 600 // 4.2, the same
	renewals = 120 // 4.7, per user
)

func startLimits(o wire.Origin, provider string) []limit.Rule {
	return []limit.Rule{{Name: "hackillinois.start", Key: provider + " " + o.Network(), N: starts, Per: window}}
}

func redeemLimits(o wire.Origin, provider string) []limit.Rule {
	return []limit.Rule{{Name: "hackillinois.redeem", Key: provider + " " + o.Network(), N: redeems, Per: window}}
}

func renewLimit() limit.Rule {
	return limit.Rule{Name: "hackillinois.renew", N: renewals, Per: window}
}
