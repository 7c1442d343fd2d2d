package self_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/apikey"
	"sallyport/internal/audit"
	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/org"
	"sallyport/internal/self"
	"sallyport/internal/session"
)

var scopes = []string{"user:read", "user:write", "projects:read", "api-keys:read", "api-keys:write"}

// makeKey makes an API key of a member's with all scopes, but as change says.
func (f firm) makeKey(who self.Caller, change func(*self.APIKeyIn)) (apikey.Key, string) {
	f.Helper()
	in := self.APIKeyIn{ClientID: f.app.ID, Prefix: "ba_", Name: "CI", Scopes: scopes, Grantable: scopes}
	if change != nil {
		change(&in)
	}
	k, raw, err := f.Self.CreateAPIKey(f.Context(), who, in)
	if err != nil {
		f.Fatal(err)
	}
	return k, raw
}

func (f firm) shows(raw string) (self.Caller, error) {
	return f.Self.ByAPIKey(f.Context(), self.KeyIn{ClientID: f.app.ID, Text: raw, IP: "192.0.2.9", RequestID: "r1"})
}

// holder is the caller who shows a key that is good.
func (f firm) holder(raw string) self.Caller {
	f.Helper()
	who, err := f.shows(raw)
	if err != nil {
		f.Fatal(err)
	}
	return who
}

func TestAPIKeyStandsForItsOwnerWithinItsScopes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		member := f.member
		member.Session = session.Session{ID: "s1", AMR: []string{"pwd", "otp"}, Upstream: "google"}
		k, raw := f.makeKey(member, func(in *self.APIKeyIn) { in.Scopes = []string{"user:read", "user:read"} })
		who := f.holder(raw)
		if who.UserID != member.UserID || who.Key != k.ID || who.Org != "" || !slices.Equal(who.Scopes, []string{"user:read"}) ||
			who.Session.ID != "" || !who.Session.Has("otp") || who.Session.Upstream != "google" || !who.AuthenticatedAt.IsZero() || who.IP != "192.0.2.9" {
			t.Errorf("got %+v", who)
		}
		if !who.Covers("user:read") || who.Covers("user:read", "user:write") || !member.Covers(scopes...) {
			t.Error("scopes are judged wrong")
		}
		if got, err := f.Self.APIKey(t.Context(), member, k.ID); err != nil || !got.UsedAt.Equal(f.Now()) {
			t.Errorf("use: got %v, %v", got.UsedAt, err)
		}
		if text, ok := f.Mail("member@example.com"); !ok || !strings.Contains(text, "API key") {
			t.Errorf("the owner was told %q", text)
		}
	})
}

func TestAPIKeyWithoutScopesReads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		k, _ := f.makeKey(f.member, func(in *self.APIKeyIn) { in.Scopes = nil })
		if want := []string{"user:read", "projects:read", "api-keys:read"}; !slices.Equal(k.Scopes, want) {
			t.Errorf("got %v, want %v", k.Scopes, want)
		}
	})
}

func TestAPIKeyThatIsNotGoodIsOneAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		other := f.Client("Other", nil)
		made := func(change func(*self.APIKeyIn)) string { _, raw := f.makeKey(f.member, change); return raw }
		expired := made(func(in *self.APIKeyIn) { in.Lifetime = time.Minute })
		off, offRaw := f.makeKey(f.member, nil)
		if _, err := f.Self.UpdateAPIKey(t.Context(), f.member, off.ID, self.APIKeyChange{Enabled: new(false)}); err != nil {
			t.Fatal(err)
		}
		deleted, deletedRaw := f.makeKey(f.member, nil)
		if err := f.Self.DeleteAPIKey(t.Context(), f.member, deleted.ID); err != nil {
			t.Fatal(err)
		}
		f.Advance(time.Minute)
		for name, raw := range map[string]string{
			"nothing": "", "made up": "ba_" + strings.Repeat("0", 64), "expired": expired, "switched off": offRaw, "deleted": deletedRaw,
			"another client's": made(func(in *self.APIKeyIn) { in.ClientID = other.ID }), "the id": string(off.ID),
		} {
			who, err := f.shows(raw)
			is(t, name, err, fault.KeyInvalid)
			if who.UserID != "" {
				t.Errorf("%s: a caller came with the refusal", name)
			}
		}
	})
}

func TestAPIKeyRestsWhileItsOwnerMayNotAct(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, raw := f.makeKey(f.member, nil)
		enrol := func(s client.Status) { f.Enrol(identity.User{ID: f.member.UserID}, f.app, s, "user") }
		status := func(s identity.Status) {
			f.Write(func(ctx context.Context, tx *db.Tx) error {
				return identity.SetStatus(ctx, tx, f.member.UserID, s, f.Now())
			})
		}
		for name, c := range map[string]struct{ do, undo func() }{
			"suspended":           {func() { status(identity.Suspended) }, func() { status(identity.Active) }},
			"disabled":            {func() { status(identity.Disabled) }, func() { status(identity.Active) }},
			"suspended in client": {func() { enrol(client.Suspended) }, func() { enrol(client.Active) }},
			"waiting":             {func() { enrol(client.Pending) }, func() { enrol(client.Active) }},
		} {
			c.do()
			_, err := f.shows(raw)
			is(t, name, err, fault.EnrolmentSuspended)
			c.undo()
			f.holder(raw)
		}
	})
}

// A key that somebody found must not outlive its deletion by others that it made.
func TestAPIKeyMakesNoOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, raw := f.makeKey(f.member, nil)
		_, _, err := f.Self.CreateAPIKey(t.Context(), f.holder(raw), self.APIKeyIn{ClientID: f.app.ID, Prefix: "ba_", Name: "Mine", Scopes: []string{"user:read"}, Grantable: scopes})
		is(t, "a key by a key", err, fault.Forbidden)
		if _, n, err := f.Self.APIKeys(t.Context(), f.member, self.Page{Number: 1, Size: 10}); err != nil || n != 1 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}

func TestScopesNeverWiden(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		token := f.member
		token.Scopes = []string{"api-keys:write", "user:read"}
		for name, c := range map[string]struct {
			who    self.Caller
			scopes []string
		}{
			"more than the token": {token, []string{"user:read", "user:write"}}, "unknown": {f.member, []string{"user:admin"}},
			"of a role": {f.owner, []string{"organization:read"}}, "empty": {f.member, []string{""}}, "two in one": {f.member, []string{"user:read user:write"}},
		} {
			_, _, err := f.Self.CreateAPIKey(t.Context(), c.who, self.APIKeyIn{ClientID: f.app.ID, Prefix: "ba_", Name: "x", Scopes: c.scopes, Grantable: scopes})
			is(t, name, err, fault.ScopeInvalid)
		}
		if k, _ := f.makeKey(token, func(in *self.APIKeyIn) { in.Scopes = nil }); !slices.Equal(k.Scopes, []string{"user:read"}) {
			t.Errorf("by default a token's key has %v", k.Scopes)
		}
		// A narrow key that may write keys does not wake a wide one that its owner put
		// to sleep.
		wide, _ := f.makeKey(f.member, nil)
		_, raw := f.makeKey(f.member, func(in *self.APIKeyIn) { in.Scopes = []string{"api-keys:write"} })
		narrow := f.holder(raw)
		if _, err := f.Self.UpdateAPIKey(t.Context(), narrow, wide.ID, self.APIKeyChange{Enabled: new(false)}); err != nil {
			t.Fatal(err)
		}
		_, err := f.Self.UpdateAPIKey(t.Context(), narrow, wide.ID, self.APIKeyChange{Enabled: new(true)})
		is(t, "switched on by a narrow key", err, fault.Forbidden)
		if k, err := f.Self.UpdateAPIKey(t.Context(), f.member, wide.ID, self.APIKeyChange{Enabled: new(true)}); err != nil || !k.Enabled {
			t.Errorf("switched on by its owner: %v, %v", k.Enabled, err)
		}
	})
}

func TestPinnedKeyIsGoodInOneOrganization(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		var other org.ID
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			s, err := org.Found(ctx, tx, org.Org{Name: "Other"}, f.owner.UserID, f.Now())
			other = s.OrgID
			return err
		})
		pinned, raw := f.makeKey(f.owner, func(in *self.APIKeyIn) { in.Org = f.id })
		free, _ := f.makeKey(f.owner, nil)
		who := f.holder(raw)
		if _, err := f.Self.AccountByID(t.Context(), who, f.id); err != nil {
			t.Errorf("where it is pinned: %v", err)
		}
		for name, try := range map[string]func() error{
			"read": func() error { _, err := f.Self.AccountByID(t.Context(), who, other); return err },
			"change": func() error {
				_, err := f.Self.UpdateAccount(t.Context(), who, other, self.AccountChange{Name: new("x")})
				return err
			},
			"delete": func() error { return f.Self.DeleteAccount(t.Context(), who, other) },
			"remove": func() error { return f.Self.RemoveMember(t.Context(), who, other, f.owner.UserID) },
			"none":   func() error { _, err := f.Self.AccountByID(t.Context(), who, "nothing"); return err },
		} {
			is(t, name+" elsewhere", try(), fault.KeyPinned)
		}
		_, _, err := f.Self.CreateAPIKey(t.Context(), f.stranger, self.APIKeyIn{ClientID: f.app.ID, Prefix: "ba_", Name: "x", Grantable: scopes, Org: f.id})
		is(t, "pinned to an organization of others", err, fault.OrgUnknown)

		all, n, err := f.Self.APIKeys(t.Context(), who, self.Page{Number: 1, Size: 10})
		if err != nil || n != 1 || len(all) != 1 || all[0].ID != pinned.ID {
			t.Errorf("a pinned key sees %+v of %d, %v", all, n, err)
		}
		is(t, "a pinned key deletes another", f.Self.DeleteAPIKey(t.Context(), who, free.ID), fault.APIKeyUnknown)
	})
}

func TestAPIKeysOfOthersAreUnknown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		k, raw := f.makeKey(f.member, nil)
		for name, who := range map[string]self.Caller{"a stranger": f.stranger, "the owner of the organization": f.owner} {
			_, err := f.Self.APIKey(t.Context(), who, k.ID)
			is(t, name+" reads", err, fault.APIKeyUnknown)
			_, err = f.Self.UpdateAPIKey(t.Context(), who, k.ID, self.APIKeyChange{Enabled: new(false)})
			is(t, name+" changes", err, fault.APIKeyUnknown)
			is(t, name+" deletes", f.Self.DeleteAPIKey(t.Context(), who, k.ID), fault.APIKeyUnknown)
			if all, n, err := f.Self.APIKeys(t.Context(), who, self.Page{Number: 1, Size: 10}); err != nil || n != 0 || len(all) != 0 {
				t.Errorf("%s sees %d, %v", name, n, err)
			}
		}
		_, err := f.Self.APIKey(t.Context(), f.member, "nothing")
		is(t, "none", err, fault.APIKeyUnknown)
		f.holder(raw)
	})
}

func TestAPIKeysOwnWordsAreBounded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		for field, all := range map[string][]func(*self.APIKeyIn){
			"name": {
				func(in *self.APIKeyIn) { in.Name = "" }, func(in *self.APIKeyIn) { in.Name = " \t" }, func(in *self.APIKeyIn) { in.Name = "a\x00b" },
				func(in *self.APIKeyIn) { in.Name = strings.Repeat("é", 101) }, func(in *self.APIKeyIn) { in.Name = "\xff" },
			},
			"expiresIn": {func(in *self.APIKeyIn) { in.Lifetime = -time.Second }, func(in *self.APIKeyIn) { in.Lifetime = self.MaxKeyLifetime + 1 }},
			"metadata": {
				func(in *self.APIKeyIn) { in.Metadata = json.RawMessage(`[]`) }, func(in *self.APIKeyIn) { in.Metadata = json.RawMessage(`null`) },
				func(in *self.APIKeyIn) { in.Metadata = json.RawMessage(`{"a":"` + strings.Repeat("x", 4<<10) + `"}`) },
			},
		} {
			for i, change := range all {
				in := self.APIKeyIn{ClientID: f.app.ID, Prefix: "ba_", Name: "x", Grantable: scopes}
				change(&in)
				_, _, err := f.Self.CreateAPIKey(t.Context(), f.member, in)
				if e, ok := fault.From(err); !ok || e.Code != fault.FieldInvalid || e.Field != field {
					t.Errorf("%s %d: got %v", field, i, err)
				}
			}
		}
		k, _ := f.makeKey(f.member, func(in *self.APIKeyIn) {
			in.Name, in.Metadata, in.Lifetime = " "+strings.Repeat("é", 100)+" ", json.RawMessage(`{"a":1}`), self.MaxKeyLifetime
		})
		if k.Name != strings.Repeat("é", 100) || string(k.Metadata) != `{"a":1}` || !k.ExpiresAt.Equal(f.Now().Add(self.MaxKeyLifetime)) {
			t.Errorf("got %+v", k)
		}
	})
}

func TestWhatIsDoneToAPIKeysIsOnRecord(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		k, raw := f.makeKey(f.member, func(in *self.APIKeyIn) { in.Org = f.id })
		for _, name := range []string{"Deploy", "Deploy"} { // the second changes nothing
			if _, err := f.Self.UpdateAPIKey(t.Context(), f.member, k.ID, self.APIKeyChange{Name: &name}); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Self.DeleteAPIKey(t.Context(), f.member, k.ID); err != nil {
			t.Fatal(err)
		}
		f.Write(func(ctx context.Context, tx *db.Tx) error {
			all, _, err := audit.List(ctx, tx, audit.Filter{UserID: f.member.UserID, Limit: 10})
			var got []audit.Action
			for _, e := range all {
				got = append(got, e.Action)
				if e.Detail["key"] != string(k.ID) || e.Detail["org"] != string(f.id) {
					t.Errorf("%s: detail %v", e.Action, e.Detail)
				}
				for name, v := range e.Detail {
					if s, _ := v.(string); strings.Contains(s, raw[9:]) {
						t.Errorf("%s: the key is in %s", e.Action, name)
					}
				}
			}
			if want := []audit.Action{audit.APIKeyDeleted, audit.APIKeyUpdated, audit.APIKeyCreated}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			return err
		})
	})
}
