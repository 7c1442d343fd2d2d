package pages

import (
	"cmp"
	"net/http"
	"time"

	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/saml"
	"sallyport/internal/secret"
	"sallyport/internal/wire"
)

// The set-up of an organization's own sign-in, by its IT administrator, who has no
// account here: a link that the operator or an owner made opens these pages in one
// browser, until it ends or is taken back.
//
//	/setup?token= ──▶ cookie ──▶ /setup ──▶ the first step that is owed
//
//	/setup/provider ▶ ours ▶ theirs ▶ domain ▶ test ▶ on ▶ directory
//
// Each step is a page of its own, kept when it is posted, and may be gone back to.
// What a step may do is judged by enterprise.Core each time, which is shown the
// secret of the link.

// SetupCookie is the name of the cookie that keeps the secret of a set-up link.
const SetupCookie = "sp_setup"

// setupRoutes are the routes of the set-up.
func (p *Pages) setupRoutes() []wire.Route {
	routes := []wire.Route{
		{Method: "GET", Pattern: "/setup", Handler: p.setup},
		{Method: "POST", Pattern: "/setup/theirs", Handler: p.setupForm(saml.MaxMetadata+wire.MaxBody, p.postTheirs)},
		{Method: "POST", Pattern: "/setup/domain", Handler: p.setupForm(wire.MaxBody, p.postDomain)},
		{Method: "POST", Pattern: "/setup/test", Handler: p.setupForm(wire.MaxBody, p.postTest)},
		{Method: "POST", Pattern: "/setup/on", Handler: p.setupForm(wire.MaxBody, p.postOn)},
		{Method: "POST", Pattern: "/setup/directory", Handler: p.setupForm(wire.MaxBody, p.postDirectory)},
	}
	for _, s := range setupSteps {
		routes = append(routes, wire.Route{Method: "GET", Pattern: setupAt(s.key), Handler: p.setupPage(s.page)})
	}
	return routes
}

// admin is the IT administrator behind a request. Without a link it is nobody, and no
// member either.
func admin(r *http.Request) enterprise.Actor {
	o := wire.OriginOf(r.Context())
	return enterprise.Actor{Setup: cmp.Or(wire.Cookie(r, SetupCookie), "none"), IP: o.IP, RequestID: o.RequestID, Base: wire.MountOf(r.Context()).Base}
}

// setup is GET /setup: the link itself, which only opens, and so may be followed by
// whatever looks at a mail; then the step that is owed.
func (p *Pages) setup(w http.ResponseWriter, r *http.Request) {
	q := wire.Query(r)
	who := admin(r)
	opens := q.Has("token")
	if opens {
		who.Setup = q.String("token", wire.Max(maxSecret))
	}
	if opens {
		at, err := p.Enterprise.OpenSetup(r.Context(), who)
		if err != nil {
			p.noSetup(w, r, err)
			return
		}
		wire.SetCookie(w, r, SetupCookie, who.Setup, at.Until.Sub(p.Now()))
		redirect(w, wire.MountOf(r.Context()).Path+"/setup")
		return
	}
	at, err := p.Enterprise.View(r.Context(), who, "")
	if err != nil {
		p.noSetup(w, r, err)
		return
	}
	redirect(w, wire.MountOf(r.Context()).Path+owed(at))
}

// maxSecret is longer than any secret of ours.
const maxSecret = 200

// noSetup says that the link is none, or none any more.
func (p *Pages) noSetup(w http.ResponseWriter, r *http.Request, err error) {
	if !fault.Is(err, fault.SetupLinkInvalid) {
		p.fail(w, r, err)
		return
	}
	p.message(w, r, http.StatusNotFound, "This link does not work any more",
		"It has ended, or a newer one was made. What you entered is kept: ask whoever sent you the link for a new one, and go on where you were.")
}

// owed is the first step that is not done.
func owed(at enterprise.View) string {
	for _, s := range stepsOf(at, "") {
		if s.State != stepDone && s.Path != setupAt("ours") && s.Path != setupAt("theirs") {
			return s.Path
		}
	}
	return setupAt("on")
}

// setupPage shows a step.
func (p *Pages) setupPage(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at, err := p.Enterprise.View(r.Context(), admin(r), "")
		if err != nil {
			p.noSetup(w, r, err)
			return
		}
		p.showSetup(w, r, http.StatusOK, name, view{}, at, setupData{})
	}
}

// setupForm reads the form of a step, of at most limit bytes, which is good for the
// link that it was shown by.
func (p *Pages) setupForm(limit int64, next func(http.ResponseWriter, *http.Request, *wire.Params, enterprise.View)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := wire.ReadUpload(w, r, limit)
		if !p.checkForm(w, r, in, err, wire.Cookie(r, SetupCookie)) {
			return
		}
		at, err := p.Enterprise.View(r.Context(), admin(r), "")
		if err != nil {
			p.noSetup(w, r, err)
			return
		}
		next(w, r, in, at)
	}
}

// showSetup shows a step as an organization stands. d holds what was typed, and what
// came of it.
func (p *Pages) showSetup(w http.ResponseWriter, r *http.Request, status int, name string, v view, at enterprise.View, d setupData) {
	key := keyOfPage(name)
	if d.Provider.Key == "" {
		d.Provider, _ = providerOf(wire.Query(r).String("provider"))
	}
	stored := at.Connection != nil
	if d.Provider.Key == "" && stored {
		d.Provider = connected(*at.Connection)
	}
	d.Steps = stepsOf(at, d.Provider.Key)
	for i := range d.Steps {
		if d.Steps[i].Path == setupAt(key) {
			d.Steps[i].Here, d.N = true, i+1
		}
	}
	if d.Steps[d.N-1].State == stepLater {
		redirect(w, wire.MountOf(r.Context()).Path+"/setup")
		return
	}
	if d.Provider.Key != "" && (!stored || d.Provider != connected(*at.Connection)) { // one that is chosen, and not stored yet
		for i := range d.Steps {
			if k := d.Steps[i].Path; k == setupAt("ours") || k == setupAt("theirs") {
				d.Steps[i].Path = wire.WithQuery(k, "provider", d.Provider.Key)
			}
		}
	}
	d.Org, d.Until, d.Connected = at.Org.Name, day(at.Until), stored
	d.Verified = verifiedOf(at) != nil
	d.Tested = tested(at)
	p.fillStep(r, name, at, &d)
	v.Title, v.Data, v.bind = setupTitle(name, d), d, []string{wire.Cookie(r, SetupCookie)}
	if v.Notice == "" && r.Method == http.MethodGet {
		v.Notice = setupNotices[wire.Query(r).String("done")]
	}
	p.show(w, r, status, name, v)
}

// setupFailed shows a step once more with why it is not done, in words of its own if
// there are any.
func (p *Pages) setupFailed(w http.ResponseWriter, r *http.Request, name string, at enterprise.View, d setupData, err error) {
	f, ok := wire.Fault(err)
	switch {
	case !ok:
		p.crash(w, r, err)
		return
	case f.Code == fault.SetupLinkInvalid:
		p.noSetup(w, r, err)
		return
	}
	retryAfter(w, f)
	p.showSetup(w, r, statusOf(f), name, view{Error: setupWords(f, d.Provider)}, at, d)
}

// setupDone goes to a step, and has it say what was done.
func (p *Pages) setupDone(w http.ResponseWriter, r *http.Request, key, done string) {
	redirect(w, wire.MountOf(r.Context()).Path+setupAt(key, "done", done))
}

// day is a day as people write it.
func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// domainID is an id for the fields of a domain, which may hold any letters.
func domainID(name string) string { return "d-" + secret.Fingerprint([]byte(name))[:8] }
