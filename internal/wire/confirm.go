package wire

import (
	"bytes"
	"html/template"
	"net/http"
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

// AskToConfirm answers a mailed link with a button that posts its token, and csrf, to
// action on this site: whatever opens links by itself spends none.
func AskToConfirm(w http.ResponseWriter, action, token, csrf string) error {
	var page bytes.Buffer
	if err := confirmPage.Execute(&page, struct{ Action, Token, CSRF string }{action, token, csrf}); err != nil {
		return err
	}
	PageHeaders(w, "") // a form-action would hold for where its answer sends the browser, too
	Write(w, http.StatusOK, "text/html; charset=utf-8", page.Bytes())
	return nil
}
