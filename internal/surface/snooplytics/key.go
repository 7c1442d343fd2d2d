package snooplytics

import "net/http"

// byKey is who a personal access token is of.
func (a *API) byKey(_ *http.Request, _ *call, _ string) (*caller, error) {
	return nil, refuse("INVALID_API_KEY")
}
