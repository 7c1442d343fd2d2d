package accountmaker

import (
	"time"

	"sallyport/internal/identity"
	"sallyport/internal/limit"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The limits of contract §3; those that it does not number are ours.

const window = 15 * time.Minute

// signInLimits count failures: ten to one address from one network, a hundred from
// one network (§3.14).
func signInLimits(o wire.Origin, email string) signin.Limits {
	pair := limit.Rule{Name: "accountmaker.signin", Key: email + " " + o.Network(), N: 10, Per: window}
	return signin.Limits{
		Count: []limit.Rule{pair}, Clear: []limit.Rule{pair},
		Failures: []limit.Rule{{Name: "accountmaker.signin.ip", Key: o.Network(), N: 100, Per: window}},
	}
}

// checkLimits count questions who has an account (§3.4).
func checkLimits(o wire.Origin, email string) signin.Limits {
	return signin.Limits{Count: []limit.Rule{
		{Name: "accountmaker.check.ip", Key: o.Network(), N: 20, Per: time.Minute},
		{Name: "accountmaker.check.email", Key: email, N: 5, Per: time.Minute},
	}}
}

// mailLimits count mails of one kind that strangers ask for (§3.12, §3.13).
func mailLimits(kind string, o wire.Origin, email string) []limit.Rule {
	return []limit.Rule{
		{Name: "accountmaker." + kind + ".minute", Key: email, N: 1, Per: time.Minute},
		{Name: "accountmaker." + kind + ".hour", Key: email, N: 5, Per: time.Hour},
		{Name: "accountmaker." + kind + ".ip", Key: o.Network(), N: 30, Per: time.Hour},
	}
}

// verifyLimits count verification mails that a user asks for (§3.11).
func verifyLimits(u identity.UserID) []limit.Rule {
	return []limit.Rule{
		{Name: "accountmaker.verify.minute", Key: string(u), N: 1, Per: time.Minute},
		{Name: "accountmaker.verify.hour", Key: string(u), N: 5, Per: time.Hour},
	}
}

func signUpLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "accountmaker.signup.ip", Key: o.Network(), N: 60, Per: time.Hour}}}
}

// tokenLimits count tries of mailed secrets.
func tokenLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "accountmaker.token.ip", Key: o.Network(), N: 100, Per: window}}}
}

// inviteFailures count wrong invitations.
func inviteFailures(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "accountmaker.invite.ip", Key: o.Network(), N: 30, Per: window}}
}

// inviteLimits count invitations that one user sends.
func inviteLimits(u identity.UserID) []limit.Rule {
	return []limit.Rule{{Name: "accountmaker.invite.user", Key: string(u), N: 60, Per: time.Hour}}
}

// switchLimits count account switches, each of which is a family.
func switchLimits(u identity.UserID) []limit.Rule {
	return []limit.Rule{{Name: "accountmaker.switch", Key: string(u), N: 60, Per: window}}
}
