package server

import (
	"context"
	"fmt"
	"sync/atomic"

	"sallyport/internal/db"
	"sallyport/internal/oauth"
	"sallyport/internal/resource"
)

// settings are the surfaces' lines of the resource file, which may be applied
// while nodes serve: each keeps a copy and reads it again now and then.
type settings struct {
	db   *db.DB
	kept atomic.Pointer[resource.Surfaces]
}

func (s *settings) load(ctx context.Context) error {
	var all resource.Surfaces
	err := s.db.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = resource.SurfacesOf(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the surfaces' settings: %w", err)
	}
	s.kept.Store(&all)
	return nil
}

// oauth are the provider's.
func (s *settings) oauth() oauth.Settings {
	o := s.kept.Load().OIDC
	if o == nil {
		return oauth.Settings{}
	}
	return oauth.Settings{
		Registration: o.Registration, ClientDocuments: o.ClientDocuments != nil && *o.ClientDocuments, Scopes: o.Scopes, Resources: o.Resources,
	}
}
