package snooplytics

import (
	"net/http"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/limit"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// The limits on wrong codes (contract §11): five end a sign-in, ten in a row shut the
// second factor of the account.
const codesPerChallenge = 5

var (
	codeLock  = signin.Lock{Name: "snooplytics.codes", N: 10, For: 15 * time.Minute}
	codeTries = limit.Rule{Name: "snooplytics.code", N: 10, Per: 15 * time.Minute}
)

// enabled is a second factor that was begun; what an app needs, if it is one.
type enabled struct {
	Method      string   `json:"method"`
	URI         string   `json:"totpURI,omitempty"`
	BackupCodes []string `json:"backupCodes,omitempty"`
}

// The methods of a second factor.
const byApp, byMail = "totp", "otp"

// wrongPassword are the words for a proof that was none: the password is wrong, or the
// sign-in of who has no password is old.
var wrongPassword = map[fault.Code]string{fault.TOTPEnabled: "CONFLICT", fault.CurrentPasswordWrong: "INVALID_PASSWORD"}

// password reads the password that the change of a second factor wants.
func (c *call) password() self.Proof { return proof(c.text("password", wire.Max(maxPassword))) }

// enable is POST /two-factor/enable. An app counts once it has shown a code; codes by
// mail count at once.
func (a *API) enable(w http.ResponseWriter, r *http.Request, c *call) error {
	given, method, issuer := c.password(), or(c.text("method", wire.Max(maxName)), byApp), c.text("issuer", wire.Max(maxName))
	if method != byApp && method != byMail {
		c.wrong("method", "Invalid enum value. Expected 'totp' | 'otp'")
	}
	if err := c.err(); err != nil {
		return err
	}
	if method == byMail {
		got, err := a.Self.ChooseMailedCodes(r.Context(), c.who.Caller, given)
		if err != nil {
			return as(err, wrongPassword)
		}
		c.keep(w, r, got)
		return done(w, enabled{Method: byMail})
	}
	setup, err := a.Self.BeginTwoFactor(r.Context(), c.who.Caller, given, issuer)
	if err != nil {
		return as(err, wrongPassword)
	}
	return done(w, enabled{byApp, setup.URI, setup.BackupCodes})
}

// disable is POST /two-factor/disable.
func (a *API) disable(w http.ResponseWriter, r *http.Request, c *call) error {
	given := c.password()
	if err := c.err(); err != nil {
		return err
	}
	got, err := a.Self.DisableTwoFactor(r.Context(), c.who.Caller, given)
	if err != nil {
		return as(err, wrongPassword)
	}
	c.keep(w, r, got)
	if c.cookie(r, trustCookie) != "" {
		c.clearCookie(w, r, trustCookie)
	}
	return done(w, okay)
}

// totpURI is POST /two-factor/get-totp-uri.
func (a *API) totpURI(w http.ResponseWriter, r *http.Request, c *call) error {
	given := c.password()
	if err := c.err(); err != nil {
		return err
	}
	uri, err := a.Self.TwoFactorURI(r.Context(), c.who.Caller, given)
	if err != nil {
		return as(err, wrongPassword)
	}
	return done(w, struct {
		URI string `json:"totpURI"`
	}{uri})
}

// newBackupCodes is POST /two-factor/generate-backup-codes.
func (a *API) newBackupCodes(w http.ResponseWriter, r *http.Request, c *call) error {
	given := c.password()
	if err := c.err(); err != nil {
		return err
	}
	codes, err := a.Self.RenewBackupCodes(r.Context(), c.who.Caller, given)
	if err != nil {
		return as(err, wrongPassword)
	}
	return done(w, struct {
		Status      bool     `json:"status"`
		BackupCodes []string `json:"backupCodes"`
	}{true, codes})
}

// verifyTOTP is POST /two-factor/verify-totp: it completes a sign-in, or puts an app in
// force that has been set up.
func (a *API) verifyTOTP(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.verify(w, r, c, signin.AppCode, "INVALID_CODE")
}

// verifyOTP is POST /two-factor/verify-otp.
func (a *API) verifyOTP(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.verify(w, r, c, signin.MailedCode, "INVALID_CODE")
}

// verifyBackupCode is POST /two-factor/verify-backup-code.
func (a *API) verifyBackupCode(w http.ResponseWriter, r *http.Request, c *call) error {
	return a.verify(w, r, c, signin.BackupCode, "INVALID_BACKUP_CODE")
}

// verify judges a second factor: of a sign-in that owes it, or else of who is signed in.
func (a *API) verify(w http.ResponseWriter, r *http.Request, c *call, kind signin.CodeKind, wrong string) error {
	code, trust := c.text("code", required, wire.Max(64)), c.flag("trustDevice", false)
	if err := c.err(); err != nil {
		return err
	}
	raw := c.cookie(r, challengeCookie)
	switch {
	case raw != "":
		return a.answerChallenge(w, r, c, signin.ChallengeIn{
			Secret: raw, Kind: kind, Code: code, Most: codesPerChallenge, Lock: codeLock, Trust: trust, Visitor: c.visitor(r),
		}, wrong)
	case c.who == nil:
		return refuse("INVALID_TWO_FACTOR_COOKIE")
	}
	got, err := a.Self.StepUp(r.Context(), c.who.Caller, self.StepUpIn{
		Code: code, Backup: kind == signin.BackupCode, Mailed: kind == signin.MailedCode, Tries: codeTries,
	})
	if err != nil {
		return codeFault(err, wrong)
	}
	out, err := a.raise(w, r, c, got, true)
	if err != nil {
		return err
	}
	return done(w, out)
}

// answerChallenge completes a sign-in. A challenge that is over is taken back.
func (a *API) answerChallenge(w http.ResponseWriter, r *http.Request, c *call, in signin.ChallengeIn, wrong string) error {
	out, err := a.SignIn.Challenge(r.Context(), in)
	if err != nil {
		if fault.Is(err, fault.ChallengeInvalid) {
			c.clearCookie(w, r, challengeCookie)
		}
		return codeFault(err, wrong)
	}
	return a.finish(w, r, c, out, c.cookie(r, forgetCookie) == "", func(in *signin.SignedIn) error {
		return done(w, raised{name(in.Session), userOfSignIn(in)})
	})
}

// codeFault is the refusal of a code (contract §11).
func codeFault(err error, wrong string) error {
	f, ok := fault.From(err)
	if !ok {
		return err
	}
	said := ""
	if len(f.Params) > 0 {
		said = f.Params[0]
	}
	switch {
	case f.Code == fault.CodeInvalid && said == fault.CodeGone:
		return refuse("OTP_HAS_EXPIRED").because(err)
	case f.Code == fault.CodeInvalid:
		return refuse(wrong).because(err)
	case f.Code == fault.ChallengeInvalid && said == fault.TriesSpent:
		return refuse("TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE").because(err)
	}
	return err
}

// sendOTP is POST /two-factor/send-otp.
func (a *API) sendOTP(w http.ResponseWriter, r *http.Request, c *call) error {
	var err error
	raw := c.cookie(r, challengeCookie)
	switch {
	case raw != "":
		err = a.SignIn.SendCode(r.Context(), signin.SendCodeIn{Secret: raw, Visitor: c.visitor(r)})
	case c.who == nil:
		return refuse("INVALID_TWO_FACTOR_COOKIE")
	default:
		err = a.Self.SendCode(r.Context(), c.who.Caller)
	}
	if fault.Is(err, fault.ChallengeInvalid) {
		c.clearCookie(w, r, challengeCookie)
	}
	if err != nil {
		return as(err, map[fault.Code]string{fault.MethodDisabled: "OTP_NOT_ENABLED"})
	}
	return done(w, okay)
}
