package oidc

import "sallyport/internal/wire"

func (a *API) tokenRoutes() []wire.Route { return nil }
