package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/identity"
	"sallyport/internal/passkey"
	"sallyport/internal/passkey/passkeytest"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

const base = "https://auth.example.com/keymaster"

// fixture is a relying party with one user, who has a passkey on key.
type fixture struct {
	t     *testing.T
	d     *db.DB
	party passkey.Party
	user  identity.User
	key   *passkeytest.Authenticator
}

func each(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		party, err := passkey.NewParty(base, "Sallyport")
		if err != nil {
			t.Fatal(err)
		}
		x := &fixture{t: t, d: d, party: party, key: passkeytest.New("https://auth.example.com")}
		x.user = x.newUser("jane@example.com")
		x.add(x.register(x.user, x.key))
		f(t, x)
	})
}

func (x *fixture) write(f func(context.Context, *db.Tx) error) error {
	return x.d.Write(x.t.Context(), f)
}

func (x *fixture) newUser(email string) identity.User {
	x.t.Helper()
	u := identity.User{ID: identity.NewUserID(), Email: email, DisplayName: "Jane Doe", Status: identity.Active, CreatedAt: now}
	if err := x.write(func(ctx context.Context, tx *db.Tx) error { return identity.Create(ctx, tx, u) }); err != nil {
		x.t.Fatal(err)
	}
	return u
}

func (x *fixture) register(u identity.User, key *passkeytest.Authenticator) passkey.Passkey {
	x.t.Helper()
	options, state, err := x.party.Register(u, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	k, err := x.party.Registered(u, "Laptop", state, key.Create(options), now)
	if err != nil {
		x.t.Fatal(err)
	}
	return k
}

func (x *fixture) add(k passkey.Passkey) {
	x.t.Helper()
	if err := x.write(func(ctx context.Context, tx *db.Tx) error { return passkey.Add(ctx, tx, k) }); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) ask() (options, state json.RawMessage) {
	x.t.Helper()
	options, state, err := x.party.Ask()
	if err != nil {
		x.t.Fatal(err)
	}
	return options, state
}

// answered looks the passkey of a response up, judges the response and stores
// the use, as a sign-in does.
func (x *fixture) answered(state, response json.RawMessage) (used passkey.Passkey, err error) {
	id, err := passkey.Claimed(response)
	if err != nil {
		return used, err
	}
	err = x.write(func(ctx context.Context, tx *db.Tx) error {
		k, err := passkey.ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if used, err = x.party.Answered(k, state, response, now.Add(time.Hour)); err != nil {
			return err
		}
		return passkey.Used(ctx, tx, used)
	})
	return used, err
}

func (x *fixture) stored() []passkey.Passkey {
	x.t.Helper()
	var all []passkey.Passkey
	if err := x.d.Read(x.t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		all, err = passkey.OfUser(ctx, tx, x.user.ID)
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
	return all
}

func TestPasskeySignsIn(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		options, state := x.ask()
		used, err := x.answered(state, x.key.Get(options))
		if err != nil {
			t.Fatal(err)
		}
		if used.UserID != x.user.ID || !bytes.Equal(used.ID, x.key.ID) {
			t.Errorf("used = %v of %s, want %x of %s", used.ID, used.UserID, x.key.ID, x.user.ID)
		}
		got := x.stored()
		if len(got) != 1 || got[0].Name != "Laptop" || !got[0].CreatedAt.Equal(now) || !got[0].UsedAt.Equal(now.Add(time.Hour)) || got[0].Synced {
			t.Errorf("stored = %+v", got)
		}
	})
}

// What the options ask for is what makes one passkey two factors.
func TestOptionsAskForAVerifiedDiscoverableCredential(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		options, _, err := x.party.Register(x.user, x.stored())
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			RP                     struct{ ID, Name string }
			User                   struct{ ID, Name, DisplayName string }
			AuthenticatorSelection struct{ ResidentKey, UserVerification string }
			Attestation            string
			ExcludeCredentials     []struct{ ID string }
		}
		if err := json.Unmarshal(options, &o); err != nil {
			t.Fatal(err)
		}
		if o.RP.ID != "auth.example.com" || o.RP.Name != "Sallyport" || o.User.Name != "jane@example.com" || o.User.DisplayName != "Jane Doe" {
			t.Errorf("options name %+v and %+v", o.RP, o.User)
		}
		if o.AuthenticatorSelection.ResidentKey != "required" || o.AuthenticatorSelection.UserVerification != "required" || o.Attestation != "none" {
			t.Errorf("options ask for %+v, attestation %s", o.AuthenticatorSelection, o.Attestation)
		}
		if len(o.ExcludeCredentials) != 1 || o.ExcludeCredentials[0].ID != passkey.ID(x.key.ID).String() {
			t.Errorf("excluded = %v, want the one there is", o.ExcludeCredentials)
		}
		ask, _ := x.ask()
		if strings.Contains(string(ask), "allowCredentials") || !strings.Contains(string(ask), `"userVerification":"required"`) {
			t.Errorf("request options = %s", ask)
		}
	})
}

func TestAnswersAreRefused(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		other := passkeytest.New(x.key.Origin)
		x.add(x.register(x.newUser("joe@example.com"), other))
		elsewhere, err := passkey.NewParty("https://evil.example.com", "Sallyport")
		if err != nil {
			t.Fatal(err)
		}
		for name, answer := range map[string]func(k passkeytest.Authenticator, options json.RawMessage) json.RawMessage{
			"of a page elsewhere": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Origin = "https://evil.example.com"
				return k.Get(o)
			},
			"of a subdomain": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Origin = "https://x.auth.example.com"
				return k.Get(o)
			},
			"over http": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Origin = "http://auth.example.com"
				return k.Get(o)
			},
			"for another party": func(k passkeytest.Authenticator, _ json.RawMessage) json.RawMessage {
				o, _, err := elsewhere.Ask()
				if err != nil {
					t.Fatal(err)
				}
				return k.Get(o)
			},
			"without the user verified": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Flags = passkeytest.Present
				return k.Get(o)
			},
			"without the user present": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Flags = passkeytest.Verified
				return k.Get(o)
			},
			"to another challenge": func(k passkeytest.Authenticator, _ json.RawMessage) json.RawMessage {
				o, _ := x.ask()
				return k.Get(o)
			},
			"with another user's handle": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Handle = other.Handle
				return k.Get(o)
			},
			"without a handle": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Handle = nil
				return k.Get(o)
			},
			"signed by another key": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				forger := *other
				forger.ID, forger.Handle = k.ID, k.Handle
				return forger.Get(o)
			},
			"suddenly eligible for backup": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage {
				k.Flags |= passkeytest.Eligible
				return k.Get(o)
			},
			"of a registration": func(k passkeytest.Authenticator, o json.RawMessage) json.RawMessage { return k.Create(o) },
			"that is none":      func(passkeytest.Authenticator, json.RawMessage) json.RawMessage { return json.RawMessage(`{"id":"x"}`) },
			"that is huge": func(passkeytest.Authenticator, json.RawMessage) json.RawMessage {
				return json.RawMessage(`"` + strings.Repeat("x", passkey.MaxResponse) + `"`)
			},
		} {
			options, state := x.ask()
			if _, err := x.answered(state, answer(*x.key, options)); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("an answer %s: err = %v, want ErrRefused", name, err)
			}
		}
		if got := x.stored(); !got[0].UsedAt.IsZero() {
			t.Error("a refused answer counts as a use")
		}
	})
}

func TestRegistrationsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for name, change := range map[string]func(*passkeytest.Authenticator){
			"of a page elsewhere":       func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example.com" },
			"without the user verified": func(a *passkeytest.Authenticator) { a.Flags = passkeytest.Present },
			"backed up, not eligible":   func(a *passkeytest.Authenticator) { a.Flags |= passkeytest.BackedUp },
			"with a huge id":            func(a *passkeytest.Authenticator) { a.ID = make([]byte, 1024) },
		} {
			key := passkeytest.New("https://auth.example.com")
			change(key)
			options, state, err := x.party.Register(x.user, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.party.Registered(x.user, "Phone", state, key.Create(options), now); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("a registration %s: err = %v, want ErrRefused", name, err)
			}
		}
		options, _, err := x.party.Register(x.user, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, state := x.ask()
		if _, err := x.party.Registered(x.user, "Phone", state, x.key.Create(options), now); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("a registration to another challenge: err = %v, want ErrRefused", err)
		}
	})
}

// A credential is of one user (WebAuthn §7.1 step 26).
func TestCredentialIsRegisteredOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		joe := x.newUser("joe@example.com")
		again := x.register(joe, x.key)
		if err := x.write(func(ctx context.Context, tx *db.Tx) error { return passkey.Add(ctx, tx, again) }); !errors.Is(err, passkey.ErrTaken) {
			t.Errorf("err = %v, want ErrTaken", err)
		}
	})
}

func TestCopyOfAnAuthenticatorIsRefused(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		key := passkeytest.New(x.key.Origin)
		key.Counter = 5
		x.add(x.register(x.user, key))
		clone := *key
		options, state := x.ask()
		if _, err := x.answered(state, key.Get(options)); err != nil {
			t.Fatal(err)
		}
		options, state = x.ask()
		if _, err := x.answered(state, clone.Get(options)); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("the copy: err = %v, want ErrRefused", err)
		}
		options, state = x.ask()
		if _, err := x.answered(state, key.Get(options)); err != nil {
			t.Errorf("the real one afterwards: %v", err)
		}
	})
}

// Answers with one counter, judged at the same time, are one use.
func TestCounterIsUsedOnceInARace(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		key := passkeytest.New(x.key.Origin)
		key.Counter = 1
		x.add(x.register(x.user, key))
		var won atomic.Int64
		var all sync.WaitGroup
		for range 30 {
			copied := *key
			options, state := x.ask()
			all.Go(func() {
				if _, err := x.answered(state, copied.Get(options)); err == nil {
					won.Add(1)
				} else if !errors.Is(err, passkey.ErrRefused) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d answers with one counter were taken, want 1", won.Load())
		}
	})
}

func TestPasskeysAreManaged(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		joe := x.newUser("joe@example.com")
		id := passkey.ID(x.key.ID)
		rename := func(u identity.UserID, name string) error {
			return x.write(func(ctx context.Context, tx *db.Tx) error { return passkey.Rename(ctx, tx, u, id, name) })
		}
		remove := func(u identity.UserID) error {
			return x.write(func(ctx context.Context, tx *db.Tx) error { return passkey.Remove(ctx, tx, u, id) })
		}
		if err := rename(joe.ID, "Mine"); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("rename of another's: %v", err)
		}
		if err := remove(joe.ID); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("removal of another's: %v", err)
		}
		if err := rename(x.user.ID, "Work laptop"); err != nil || x.stored()[0].Name != "Work laptop" {
			t.Errorf("rename: %v, %+v", err, x.stored())
		}
		parsed, ok := passkey.ParseID(id.String())
		if !ok || !bytes.Equal(parsed, id) {
			t.Errorf("ParseID(%s) = %x, %v", id, parsed, ok)
		}
		if err := remove(x.user.ID); err != nil || len(x.stored()) != 0 {
			t.Errorf("removal: %v, left %d", err, len(x.stored()))
		}
		options, state := x.ask()
		if _, err := x.answered(state, x.key.Get(options)); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a removed passkey: err = %v, want ErrNotFound", err)
		}
	})
}

func TestUserHasNoMoreThanMax(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		for range passkey.Max - 1 {
			x.add(x.register(x.user, passkeytest.New(x.key.Origin)))
		}
		one := x.register(x.user, passkeytest.New(x.key.Origin))
		if err := x.write(func(ctx context.Context, tx *db.Tx) error { return passkey.Add(ctx, tx, one) }); !errors.Is(err, passkey.ErrMany) {
			t.Errorf("err = %v, want ErrMany", err)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"  My\tphone ": "My phone", "ключ": "ключ", "": "", " \n ": "", strings.Repeat("x", 101): ""} {
		got, err := passkey.CheckName(given)
		if got != want || (want == "") != errors.Is(err, passkey.ErrName) {
			t.Errorf("CheckName(%q) = %q, %v; want %q", given, got, err, want)
		}
	}
}

// Parsers of what strangers send must not fall over.
func FuzzResponse(f *testing.F) {
	party, err := passkey.NewParty(base, "Sallyport")
	if err != nil {
		f.Fatal(err)
	}
	u := identity.User{ID: identity.NewUserID(), Email: "jane@example.com"}
	key := passkeytest.New("https://auth.example.com")
	options, state, err := party.Register(u, nil)
	if err != nil {
		f.Fatal(err)
	}
	made := key.Create(options)
	k, err := party.Registered(u, "Laptop", state, made, now)
	if err != nil {
		f.Fatal(err)
	}
	ask, asked, err := party.Ask()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(made))
	f.Add([]byte(key.Get(ask)))
	f.Fuzz(func(t *testing.T, response []byte) {
		_, _ = passkey.Claimed(response)
		if _, err := party.Registered(u, "x", asked, response, now); err == nil {
			t.Error("registered by the challenge of a proof")
		}
		_, _ = party.Answered(k, asked, response, now)
	})
}
