package oidc

import (
	"net/http"

	"sallyport/internal/oauth"
	"sallyport/internal/wire"
)

// deviceRoutes is where devices without a browser begin (RFC 8628 §3.1). What
// they come for they get at the token endpoint; the person's page is package
// pages'.
func (a *API) deviceRoutes() []wire.Route {
	return a.open().Routes([]wire.Route{
		{Method: "POST", Pattern: a.Prefix + "/oauth2/device_authorization", Handler: a.startDevice},
	})
}

// deviceResponse is RFC 8628 §3.2.
type deviceResponse struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// startDevice is POST /oauth2/device_authorization.
func (a *API) startDevice(w http.ResponseWriter, r *http.Request) {
	p, err := a.params(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	in := oauth.DeviceIn{Params: p, Visitor: a.visitor(r)}
	if in.Auth, err = a.clientAuth(r, p); err != nil {
		a.fail(w, r, err)
		return
	}
	d, err := a.OAuth.StartDevice(r.Context(), in)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	page := wire.MountOf(r.Context()).Base + "/device"
	w.Header().Set("Pragma", "no-cache")
	wire.WriteJSON(w, http.StatusOK, deviceResponse{
		DeviceCode: d.DeviceCode, UserCode: d.UserCode, URI: page, Complete: page + "?user_code=" + d.UserCode,
		ExpiresIn: int64(d.ExpiresIn.Seconds()), Interval: int64(d.Interval.Seconds()),
	})
}
