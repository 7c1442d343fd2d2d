package snooplytics

import (
	"bytes"
	"html/template"
	"net/http"

	"sallyport/internal/wire"
)

var confirmPage = template.Must(template.New("confirm").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex"><title>Sign in</title></head>
<body>
<main>
<h1>Sign in</h1>
<p>You followed a link from a mail. Go on only if you asked for it.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="token" value="{{.Token}}">
<input type="hidden" name="csrf" value="{{.CSRF}}">
<p><button type="submit">Sign in</button></p>
</form>
</main>
</body>
</html>
`))

// askToConfirm shows a button, which spends a mailed link.
func (a *API) askToConfirm(w http.ResponseWriter, r *http.Request, raw string) error {
	query := r.URL.Query()
	query.Del("token")
	var page bytes.Buffer
	err := confirmPage.Execute(&page, struct{ Action, Token, CSRF string }{
		wire.MountOf(r.Context()).Path + "/api/auth/magic-link/verify?" + query.Encode(), raw, a.CSRF.Token(w, r, raw),
	})
	if err != nil {
		return err
	}
	wire.PageHeaders(w, "") // a form-action would hold for where its answer sends the browser, too
	wire.Write(w, http.StatusOK, "text/html; charset=utf-8", page.Bytes())
	return nil
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
