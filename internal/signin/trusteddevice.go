package signin

import (
	"context"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/factor"
)

// trusts reports whether the visitor's browser is trusted with the second factor that
// the user has, by the cookie that it is to have next; nil if it is not. The trust is
// the person's own: where the client or their organization demands two factors of
// every sign-in, met false, it stands for none.
func (c *Core) trusts(ctx context.Context, tx *db.Tx, p proof, s client.Standing, met bool, now time.Time) (*Trusted, error) {
	demanded := !met || p.client.Policy.SecondFactor == client.FactorRequired
	if p.visitor.Trusted == "" || p.second || !s.Factor || demanded {
		return nil, nil
	}
	next, life, ok, err := factor.Recognize(ctx, tx, p.user.ID, p.visitor.Trusted, now)
	if err != nil || !ok {
		return nil, err
	}
	return &Trusted{Cookie: next, Life: life}, nil
}

// trust has the visitor's browser be trusted from now on.
func (c *Core) trust(ctx context.Context, tx *db.Tx, in *SignedIn, now time.Time) error {
	raw, err := factor.Trust(ctx, tx, in.User.ID, now)
	in.Trusted = &Trusted{Cookie: raw, Life: factor.TrustLife}
	return err
}
