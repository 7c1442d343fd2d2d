package admin

import (
	"context"
	"time"

	"sallyport/internal/enterprise"
	"sallyport/internal/org"
)

// keyShown is a key pair of ours, as others see it.
type keyShown struct {
	ID          string    `json:"id" doc:"The SHA-256 of its certificate, in hex"`
	Certificate []byte    `json:"certificate" doc:"DER, in Base64"`
	CreatedAt   time.Time `json:"created_at"`
}

func (a *API) addKey(ctx context.Context, in *orgIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		_, err := a.Enterprise.AddKey(ctx, who, id)
		return err
	})
}

type endKeyIn struct {
	Org string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Key string `path:"key" maxLength:"64" doc:"Its id"`
}

func (a *API) endKey(ctx context.Context, in *endKeyIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		_, err := a.Enterprise.EndKey(ctx, who, id, in.Key)
		return err
	})
}
