package resource

import (
	"context"
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

// TestKeysOfAClientsOwnAreNoSecretOfIts shows that a client's signing key is not
// taken for the secret that it shares with us.
func TestKeysOfAClientsOwnAreNoSecretOfIts(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("clients: [{key: a, name: A}]", Options{})
		id := s.client("a").ID
		fresh, err := jwks.Generate(jwks.RS256)
		if err != nil {
			t.Fatal(err)
		}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			_, err := jwks.AddClientKey(ctx, tx, s.Key, id, fresh, s.Now())
			return err
		})
		wantNothing(t, "a key of its own", s.plan("clients: [{key: a, name: A}]", true))
		s.refused("clients: [{key: a, name: A, access_token: {alg: HS256, secret: stored}}]", false, "there is no stored secret to sign by")
	})
}
