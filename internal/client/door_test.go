package client_test

import (
	"testing"

	"sallyport/internal/client"
)

func TestDoor(t *testing.T) {
	const ours, other = "jane@acme.com", "jane@mail.acme.com"
	for _, c := range []struct {
		registration client.Registration
		email        string
		verified     bool
		want         client.Status
	}{
		{client.Open, ours, true, client.Active}, {client.Open, other, false, client.Active}, {client.Open, "", false, client.Active},
		{client.Approval, ours, true, client.Active}, {client.Approval, ours, false, client.Pending}, {client.Approval, other, true, client.Pending}, {client.Approval, "", false, client.Pending},
		{client.Invite, ours, true, client.Active}, {client.Invite, ours, false, client.Pending}, {client.Invite, other, true, ""}, {client.Invite, "", false, ""},
	} {
		p := client.Policy{Registration: c.registration, AllowedDomains: []string{"acme.com"}}
		if got := p.Door(c.email, c.verified); got != c.want {
			t.Errorf("%s, %q, verified %v: got %q, want %q", c.registration, c.email, c.verified, got, c.want)
		}
		if p.Closed() {
			t.Errorf("%s with an allowed domain is closed", c.registration)
		}
		if p.AllowedDomains = nil; p.Closed() != (c.registration == client.Invite) {
			t.Errorf("%s without one: closed is %v", c.registration, p.Closed())
		}
	}
}
