package pages

import (
	"net/http"
	"slices"

	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// The pages where a person lets a device in (RFC 8628 §3.3):
//
//	GET  /device           asks for the code, or shows that of a link
//	POST /device           finds the device        ──▶ /login, if need be
//	GET  /device?request=  names who asks for what ◀──┘
//	POST /device/answer    yes or no
//
// A link that holds the code saves typing and nothing else: the person compares
// it with what the device shows, and says yes (RFC 8628 §3.3.1, §5.4).
const (
	pageDevice  = "device"
	deviceTitle = "Connect a device"
)

// deviceData fills the page: the form for a code, or, with a Request, the
// question. Given says that the code came by a link.
type deviceData struct {
	target
	Code      string
	Given     bool
	Name      string
	Email     string
	Origin    string
	Elsewhere bool
	Asks      []ask
}

// maxUserCode is the longest code that is looked at.
const maxUserCode = 64

// device is GET /device. It changes nothing, so a browser may fetch it ahead.
func (p *Pages) device(w http.ResponseWriter, r *http.Request) {
	q := wire.Query(r)
	if t := targetOf(q); t.Request != "" {
		p.askAboutDevice(w, r, t)
		return
	}
	var d deviceData
	if code, ok := oauth.ParseUserCode(q.String("user_code", wire.Max(maxUserCode))); ok {
		d.Code, d.Given = oauth.ShowUserCode(code), true
	}
	p.show(w, r, http.StatusOK, pageDevice, view{Title: deviceTitle, Data: d})
}

// askAboutDevice shows the question, or sends who is not signed in to do so.
func (p *Pages) askAboutDevice(w http.ResponseWriter, r *http.Request, t target) {
	at, err := p.OAuth.DevicePrompt(r.Context(), t.Request, wire.Cookie(r, p.Flow.Cookie), deviceVisitor(r))
	switch {
	case err != nil:
		p.failDevice(w, r, at.Client, err)
	case at.User.ID == "":
		redirect(w, wire.MountOf(r.Context()).Path+"/login"+t.Query())
	default:
		p.show(w, r, http.StatusOK, pageDevice, view{
			Title: "Let this device in?", client: at.Client, Data: questionOf(t, at), bind: p.consentBind(r, t),
		})
	}
}

func questionOf(t target, at oauth.DevicePrompt) deviceData {
	elsewhere := slices.DeleteFunc(slices.Clone(at.Request.Resources), func(s string) bool { return s == at.Request.Issuer })
	return deviceData{
		target: t, Code: at.UserCode, Name: nameOf(at.Client), Email: at.User.Called(), Origin: stranger(at.Client), Elsewhere: at.Elsewhere,
		Asks: asksOf(at.Request.Scope, nil, elsewhere),
	}
}

// stranger is what is certain about an application that registered itself: the
// host that has its document. One without a document has nothing but what it
// says, for no answer goes to an address of its own.
func stranger(cl client.Client) string {
	switch cl.Source {
	case client.Document:
		return hostOf(string(cl.ID))
	case client.Dynamic:
		return "whoever made the application on your device"
	}
	return ""
}

// postDevice takes a code. The question has an address of its own, so that it
// can be loaded again, and come back to after a sign-in.
func (p *Pages) postDevice(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	typed := in.String("user_code", wire.Max(maxUserCode))
	handle, err := p.OAuth.FindDevice(r.Context(), typed, deviceVisitor(r))
	switch f, ok := wire.Fault(err); {
	case err == nil:
		redirect(w, wire.MountOf(r.Context()).Path+"/device"+target{Request: handle}.Query())
	case ok && f.Code == fault.CodeInvalid:
		p.show(w, r, http.StatusBadRequest, pageDevice, view{
			Title: deviceTitle, Data: deviceData{Code: typed},
			Error: "No device waits with this code. Look at its screen once more: a code is good for 15 minutes, and once.",
		})
	default:
		p.fail(w, r, err)
	}
}

// postDeviceAnswer takes the answer. What is neither button is none.
func (p *Pages) postDeviceAnswer(w http.ResponseWriter, r *http.Request, in *wire.Params) {
	t := targetOf(in)
	do := in.String("do")
	if do != "allow" && do != "deny" {
		redirect(w, wire.MountOf(r.Context()).Path+"/device"+t.Query())
		return
	}
	cl, err := p.OAuth.AnswerDevice(r.Context(), oauth.DeviceAnswer{
		Handle: t.Request, Cookie: wire.Cookie(r, p.Flow.Cookie), Allow: do == "allow", Visitor: deviceVisitor(r),
	})
	switch {
	case fault.Is(err, fault.Unauthenticated):
		redirect(w, wire.MountOf(r.Context()).Path+"/login"+t.Query())
	case err != nil:
		p.failDevice(w, r, cl, err)
	case do == "allow":
		p.tell(w, r, http.StatusOK, cl, "Your device is connected", "It will go on by itself in a moment. You can close this page.")
	default:
		p.tell(w, r, http.StatusOK, cl, "The device was turned away", "It gets no access to your account. You can close this page.")
	}
}

// failDevice shows what went wrong. A question that is over is no expired
// sign-in to the person.
func (p *Pages) failDevice(w http.ResponseWriter, r *http.Request, cl client.Client, err error) {
	if fault.Is(err, fault.ChallengeInvalid) {
		p.tell(w, r, http.StatusBadRequest, cl, failed, "This was answered already, or the code on your device has expired. Start again on your device.")
		return
	}
	p.fail(w, r, err)
}

// tell is message on a page that looks as a client does.
func (p *Pages) tell(w http.ResponseWriter, r *http.Request, status int, cl client.Client, title, text string) {
	p.show(w, r, status, pageMessage, view{Title: title, client: cl, Data: messageData{Text: text}})
}

// deviceVisitor is who asks, as the provider's core wants it.
func deviceVisitor(r *http.Request) oauth.Visitor {
	v := visitor(r)
	return oauth.Visitor{IP: v.IP, UserAgent: v.UserAgent, RequestID: v.RequestID, Base: v.Base}
}
