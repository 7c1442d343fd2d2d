package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// The page that SendForm answers with sends itself; where no script runs, a button
// does.
const sendScript = `document.forms[0].submit()`

var sendPage = template.Must(template.New("send").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>On to {{.Name}}</title></head>
<body>
<form method="post" action="{{.Action}}">
{{range .Fields}}<input type="hidden" name="{{index . 0}}" value="{{index . 1}}">
{{end}}<p><button type="submit">Continue to {{.Name}}</button></p>
</form>
<script>` + sendScript + `</script>
</body>
</html>
`))

var sendPolicy = func() string {
	sum := sha256.Sum256([]byte(sendScript))
	return "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// SendForm answers with a page that posts fields, each a name and a value, to another
// site (OAuth 2.0 Form Post Response Mode §2; SAML 2.0 Bindings §3.5). The caller has
// judged that action is no script.
func SendForm(w http.ResponseWriter, name, action string, fields [][2]string) error {
	var page bytes.Buffer
	err := sendPage.Execute(&page, struct {
		Name   string
		Action template.URL
		Fields [][2]string
	}{name, template.URL(action), fields}) //nolint:gosec // judged by the caller; the template still escapes it
	if err != nil {
		return err
	}
	PageHeaders(w, sendPolicy)
	Write(w, http.StatusOK, "text/html; charset=utf-8", page.Bytes())
	return nil
}
