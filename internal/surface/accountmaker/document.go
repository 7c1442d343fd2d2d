package accountmaker

import (
	"net/http"

	"sallyport/internal/client"
	"sallyport/internal/wire"
)

// publicFor is how long anybody may keep a key set (contract §7). A new key is
// published for longer than that before it signs.
const publicFor = "public, max-age=3600"

// jwks is GET /.well-known/jwks.json?client_id= (contract §7): the client's own
// keys, then those of the installation, which sign for a client that has none.
func (a *API) jwks(w http.ResponseWriter, r *http.Request) {
	f, err := queryForm(r)
	var id client.ID
	if err == nil {
		id, err = explicit(r, f)
	}
	if err == nil && id == "" {
		id, err = a.implied(r)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	body, etag := a.Keys.DocumentOf(id)
	wire.WriteDocument(w, r, "application/json", publicFor, etag, body)
}
