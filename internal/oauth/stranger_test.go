package oauth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/fault"
	"sallyport/internal/oauth"
	"sallyport/internal/rig"
)

// tighten is what an operator decides about a client that added itself.
func (w town) tighten(id client.ID) {
	w.t.Helper()
	w.Write(func(ctx context.Context, tx *db.Tx) error {
		cl, err := client.ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		cl.Policy.Registration, cl.Policy.SecondFactor, cl.Policy.Methods = client.Invite, client.FactorRequired, []string{client.MethodPassword}
		cl.Policy.AccessToken.Lifetime = client.Duration(time.Minute)
		return client.Update(ctx, tx, cl, w.Now())
	})
}

func tight(p client.Policy) bool {
	return p.Registration == client.Invite && p.SecondFactor == client.FactorRequired && slices.Equal(p.Methods, []string{client.MethodPassword}) &&
		p.AccessToken.Lifetime.D() == time.Minute && p.OAuth.Consent == client.ConsentRequired
}

// A client gets rid of nothing that the operator decided about it by describing
// itself anew.
func TestDescriptionsLeaveTheOperatorsDecisions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := registering(t, d)
		w.Settings.ClientDocuments = true
		made := w.register(publicClient)
		w.tighten(made.Client.ID)
		_, err := w.OAuth.UpdateRegistration(t.Context(), oauth.ManageIn{ClientID: string(made.Client.ID), Token: made.Token, Visitor: visitor,
			Metadata: []byte(`{"client_id":"` + string(made.Client.ID) + `","redirect_uris":["https://new.example/"],"token_endpoint_auth_method":"none"}`)})
		if err != nil {
			t.Fatal(err)
		}
		if p := w.stored(made.Client.ID).Policy; !tight(p) || p.RedirectURIs[0] != "https://new.example/" {
			t.Errorf("after an update: %+v", p)
		}

		s := newSite(t)
		id := s.json("/client", notes)
		for _, body := range []string{notes, notes, `{"client_id":"<self>","redirect_uris":["https://new.example/"]}`} {
			s.json("/client", body)
			w.Advance(time.Hour)
			cl, err := w.OAuth.ClientByID(t.Context(), id, visitor)
			if err != nil {
				t.Fatal(err)
			}
			if tight(cl.Policy) {
				continue
			}
			if cl.UpdatedAt != cl.CreatedAt {
				t.Errorf("after it was read again: %+v", cl.Policy)
			}
			w.tighten(cl.ID)
		}
		if p := w.stored(client.ID(id)).Policy; !tight(p) || p.RedirectURIs[0] != "https://new.example/" {
			t.Errorf("after another document: %+v", p)
		}
	})
}

// What the operator switched off does not come back switched on, because nobody
// asked for it in a while.
func TestDocumentClientThatWasSwitchedOffStaysSo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, s := describing(t, d)
		id := s.json("/client", notes)
		cl, err := r.OAuth.ClientByID(t.Context(), id, visitor)
		if err != nil {
			t.Fatal(err)
		}
		cl.Active = false
		r.Write(func(ctx context.Context, tx *db.Tx) error { return client.Update(ctx, tx, cl, r.Now()) })
		r.Advance(30 * 24 * time.Hour)
		r.Write(func(ctx context.Context, tx *db.Tx) error {
			_, err := client.SweepDocuments(ctx, tx, r.Now(), 10)
			return err
		})
		if cl, err := r.OAuth.ClientByID(t.Context(), id, visitor); err != nil || cl.Active {
			t.Errorf("active %t, %v", cl.Active, err)
		}
	})
}

// A stranger names another's address, and gets tokens by the device flow, where
// nothing goes to that address: it must not learn whom the other one knows.
func TestDeviceFlowLearnsNobodyElsesPairwiseSubjects(t *testing.T) {
	w := newTown(t, dbtest.SQLite(t))
	pairwise := func(s client.Source, grants ...string) client.Client {
		return client.Client{ID: client.NewID(), Source: s, Policy: client.Policy{
			RedirectURIs: []string{"https://clinic.example/cb"}, Grants: grants, OAuth: client.OAuth{SubjectType: client.SubjectPairwise},
		}}
	}
	theirs := w.OAuth.Subject(pairwise(client.Dynamic, client.GrantCode), w.jane.ID)
	thief := pairwise(client.Dynamic, client.GrantCode, client.GrantDevice)
	if w.OAuth.Subject(thief, w.jane.ID) == theirs {
		t.Error("by a redirect URI of theirs")
	}
	thief.Policy.RedirectURIs, thief.Policy.OAuth.SectorIdentifierURI = nil, "https://clinic.example/any-list.json"
	if w.OAuth.Subject(thief, w.jane.ID) == theirs {
		t.Error("by a list of theirs")
	}
	if w.OAuth.Subject(pairwise(client.Operator, client.GrantCode, client.GrantDevice), w.jane.ID) != theirs {
		t.Error("the operator's own are of a sector with it")
	}
}

// A site that somebody merely passes through learns nothing of who they are.
func TestPromptNoneTellsNothingOfWhoNeverAgreed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newGate(t, d)
		w.Enrol(w.otto, w.native, client.Suspended)
		for _, u := range []struct {
			name, cookie string
		}{{"Jane", w.signIn(w.jane)}, {"Otto", w.signIn(w.otto)}} {
			for _, claims := range []string{"", `{"id_token":{"sub":{"value":"` + string(w.jane.ID) + `"}}}`, `{"id_token":{"acr":{"essential":true,"value":"2"}}}`} {
				d := w.decide(wanting(w.native, "prompt", "none", "claims", claims), u.cookie)
				w.wantNext(u.name+" "+claims, d, nil, oauth.ConsentRequired)
			}
		}
	})
}

// As a public client anybody may push: that cuts nobody else off.
func TestStrangersDoNotUseUpWhatAPublicClientMayPush(t *testing.T) {
	w := newTown(t, dbtest.SQLite(t))
	push := func(ip string) error {
		from := visitor
		from.IP, from.Base = ip, rig.Base
		_, _, err := w.OAuth.Push(t.Context(), oauth.PushIn{
			Params: wanting(w.spa), Auth: oauth.ClientAuth{ID: string(w.spa.ID), Endpoint: rig.Base + "/oauth2/par", Visitor: from},
		})
		return err
	}
	var err error
	for n := 0; err == nil && n < 700; n++ {
		err = push("198.51.100.7")
	}
	if !fault.Is(err, fault.RateLimited) {
		t.Fatalf("got %v, want a limit", err)
	}
	if err := push("203.0.113.9"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}
