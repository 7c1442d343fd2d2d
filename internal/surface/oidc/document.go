package oidc

import "sallyport/internal/wire"

func (a *API) documentRoutes() []wire.Route { return nil }
