package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sallyport/internal/identity"
	"sallyport/internal/password"
	"sallyport/internal/sso"
)

// memo remembers what was found out about passwords, and which keys were made, between
// two looks at the database, because it takes too long to be done in a transaction. A diff asks
// it; what it does not know yet it wants, and work finds that out.
type memo struct {
	hashing bool // whether new hashes are wanted, or only what would change
	fits    map[pair]bool
	hashes  map[pair]string
	wanted  []pair

	pairs map[string]sso.KeyPair // by the slug of an organization
	names []string               // those that are wanted
}

// pair is a password of the file with the stored hash that it may be of, or,
// for a hash to be made, with the address of its owner.
type pair struct {
	stored, email string
	plain         string
}

func newMemo(hashing bool) *memo {
	return &memo{hashing: hashing, fits: map[pair]bool{}, hashes: map[pair]string{}, pairs: map[string]sso.KeyPair{}}
}

// verified reports whether stored is a hash of s, and guesses so until it is
// known.
func (m *memo) verified(stored string, s Secret) bool {
	if !(identity.User{PasswordHash: stored}).HasPassword() {
		return false
	}
	p := pair{stored: stored, plain: s.Reveal()}
	fits, known := m.fits[p]
	if !known {
		m.wanted = append(m.wanted, p)
	}
	return fits || !known
}

// hashed is the new hash of s for the user with the address, "" until it is
// made.
func (m *memo) hashed(email string, s Secret) string {
	p := pair{email: email, plain: s.Reveal()}
	hash, known := m.hashes[p]
	if !known && m.hashing {
		m.wanted = append(m.wanted, p)
	}
	return hash
}

// work finds out what is wanted, as many passwords at once as the pool takes.
func (m *memo) work(ctx context.Context, pool *password.Pool) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan pair)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range pool.Stats().Slots {
		wg.Go(func() {
			for p := range todo {
				if err := m.one(ctx, pool, p, &mu); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, p := range m.wanted {
		if ctx.Err() != nil {
			break
		}
		todo <- p
	}
	close(todo)
	wg.Wait()
	m.wanted = nil
	return context.Cause(ctx)
}

func (m *memo) one(ctx context.Context, pool *password.Pool, p pair, mu *sync.Mutex) error {
	for {
		fits, hash, err := false, "", error(nil)
		if p.stored != "" {
			fits, _, err = pool.Verify(ctx, p.stored, p.plain)
		} else {
			hash, err = pool.Hash(ctx, p.plain)
		}
		if errors.Is(err, password.ErrBusy) && ctx.Err() == nil {
			continue // others sign in; the pool made us wait already
		}
		if err != nil {
			return fmt.Errorf("hash a password: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if p.stored != "" {
			m.fits[p] = fits
		} else {
			m.hashes[p] = hash
		}
		return nil
	}
}
