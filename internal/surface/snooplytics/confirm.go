package snooplytics

import (
	"net/http"

	"sallyport/internal/wire"
)

// askToConfirm shows a button, which spends a mailed link.
func (a *API) askToConfirm(w http.ResponseWriter, r *http.Request, raw string) error {
	query := r.URL.Query()
	query.Del("token")
	action := wire.MountOf(r.Context()).Path + "/api/auth/magic-link/verify?" + query.Encode()
	return wire.AskToConfirm(w, action, raw, a.CSRF.Token(w, r, raw))
}

// confirmMagicLink is where the button leads.
func (a *API) confirmMagicLink(w http.ResponseWriter, r *http.Request, c *call) error {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxBody)
	if err := r.ParseForm(); err != nil {
		return refuse("BAD_REQUEST").because(err)
	}
	raw := r.PostForm.Get("token")
	if err := a.CSRF.Check(r, r.PostForm.Get("csrf"), raw); err != nil {
		return refuse("FORBIDDEN").because(err)
	}
	c.input = &input{query: wire.Query(r), at: "query"}
	to, err := a.destinations(r, c)
	if err != nil {
		return err
	}
	return a.spendMagicLink(w, r, c, raw, to)
}
