package snooplytics

import (
	"net/http"

	"sallyport/internal/self"
	"sallyport/internal/wire"
)

// byKey is who a personal access token is of.
func (a *API) byKey(r *http.Request, c *call, raw string) (*caller, error) {
	o := wire.OriginOf(r.Context())
	who, err := a.Self.ByAPIKey(r.Context(), self.KeyIn{ClientID: c.client, Text: raw, IP: o.IP, RequestID: o.RequestID})
	if err != nil {
		return nil, err
	}
	return &caller{Caller: who, by: byKey}, nil
}
