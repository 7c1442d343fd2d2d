package oidc

import "sallyport/internal/wire"

func (a *API) deviceRoutes() []wire.Route { return nil }
