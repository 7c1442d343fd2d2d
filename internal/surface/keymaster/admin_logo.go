package keymaster

import (
	"errors"
	"io"
	"net/http"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

const (
	// maxUpload is a picture with room for its multipart envelope.
	maxUpload = admin.MaxLogo + 64<<10
	// maxParts bounds the parts that are looked at for the file.
	maxParts = 16
	// logoPolicy lets an SVG draw itself and nothing more, even when it is opened
	// as a page of our origin.
	logoPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"
)

// logoPath is where an app's uploaded logo is, below the mount.
func logoPath(id client.ID) string { return "/apps/" + string(id) + "/logo" }

type logoResponse struct {
	URL string `json:"logo_url"`
}

// uploadLogo is POST /admin/apps/{app_id}/logo.
func (a *API) uploadLogo(w http.ResponseWriter, r *http.Request) {
	a.asAdmin(w, r, a.AdminCaller, http.StatusOK, func(who admin.Caller) (any, error) {
		id := appOf(r)
		// Who may not upload need not send it.
		if _, err := a.Admin.Client(r.Context(), who, id); err != nil {
			return nil, err
		}
		raw, err := readFile(w, r, "file")
		if err != nil {
			return nil, err
		}
		return logoResponse{logoPath(id)}, a.Admin.SetLogo(r.Context(), who, id, raw, logoPath(id))
	})
}

// readFile reads the named part of a multipart/form-data body (RFC 7578). The
// file's name and type, which its sender chose, are not looked at.
func readFile(w http.ResponseWriter, r *http.Request, name string) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, &wire.BodyError{Kind: wire.WrongType, Err: err}
	}
	for range maxParts {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		if p.FormName() != name {
			continue
		}
		raw, err := io.ReadAll(io.LimitReader(p, admin.MaxLogo+1))
		if err != nil {
			return nil, unreadable(err)
		}
		if len(raw) > admin.MaxLogo {
			return nil, fault.New(fault.FileTooLarge)
		}
		return raw, nil
	}
	return nil, wire.Problems{{Loc: []string{"body", name}, Msg: "field required", Kind: wire.Missing}}
}

// unreadable is why a part could not be read: it was too much, or it was not
// multipart.
func unreadable(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.FileTooLarge)
	}
	return &wire.BodyError{Kind: wire.Malformed, Err: err}
}

// logo is GET /apps/{app_id}/logo, which anybody may ask for. It is asked for
// anew each time, so that a new logo is seen at once, and sent only when it
// differs.
func (a *API) logo(w http.ResponseWriter, r *http.Request) {
	l, err := a.Admin.Logo(r.Context(), appOf(r))
	if err != nil {
		a.failAdmin(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", logoPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	wire.WriteDocument(w, r, l.ContentType, "public, no-cache", `"`+secret.Fingerprint(l.Data)+`"`, l.Data)
}
