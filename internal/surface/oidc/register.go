package oidc

import "sallyport/internal/wire"

func (a *API) registerRoutes() []wire.Route { return nil }
