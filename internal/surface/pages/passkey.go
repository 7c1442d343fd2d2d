package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/passkey"
	"sallyport/internal/self"
	"sallyport/internal/signin"
	"sallyport/internal/wire"
)

// A passkey's ceremonies are a script's (assets/passkey.js), between two posts of
// one form:
//
//	/login    ── /login/passkey/options ──▶ navigator.credentials.get ──▶ /login/passkey
//	/account  ── /account/passkey/options ▶ navigator.credentials.create ▶ /account, do=passkey-add
//
// Whoever has no script, or no passkeys in their browser, does not see the button.

// ceremony is what the script gets: what to ask the browser, and the handle to
// bring back with its answer, or words why not.
type ceremony struct {
	Options json.RawMessage `json:"options,omitempty"`
	Handle  string          `json:"handle,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// party is whom the passkeys of a page belong to: the host of its mount, as it
// is configured. What the request calls us counts for nothing.
func party(r *http.Request) (passkey.Party, error) {
	return passkey.NewParty(wire.MountOf(r.Context()).Base, "Sallyport")
}

// postPasskeyOptions begins a sign-in.
func (p *Pages) postPasskeyOptions(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.refuse(w, r, err, words)
		return
	}
	at, err := party(r)
	if err != nil {
		p.refuse(w, r, err, words)
		return
	}
	asked, err := p.SignIn.AskPasskey(r.Context(), signin.AskPasskeyIn{
		ClientID: page.Client.ID, Request: t.Request, Party: at, Limits: p.Flow.Limits.PasskeyAsk(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if err != nil {
		p.refuse(w, r, err, words)
		return
	}
	wire.WriteJSON(w, http.StatusOK, ceremony{Options: asked.Options, Handle: asked.Handle})
}

// postPasskey is a sign-in by passkey.
func (p *Pages) postPasskey(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	page, err := p.page(r, t)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	at, err := party(r)
	if err != nil {
		p.crash(w, r, err)
		return
	}
	d := dataFor(t, page.Client)
	d.Proving = p.proving(r, in.String("prove"))
	out, err := p.SignIn.Passkey(r.Context(), signin.PasskeyIn{
		ClientID: page.Client.ID, Request: t.Request, Party: at, Handle: in.String("handle"), Response: json.RawMessage(in.String("response")),
		Prove: p.prove(r, in), Limits: p.Flow.Limits.Passkey(wire.OriginOf(r.Context())), Visitor: visitor(r),
	})
	if err != nil {
		v := view{client: page.Client, Data: d}
		if fault.Is(err, fault.CredentialsInvalid) {
			v.Error = "That passkey does not sign in here. It may have been removed from your account. Try again, or choose another way."
		}
		p.again(w, r, pageLogin, v, err)
		return
	}
	p.arrive(w, r, t, page, out)
}

// postNewPasskeyOptions begins the making of a passkey.
func (p *Pages) postNewPasskeyOptions(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	who, err := p.browser(r)
	if err != nil {
		p.refuse(w, r, err, accountWords)
		return
	}
	at, err := party(r)
	if err != nil {
		p.refuse(w, r, err, accountWords)
		return
	}
	given := p.proof(in)
	setup, err := p.Self.BeginPasskey(r.Context(), who, given, at)
	if err != nil {
		p.refuse(w, r, wrongPassword(err, given), accountWords)
		return
	}
	wire.WriteJSON(w, http.StatusOK, ceremony{Options: setup.Options, Handle: setup.Handle})
}

// refuse tells the script why not, as the page would say it.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, err error, say func(*fault.Error) string) {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		wire.WriteJSON(w, http.StatusBadRequest, ceremony{Error: "Please go back to the application and start again: " + e.Description + "."})
		return
	}
	f, ok := wire.Fault(err)
	if !ok {
		p.crash(w, r, err)
		return
	}
	retryAfter(w, f)
	wire.WriteJSON(w, statusOf(f), ceremony{Error: say(f)})
}

// accountWords is words for the account page, where an expired challenge and a wrong
// field are a passkey's.
func accountWords(f *fault.Error) string {
	switch {
	case f.Code == fault.ChallengeInvalid:
		return "That took too long, or it was begun on another page. Please try again."
	case f.Code != fault.FieldInvalid:
	case f.Field == "name":
		return "Please give the passkey a name, in at most 100 characters."
	case errors.Is(f.Err, passkey.ErrMany):
		return "You have as many passkeys as there may be. Remove one that you do not use."
	case errors.Is(f.Err, passkey.ErrTaken):
		return "That passkey is here already."
	case errors.Is(f.Err, passkey.ErrUnknown):
		return "There is no such passkey any more."
	case errors.Is(f.Err, passkey.ErrRefused):
		return "The passkey was not added: what your browser sent does not fit. Please try again."
	}
	return words(f)
}

// keys are the passkeys of the account page.
type keys struct {
	self.Keyring
	Rows []key
	Name string // suggested for a new one
}

// Shown tells whether there is anything to show of them.
func (k keys) Shown() bool { return k.Offered || len(k.Rows) > 0 }

// key is a passkey as its owner reads of it.
type key struct {
	ID, Name, Where string
	Created, Used   time.Time
	N               int
}

func keysOf(ring self.Keyring, userAgent string) keys {
	out := keys{Keyring: ring, Name: browserName(userAgent)}
	if out.Name == browserName("") {
		out.Name = "Passkey"
	}
	for i, k := range ring.Passkeys {
		where := "On one device"
		if k.Synced {
			where = "Synced between devices"
		}
		out.Rows = append(out.Rows, key{ID: k.ID.String(), Name: k.Name, Where: where, Created: k.CreatedAt.UTC(), Used: k.UsedAt.UTC(), N: i})
	}
	return out
}

// changePasskey carries out a change of the passkeys; ok is false of any other.
func (p *Pages) changePasskey(r *http.Request, who self.Caller, in *wire.Params, proof self.Proof) (notice string, ok bool, err error) {
	ctx, name := r.Context(), in.String("name")
	id, _ := passkey.ParseID(in.String("passkey")) // none is nobody's
	switch in.String("do") {
	case "passkey-add":
		var at passkey.Party
		if at, err = party(r); err == nil {
			_, err = p.Self.AddPasskey(ctx, who, self.NewPasskey{
				Party: at, Handle: in.String("handle"), Name: name, Response: json.RawMessage(in.String("response")),
			})
		}
		return "Your passkey is added. You can sign in with it from now on.", true, err
	case "passkey-rename":
		return "The name of the passkey is changed.", true, p.Self.RenamePasskey(ctx, who, id, name)
	case "passkey-remove":
		return "The passkey is removed. Your device may offer it still: remove it there, too.", true, p.Self.RemovePasskey(ctx, who, proof, id)
	}
	return "", false, nil
}
