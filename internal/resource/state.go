package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/jwks"
	"sallyport/internal/org"
	"sallyport/internal/secret"
	"sallyport/internal/totp"
	"sallyport/internal/upstream"
)

// state is what the database says about what a file names and what it owns.
type state struct {
	text       string // of the row "resources"
	owned      owned
	tenants    map[string]client.Tenant // by slug
	clients    []client.Client          // oldest first
	byKey      map[string]client.Client
	byID       map[client.ID]client.Client
	shared     map[client.ID]jwks.Key // the secrets that sign HS256
	previous   map[client.ID]jwks.Key // and those before
	surfaces   map[string]string      // settings by surface
	upstreams  map[string]upstream.Upstream
	people     map[string]person // by the address the file has
	users      map[identity.UserID]person
	enrolments map[identity.UserID]map[client.ID]client.Enrolment
	aliases    map[client.ID]map[identity.UserID]string
	totp       map[identity.UserID]string
	pending    map[string]invite.Invite // by inviteKey
	made       map[string]invite.Invite // by id, those the file made

	orgs        map[string]storedOrg // by slug
	memberships map[identity.UserID]map[org.ID]org.Membership
	holders     map[client.ID]org.ID
	inTenants   []org.Org // an organization of each tenant that has some, as far as it takes to see whether one stays
}

// load reads the state that f is compared with; no f means that of Pull.
func load(ctx context.Context, tx *db.Tx, k *secret.Key, f *File, now time.Time) (*state, error) {
	s := &state{}
	for _, step := range []struct {
		what string
		read func() error
	}{
		{"what the file owns", func() error { return s.loadOwned(ctx, tx) }},
		{"clients", func() error { return s.loadClients(ctx, tx, k) }},
		{"upstreams", func() error { return s.loadUpstreams(ctx, tx, k) }},
		{"users", func() error { return s.loadUsers(ctx, tx, f) }},
		{"organizations", func() error { return s.loadOrgs(ctx, tx, k, f) }},
		{"second factors", func() error { return s.loadTOTP(ctx, tx, k, f) }},
		{"invitations", func() error { return s.loadInvites(ctx, tx, f, now) }},
	} {
		if err := step.read(); err != nil {
			return nil, fmt.Errorf("read %s: %w", step.what, err)
		}
	}
	return s, nil
}

func (s *state) loadOwned(ctx context.Context, tx *db.Tx) (err error) {
	if s.text, err = readOwned(ctx, tx); err != nil {
		return err
	}
	if s.owned, err = readsOwned(s.text); err != nil {
		return err
	}
	s.surfaces, err = surfaceTexts(ctx, tx)
	return err
}

func (s *state) loadClients(ctx context.Context, tx *db.Tx, k *secret.Key) error {
	tenants, _, err := client.Tenants(ctx, tx, "", math.MaxInt32, 0)
	if err != nil {
		return err
	}
	s.tenants = map[string]client.Tenant{}
	for _, t := range tenants {
		s.tenants[t.Slug] = t
	}
	if s.clients, _, err = client.List(ctx, tx, client.Filter{}); err != nil {
		return err
	}
	s.byKey, s.byID = map[string]client.Client{}, map[client.ID]client.Client{}
	for _, c := range s.clients {
		s.byID[c.ID] = c
		if c.Key != "" {
			s.byKey[c.Key] = c
		}
	}
	keys, err := jwks.Load(ctx, tx, k)
	s.shared, s.previous = map[client.ID]jwks.Key{}, map[client.ID]jwks.Key{}
	for _, key := range keys {
		switch {
		case key.ClientID == "", key.Alg != jwks.HS256: // no secret that anybody shares
		case key.State == jwks.Active:
			s.shared[key.ClientID] = key
		case key.State == jwks.Retired:
			s.previous[key.ClientID] = key
		}
	}
	return err
}

func (s *state) loadUsers(ctx context.Context, tx *db.Tx, f *File) error {
	s.people, s.users = map[string]person{}, map[identity.UserID]person{}
	known, err := byID(ctx, tx, slices.Sorted(maps.Keys(s.owned.Users)))
	if err != nil {
		return err
	}
	var named []person
	if f != nil {
		if named, err = byAddress(ctx, tx, f.addresses()); err != nil {
			return err
		}
	}
	for _, p := range named {
		s.people[p.address] = p
	}
	ids := []identity.UserID{}
	for _, p := range slices.Concat(known, named) {
		if _, twice := s.users[p.ID]; !twice {
			s.users[p.ID] = p
			ids = append(ids, p.ID)
		}
	}
	enrolments, err := client.EnrolmentsOf(ctx, tx, ids...)
	if err != nil {
		return err
	}
	s.enrolments = map[identity.UserID]map[client.ID]client.Enrolment{}
	for id, list := range enrolments {
		s.enrolments[id] = map[client.ID]client.Enrolment{}
		for _, e := range list {
			s.enrolments[id][e.ClientID] = e
		}
	}
	return s.loadAliases(ctx, tx, ids)
}

// addresses are all that f names, sorted, each once.
func (f *File) addresses() []string {
	var all []string
	for _, u := range f.Users {
		all = append(all, u.Email)
	}
	for _, i := range f.Invites {
		all = append(all, i.Email)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// loadTOTP opens the authenticators that the file names or brought, one by one:
// only their record can.
func (s *state) loadTOTP(ctx context.Context, tx *db.Tx, k *secret.Key, f *File) error {
	s.totp = map[identity.UserID]string{}
	want := map[identity.UserID]bool{}
	for id, u := range s.owned.Users {
		if _, there := s.users[id]; there && u.TOTP != nil {
			want[id] = true
		}
	}
	if f != nil {
		for _, u := range f.Users {
			if p, ok := s.people[u.Email]; ok && !u.TOTPSecret.IsZero() {
				want[p.ID] = true
			}
		}
	}
	for id := range want {
		base32, err := totp.Export(ctx, tx, k, id)
		if errors.Is(err, totp.ErrNotStarted) {
			continue
		}
		if err != nil {
			return err
		}
		s.totp[id] = base32
	}
	return nil
}

func (s *state) loadInvites(ctx context.Context, tx *db.Tx, f *File, now time.Time) error {
	s.pending, s.made = map[string]invite.Invite{}, map[string]invite.Invite{}
	made, err := invitesByID(ctx, tx, slices.Sorted(maps.Values(s.owned.Invites)), now)
	if err != nil {
		return err
	}
	for _, i := range made {
		s.made[i.ID] = i
	}
	if f == nil {
		return nil
	}
	byClient := map[client.ID][]string{}
	for _, in := range f.Invites {
		if o, ok := s.orgs[in.Org]; ok && in.Org != "" {
			if err := s.loadOrgInvite(ctx, tx, o.ID, in.Email, now); err != nil {
				return err
			}
		}
		if in.Org != "" {
			continue
		}
		if c, ok := s.find(f.client(in.Client)); ok {
			byClient[c.ID] = append(byClient[c.ID], in.Email)
		}
	}
	for id, addresses := range byClient {
		list, err := pendingInvites(ctx, tx, id, addresses, now)
		if err != nil {
			return err
		}
		for _, i := range list {
			if i.Status == invite.Pending {
				s.pending[inviteKey(i.ClientID, i.Email)] = i
			}
		}
	}
	return nil
}

// client is the client of the file with the key; Parse has made sure of it.
func (f *File) client(key string) *Client {
	i := slices.IndexFunc(f.Clients, func(c Client) bool { return c.Key == key })
	return &f.Clients[i]
}

// find returns the stored client that one of the file is: the one with its key,
// else the one with its id.
func (s *state) find(cl *Client) (client.Client, bool) {
	if c, ok := s.byKey[cl.ownKey()]; ok {
		return c, true
	}
	c, ok := s.byID[client.ID(cl.ID)]
	return c, ok
}
