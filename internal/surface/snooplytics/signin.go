package snooplytics

// signInRoutes are open to everybody (contract §11).
func (a *API) signInRoutes() []route {
	return []route{}
}
