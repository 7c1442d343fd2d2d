package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sallyport/internal/admin"
	"sallyport/internal/client"
	"sallyport/internal/fault"
	"sallyport/internal/identity"
	"sallyport/internal/wire"
)

// queueRoutes are the queue of who may come in.
func (a *API) queueRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-queue", Method: http.MethodGet, Path: "/admin/v1/queue", Tags: []string{"Queue"},
		Summary:     "Who waits",
		Description: "Everybody who waits to be let in where you may decide: for a place in a client, or for a feature. Who waits longest comes first.",
		Errors:      []int{400, 401, 403, 404, 422, 503},
	}, a.queue)
	post := func(id, path, summary, description string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: "/admin/v1/queue/" + path, Tags: []string{"Queue"}, Summary: summary, Description: description,
			MaxBodyBytes: wire.MaxBody, Errors: []int{400, 401, 403, 404, 413, 415, 422, 503},
		}
	}
	huma.Register(api, post("decide-queue", "decisions", "Let in, or turn away",
		"Decides about each of those named, and says of each what became of it. Who is let in is mailed. The same request again changes nothing and mails nobody: who does not wait any more is not_waiting."), a.decide)
	huma.Register(api, post("decide-next", "next", "Let in the next n",
		"Lets in those who wait longest for one client. The same request again lets in the next n: to be able to repeat it, list them first and name them."), a.next)
	huma.Register(api, post("notify-queue", "notify", "Tell that they still wait",
		"Mails those named that they are not forgotten, nobody more than once a day."), a.notify)
}

// maxPage keeps the offset of a page within reason.
const maxPage = 1 << 20

type queueIn struct {
	Client  string `query:"client" format:"uuid" doc:"Who waits for this client"`
	Kind    string `query:"kind" enum:"place,feature" doc:"Who waits for a place in a client, or for a feature"`
	Feature string `query:"feature" maxLength:"64" doc:"Who waits for this feature"`
	State   string `query:"state" enum:"new,told" doc:"Who has not been told that they wait, or has"`
	Search  string `query:"search" maxLength:"200" doc:"In whose address or name this is, as it stands"`
	Page    int    `query:"page" minimum:"1" maximum:"1048576" default:"1"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type person struct {
	ID    identity.UserID `json:"id" format:"uuid"`
	Email string          `json:"email"`
	Name  string          `json:"name"`
}

type waiting struct {
	ID      string     `json:"id" doc:"What to name them by in a decision"`
	Kind    string     `json:"kind" enum:"place,feature"`
	Client  client.ID  `json:"client" format:"uuid"`
	User    person     `json:"user"`
	Feature string     `json:"feature,omitempty" doc:"What they wait for, of kind feature"`
	Account string     `json:"account,omitempty" doc:"The account in which they wait for it"`
	Since   time.Time  `json:"since"`
	ToldAt  *time.Time `json:"told_at" doc:"When they were last told that they wait"`
}

type queueOut struct {
	Body struct {
		Waiting []waiting `json:"waiting" nullable:"false"`
		Total   int       `json:"total"`
		Page    int       `json:"page"`
		Limit   int       `json:"limit"`
	}
}

func (a *API) queue(ctx context.Context, in *queueIn) (*queueOut, error) {
	id, err := clientOf(in.Client)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	which := admin.QueueIn{
		ClientID: id, Places: in.Kind == "place", Features: in.Kind == "feature", Feature: in.Feature, Search: in.Search,
		Page: admin.Page{Number: min(in.Page, maxPage), Size: in.Limit},
	}
	if in.State != "" {
		which.Told = new(in.State == "told")
	}
	all, total, err := a.Admin.Queue(ctx, caller(ctx), which)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &queueOut{}
	out.Body.Waiting = make([]waiting, len(all))
	for i, w := range all {
		out.Body.Waiting[i] = shown(w)
	}
	out.Body.Total, out.Body.Page, out.Body.Limit = total, in.Page, in.Limit
	return out, nil
}

func shown(w admin.Waiting) waiting {
	s := waiting{
		ID: nameOf(w.Waiter), Kind: "place", Client: w.ClientID, User: personOf(w), Feature: w.Feature, Account: string(w.Account), Since: w.Since.UTC(),
	}
	if w.Entry != "" {
		s.Kind = "feature"
	}
	if !w.NotifiedAt.IsZero() {
		s.ToldAt = new(w.NotifiedAt.UTC())
	}
	return s
}

func personOf(w admin.Waiting) person {
	return person{ID: w.UserID, Email: w.User.Email, Name: w.User.DisplayName}
}

// clientOf reads the id of a client, which may be left out. One of another shape is
// as unknown as any other, and not left out.
func clientOf(s string) (client.ID, error) {
	id, ok := identity.ParseID(s)
	if s != "" && !ok {
		return "", fault.New(fault.ClientUnknown)
	}
	return client.ID(id), nil
}

// nameOf is what this API calls somebody who waits: the entry of a feature's list,
// or client and user with a dot between them.
func nameOf(w admin.Waiter) string {
	if w.Entry != "" {
		return w.Entry
	}
	return string(w.ClientID) + "." + string(w.UserID)
}

// waiterOf is whom a name means. What is no name is an entry that does not exist.
func waiterOf(name string) admin.Waiter {
	c, u, place := strings.Cut(name, ".")
	id, ok := identity.ParseID(c)
	user, known := identity.ParseID(u)
	switch {
	case place && ok && known:
		return admin.Waiter{ClientID: client.ID(id), UserID: identity.UserID(user)}
	case !place && ok:
		return admin.Waiter{Entry: id}
	}
	return admin.Waiter{Entry: "none"}
}

func waitersOf(names []string) []admin.Waiter {
	all := make([]admin.Waiter, len(names))
	for i, name := range names {
		all[i] = waiterOf(name)
	}
	return all
}

// What became of somebody.
const (
	approved   = "approved"
	rejected   = "rejected"
	notWaiting = "not_waiting"
	unknown    = "unknown"
	forbidden  = "forbidden"
)

type result struct {
	ID     string  `json:"id"`
	Result string  `json:"result" enum:"approved,rejected,not_waiting,unknown,forbidden"`
	User   *person `json:"user,omitempty"`
}

// resultOf words what became of one; only faults come here.
func resultOf(err error, let bool) string {
	f, failed := fault.From(err)
	switch {
	case !failed && let:
		return approved
	case !failed:
		return rejected
	case f.Code == fault.EnrolmentState:
		return notWaiting
	case f.Code == fault.UserUnknown, f.Code == fault.ClientUnknown:
		return unknown
	}
	return forbidden
}

type decideIn struct {
	Body struct {
		Decision string   `json:"decision" enum:"approve,reject"`
		IDs      []string `json:"ids" minItems:"1" maxItems:"500" nullable:"false" doc:"Of those who wait"`
		Reason   string   `json:"reason,omitempty" maxLength:"500" doc:"For the audit log; they are not told"`
	}
}

type decideOut struct {
	Body struct {
		Decided int      `json:"decided" doc:"How many this request let in or turned away"`
		Results []result `json:"results" nullable:"false" doc:"In the order of the request"`
	}
}

// add notes what became of one.
func (o *decideOut) add(r result) {
	if r.Result == approved || r.Result == rejected {
		o.Body.Decided++
	}
	o.Body.Results = append(o.Body.Results, r)
}

func (a *API) decide(ctx context.Context, in *decideIn) (*decideOut, error) {
	let, who := in.Body.Decision == "approve", caller(ctx)
	who.Reason = in.Body.Reason
	errs, err := a.Admin.Decide(ctx, who, let, waitersOf(in.Body.IDs)...)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &decideOut{}
	for i, name := range in.Body.IDs {
		out.add(result{ID: name, Result: resultOf(errs[i], let)})
	}
	return out, nil
}

type nextIn struct {
	Body struct {
		Client  string `json:"client" format:"uuid"`
		N       int    `json:"n" minimum:"1" maximum:"500" doc:"How many"`
		Kind    string `json:"kind,omitempty" enum:"place,feature"`
		Feature string `json:"feature,omitempty" maxLength:"64"`
		Reason  string `json:"reason,omitempty" maxLength:"500" doc:"For the audit log"`
	}
}

func (a *API) next(ctx context.Context, in *nextIn) (*decideOut, error) {
	id, err := clientOf(in.Body.Client)
	if err == nil && id == "" {
		err = fault.New(fault.ClientUnknown)
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	who := caller(ctx)
	who.Reason = in.Body.Reason
	which := admin.QueueIn{ClientID: id, Places: in.Body.Kind == "place", Features: in.Body.Kind == "feature", Feature: in.Body.Feature}
	all, errs, err := a.Admin.DecideNext(ctx, who, which, in.Body.N, true)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &decideOut{}
	out.Body.Results = []result{}
	for i, w := range all {
		out.add(result{ID: nameOf(w.Waiter), Result: resultOf(errs[i], true), User: new(personOf(w))})
	}
	return out, nil
}

type notifyIn struct {
	Body struct {
		IDs []string `json:"ids" minItems:"1" maxItems:"500" nullable:"false" doc:"Of those who wait"`
	}
}

type notifyOut struct {
	Body struct {
		Told int `json:"told" doc:"How many are mailed; the others do not wait, are not yours, or were told within a day"`
	}
}

func (a *API) notify(ctx context.Context, in *notifyIn) (*notifyOut, error) {
	told, err := a.Admin.Notify(ctx, caller(ctx), waitersOf(in.Body.IDs)...)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &notifyOut{}
	out.Body.Told = told
	return out, nil
}
