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

func LoginByEmail(email string) limit.Rule {
	return limit.Rule{Name: "keymaster.login.email", Key: email, N: 5, Per: window}
}

// LoginLimits count every attempt that reaches the credential check; a success
// clears the address, never the network.
func LoginLimits(o wire.Origin, email string) signin.Limits {
	byEmail := LoginByEmail(email)
	return signin.Limits{
		Count: []limit.Rule{byEmail, {Name: "keymaster.login.ip", Key: o.Network(), N: 20, Per: window}},
		Clear: []limit.Rule{byEmail},
	}
}

func TOTPTries() limit.Rule { return limit.Rule{Name: "keymaster.totp", N: 5, Per: window} }

func SignUpLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.signup.ip", Key: o.Network(), N: 10, Per: time.Hour}}}
}

// InviteFailures count wrong codes only.
func InviteFailures(o wire.Origin, app string) []limit.Rule {
	return []limit.Rule{
		{Name: "keymaster.invite.ip", Key: o.Network(), N: 10, Per: window},
		{Name: "keymaster.invite.app", Key: app, N: 50, Per: time.Hour},
	}
}

func ForgotByIP(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.forgot.ip", Key: o.Network(), N: 10, Per: window}}}
}

func ForgotByEmail(email string) []limit.Rule {
	return []limit.Rule{{Name: "keymaster.forgot.email", Key: email, N: 3, Per: window}}
}

func ResetLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.reset.ip", Key: o.Network(), N: 20, Per: window}}}
}

func MagicLinkLimits(o wire.Origin, email string) []limit.Rule {
	return []limit.Rule{
		{Name: "keymaster.magic.email", Key: email, N: 3, Per: window},
		{Name: "keymaster.magic.ip", Key: o.Network(), N: 10, Per: window},
	}
}

func MagicVerifyLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.magic.verify.ip", Key: o.Network(), N: 20, Per: window}}}
}
