package oidc

import "sallyport/internal/wire"

func (a *API) logoutRoutes() []wire.Route { return nil }
