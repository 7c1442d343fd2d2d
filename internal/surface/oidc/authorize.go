package oidc

import "sallyport/internal/wire"

func (a *API) authorizeRoutes() []wire.Route { return nil }
