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

// LoginByEmail counts sign-ins to one address.
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

// TOTPTries counts wrong second factors of one user.
func TOTPTries() limit.Rule { return limit.Rule{Name: "keymaster.totp", N: 5, Per: window} }

// SignUpLimits count new accounts.
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

// UpstreamLimits count sign-ins that are sent to an upstream, each of which is a
// row that a stranger makes us keep. The contract has none; a whole office may
// come by one address.
func UpstreamLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "keymaster.oauth.ip", Key: o.Network(), N: 300, Per: window}}
}

// ForgotByIP counts requests for a reset link from one network.
func ForgotByIP(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.forgot.ip", Key: o.Network(), N: 10, Per: window}}}
}

// ForgotByEmail counts those to one address; past it no mail is sent, silently.
func ForgotByEmail(email string) []limit.Rule {
	return []limit.Rule{{Name: "keymaster.forgot.email", Key: email, N: 3, Per: window}}
}

// ResetLimits count tries of a reset link.
func ResetLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.reset.ip", Key: o.Network(), N: 20, Per: window}}}
}

// MagicLinkLimits count requests for a magic link, whether or not somebody has
// the address.
func MagicLinkLimits(o wire.Origin, email string) []limit.Rule {
	return []limit.Rule{
		{Name: "keymaster.magic.email", Key: email, N: 3, Per: window},
		{Name: "keymaster.magic.ip", Key: o.Network(), N: 10, Per: window},
	}
}

// MagicVerifyLimits count tries of a magic link.
func MagicVerifyLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.magic.verify.ip", Key: o.Network(), N: 20, Per: window}}}
}

// PasskeyAskLimits count the challenges for a passkey, each of which is a row that a
// stranger makes us keep. The contract has none; nobody guesses a passkey, and a
// whole office may come by one address.
func PasskeyAskLimits(o wire.Origin) []limit.Rule {
	return []limit.Rule{{Name: "keymaster.passkey.ask.ip", Key: o.Network(), N: 100, Per: window}}
}

// PasskeyLimits count the answers to them, whose signatures cost us a little.
func PasskeyLimits(o wire.Origin) signin.Limits {
	return signin.Limits{Count: []limit.Rule{{Name: "keymaster.passkey.ip", Key: o.Network(), N: 60, Per: window}}}
}

// PasswordTries counts wrong passwords shown for a change of one's own account.
func PasswordTries() limit.Rule {
	return limit.Rule{Name: "keymaster.account.password", N: 5, Per: window}
}
