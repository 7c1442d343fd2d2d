package admin

import (
	"context"
	"time"

	"sallyport/internal/enterprise"
	"sallyport/internal/org"
	"sallyport/internal/sso"
)

type claimIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Body struct {
		Name   string `json:"name" minLength:"1" maxLength:"253"`
		Verify bool   `json:"verify,omitempty"`
	}
}

type claimOut struct{ Body domain }

func (a *API) claim(ctx context.Context, in *claimIn) (*claimOut, error) {
	out := &claimOut{}
	err := a.in(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		d, err := a.Enterprise.AddDomain(ctx, who, id, in.Body.Name)
		if err == nil && in.Body.Verify {
			d, err = a.Enterprise.VerifyDomain(ctx, who, id, in.Body.Name)
		}
		out.Body = domainOf(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type disclaimIn struct {
	Org    string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Domain string `path:"domain" maxLength:"253"`
}

func (a *API) disclaim(ctx context.Context, in *disclaimIn) (*ssoOut, error) {
	return a.view(ctx, in.Org, func(who enterprise.Actor, id org.ID) error { return a.Enterprise.RemoveDomain(ctx, who, id, in.Domain) })
}

type setupLink struct {
	ID        string     `json:"id" format:"uuid"`
	URL       string     `json:"url,omitempty" doc:"Shown when it is made, and never again"`
	Email     string     `json:"email,omitempty" doc:"Where it was mailed to"`
	OpenedAt  *time.Time `json:"opened_at" doc:"When it was used first"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
}

func setupLinkOf(l sso.SetupLink) setupLink {
	out := setupLink{ID: l.ID, Email: l.Email, CreatedAt: l.CreatedAt.UTC(), ExpiresAt: l.ExpiresAt.UTC()}
	if !l.OpenedAt.IsZero() {
		out.OpenedAt = new(l.OpenedAt.UTC())
	}
	return out
}

type setupLinksOut struct {
	Body struct {
		Links []setupLink `json:"links" nullable:"false"`
	}
}

func (a *API) setupLinks(ctx context.Context, in *orgIn) (*setupLinksOut, error) {
	return a.links(ctx, in.Org, func(enterprise.Actor, org.ID) error { return nil })
}

// links answers with an organization's links after fn.
func (a *API) links(ctx context.Context, name string, fn func(enterprise.Actor, org.ID) error) (*setupLinksOut, error) {
	out := &setupLinksOut{}
	out.Body.Links = []setupLink{}
	err := a.in(ctx, name, func(who enterprise.Actor, id org.ID) error {
		if err := fn(who, id); err != nil {
			return err
		}
		all, err := a.Enterprise.SetupLinks(ctx, who, id)
		for _, l := range all {
			out.Body.Links = append(out.Body.Links, setupLinkOf(l))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type makeSetupLinkIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Body struct {
		Hours int    `json:"hours,omitempty" minimum:"1" maximum:"720" doc:"How long it is good; a week if left out"`
		Email string `json:"email,omitempty" maxLength:"254" doc:"Whom to mail it to, if anybody"`
	}
}

type setupLinkOut struct{ Body setupLink }

func (a *API) makeSetupLink(ctx context.Context, in *makeSetupLinkIn) (*setupLinkOut, error) {
	out := &setupLinkOut{}
	err := a.in(ctx, in.Org, func(who enterprise.Actor, id org.ID) error {
		l, err := a.Enterprise.MakeSetupLink(ctx, who, id, enterprise.SetupIn{For: time.Duration(in.Body.Hours) * time.Hour, Email: in.Body.Email})
		out.Body = setupLinkOf(l.SetupLink)
		out.Body.URL = l.URL
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type endSetupLinkIn struct {
	Org  string `path:"org" maxLength:"63" doc:"Its id or slug"`
	Link string `path:"link" maxLength:"36"`
}

func (a *API) endSetupLink(ctx context.Context, in *endSetupLinkIn) (*setupLinksOut, error) {
	return a.links(ctx, in.Org, func(who enterprise.Actor, id org.ID) error { return a.Enterprise.EndSetupLink(ctx, who, id, in.Link) })
}
