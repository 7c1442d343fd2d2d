package keymaster_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/identity"
	"sallyport/internal/invite"
	"sallyport/internal/rig"
	"sallyport/internal/signin"
	"sallyport/internal/surface/keymaster"
	"sallyport/internal/wire"

	"github.com/pquerna/otp/totp"
)

// hooks are the steps of transcripts that no route of the surface takes.
func hooks(r *rig.Rig, api *keymaster.API) map[string]func(t *testing.T, vars map[string]string) {
	type vars = map[string]string
	byEmail := func(email string) (u identity.User) {
		r.Write(func(ctx context.Context, tx *db.Tx) (err error) {
			u, err = identity.ByEmail(ctx, tx, email)
			return err
		})
		return u
	}
	place := func(email, app string, s client.Status) func(*testing.T, vars) {
		return func(_ *testing.T, v vars) { r.Enrol(byEmail(email), client.Client{ID: client.ID(v[app])}, s, "user") }
	}
	invited := func(email, app, name string, roles ...string) func(*testing.T, vars) {
		return func(t *testing.T, v vars) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, code, err := invite.Create(ctx, tx, r.Key, invite.Invite{
					ClientID: client.ID(v[app]), Email: email, Roles: roles, InvitedBy: "test", ExpiresAt: r.Now().Add(7 * 24 * time.Hour),
				}, r.Now())
				v[name] = code
				return err
			})
		}
	}
	return map[string]func(*testing.T, vars){
		"suspend-tom":       place("tom@example.com", "demo", client.Suspended),
		"suspend-tom-plain": place("tom@example.com", "plain", client.Suspended),
		"unenrol-tom-plain": func(_ *testing.T, v vars) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return client.Remove(ctx, tx, identity.UserID(v["tom"]), client.ID(v["plain"]))
			})
		},
		"basic-auth": func(_ *testing.T, v vars) {
			v["basic"] = base64.StdEncoding.EncodeToString([]byte(v["machine"] + ":machine-secret"))
		},
		"fail-deliveries": func(*testing.T, vars) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE deliveries SET status = 'failed'`)
				return err
			})
		},
		"upper-case-id": func(_ *testing.T, v vars) { v["machine_upper"] = strings.ToUpper(v["machine"]) },
		"space-code": func(t *testing.T, v vars) {
			code, err := totp.GenerateCode(v["totp_secret"], r.Now())
			if err != nil {
				t.Fatal(err)
			}
			v["spaced"] = code[:3] + " " + code[3:4] + "-" + code[4:]
		},
		"leave-strict": func(_ *testing.T, v vars) {
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				return client.Remove(ctx, tx, identity.UserID(v["jane"]), client.ID(v["strict"]))
			})
		},
		// Jane gets a link, and somebody appears who has nothing but one.
		"link-google": func(t *testing.T, v vars) {
			demo := client.Client{ID: client.ID(v["demo"])}
			u := identity.User{ID: identity.NewUserID(), Email: "linked@example.com", DisplayName: "Lin Ked", Status: identity.Active, CreatedAt: r.Now()}
			r.Write(func(ctx context.Context, tx *db.Tx) error {
				if err := identity.Create(ctx, tx, u); err != nil {
					return err
				}
				for subject, owner := range map[string]identity.UserID{"1": u.ID, "2": identity.UserID(v["jane"])} {
					l := identity.Link{Issuer: "https://accounts.google.com", Subject: subject, UserID: owner, Upstream: "google", CreatedAt: r.Now()}
					if err := identity.AddLink(ctx, tx, l); err != nil {
						return err
					}
				}
				return nil
			})
			r.Enrol(u, demo, client.Active, "user")
			ctx := wire.WithMount(t.Context(), wire.Mount{Base: rig.Base, Secure: true})
			access, err := api.AccessToken(ctx, signin.SignedIn{
				User: u, Client: client.Client{ID: demo.ID, Policy: client.Policy{}.WithDefaults()}, AuthenticatedAt: r.Now(),
			})
			if err != nil {
				t.Fatal(err)
			}
			v["linked"], v["linked_access"] = string(u.ID), access
		},
		"invite-new":       invited("new@example.com", "members", "new_code", "user", "manager"),
		"invite-existing":  invited("outside@example.com", "members", "existing_code", "user"),
		"invite-tom":       invited("tom@example.com", "members", "tom_code", "user"),
		"invite-jane":      invited("jane@example.com", "members", "jane_code", "user"),
		"invite-unbound":   invited("", "members", "unbound_code", "user"),
		"invite-pending":   invited("pending@example.com", "approval", "pending_code", "user"),
		"invite-suspended": invited("suspended@example.com", "demo", "suspended_code", "user"),
		"invite-strict":    invited("strictnew@example.com", "strict", "strict_code", "user"),
		"invite-plain":     invited("other@example.com", "plain", "plain_code", "user"),

		"invite-club-new":           invited("new@example.com", "club", "club_code", "user", "manager"),
		"invite-club-other":         invited("other@example.com", "club", "other_code", "user"),
		"invite-club-tom":           invited("tom@example.com", "club", "tom_club_code", "user"),
		"invite-club-outside":       invited("outside@example.com", "club", "outside_club_code", "user"),
		"invite-strictclub-outside": invited("outside@example.com", "strictclub", "strict_outside_code", "user"),
		"enrol-outside-club":        place("outside@example.com", "club", client.Active),
		"suspend-outside-club":      place("outside@example.com", "club", client.Suspended),
	}
}
