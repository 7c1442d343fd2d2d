package keymaster

import (
	"time"

	"sallyport/internal/limit"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The limits of contract keymaster §1.8. A rule with an empty key is filled in
// by the operation that knows the subject.

const window = 15 * time.Minute

func loginByEmail(email string) limit.Rule {
	return limit.Rule{Name: "keymaster.login.email", Key: email, N: 5, Per: window}
}

// loginLimits count every attempt that reaches the credential check; a success
// clears the address, never the network.
func loginLimits(o wire.Origin, email string) signin.Limits {
	byEmail := loginByEmail(email)
	return signin.Limits{
		Count: []limit.Rule{byEmail, {Name: "keymaster.login.ip", Key: o.Network(), N: 20, Per: window}},
		Clear: []limit.Rule{byEmail},
	}
}

func totpTries() limit.Rule { return limit.Rule{Name: "keymaster.totp", N: 5, Per: window} }

func signupLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.signup.ip", Key: o.Network(), N: 10, Per: time.Hour}}}
}

// inviteFailures count wrong codes only.
func inviteFailures(o wire.Origin, app string) []limit.Rule {
	return []limit.Rule{
		{Name: "keymaster.invite.ip", Key: o.Network(), N: 10, Per: window},
		{Name: "keymaster.invite.app", Key: app, N: 50, Per: time.Hour},
	}
}

func forgotByIP(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.forgot.ip", Key: o.Network(), N: 10, Per: window}}}
}

func forgotByEmail(email string) []limit.Rule {
	return []limit.Rule{{Name: "keymaster.forgot.email", Key: email, N: 3, Per: window}}
}

func resetLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.reset.ip", Key: o.Network(), N: 20, Per: window}}}
}

func magicLinkLimits(o wire.Origin, email string) []limit.Rule {
	return []limit.Rule{
		{Name: "keymaster.magic.email", Key: email, N: 3, Per: window},
		{Name: "keymaster.magic.ip", Key: o.Network(), N: 10, Per: window},
	}
}

func magicVerifyLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.magic.verify.ip", Key: o.Network(), N: 20, Per: window}}}
}
