package enterprise_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/enterprise"
	"sallyport/internal/fault"
	"sallyport/internal/org"
)

func TestWhatCanBeClaimed(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	for in, want := range map[string]string{
		"acme.com": "", " Eu.ACME.com. ": "", "bücher.example": "", "acme.co.uk": "", "acme.github.io": "", "corp.internal": "",
		"": enterprise.DomainShape, "localhost": enterprise.DomainShape, "127.0.0.1": enterprise.DomainShape, "[::1]": enterprise.DomainShape, "acme.com:443": enterprise.DomainShape,
		"ann@acme.com": enterprise.DomainShape, "https://acme.com": enterprise.DomainShape, "acme.com/x": enterprise.DomainShape, "*.acme.com": enterprise.DomainShape,
		"a..com": enterprise.DomainShape, "acme.123": enterprise.DomainShape, strings.Repeat("a.", 130) + "com": enterprise.DomainShape,
		"com": enterprise.DomainShape, "co.uk": enterprise.DomainSuffix, "github.io": enterprise.DomainSuffix, "herokuapp.com": enterprise.DomainSuffix,
		"gmail.com": enterprise.DomainMailbox, "GMail.com.": enterprise.DomainMailbox, "x.gmail.com": enterprise.DomainMailbox, "outlook.com": enterprise.DomainMailbox,
		"proton.me": enterprise.DomainMailbox, "gmx.de": enterprise.DomainMailbox, "mailinator.com": enterprise.DomainMailbox, "ｇmail.com": enterprise.DomainMailbox,
		"1.168.192.in-addr.arpa": enterprise.DomainReserved, "printer.local": enterprise.DomainReserved, "a.localhost": enterprise.DomainReserved, "a.onion": enterprise.DomainReserved, "a.invalid": enterprise.DomainReserved,
	} {
		_, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, in)
		if want == "" {
			is(t, in, err, "")
		} else {
			is(t, in, err, fault.DomainInvalid, want)
		}
	}
	all, err := f.Enterprise.Domains(t.Context(), f.link, "")
	if err != nil || len(all) != 6 {
		t.Fatalf("got %+v %v", all, err)
	}
	for _, d := range all {
		if d.Status != enterprise.DomainPending || d.Record.Type != "TXT" || d.Record.Name != "_sallyport-challenge."+d.Name ||
			!strings.HasPrefix(d.Record.Value, "sallyport-domain-verification=") || len(d.Record.Value) != len("sallyport-domain-verification=")+48 || !d.ExpiresAt.Equal(f.Now().AddDate(0, 0, 7)) {
			t.Errorf("got %+v", d)
		}
	}
	for i := range 94 {
		_, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, fmt.Sprintf("d%d.example", i))
		is(t, "one more", err, "")
	}
	_, err = f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, "toomany.example")
	is(t, "too many", err, fault.DomainInvalid, enterprise.DomainTooMany)
	_, err = f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, "acme.com")
	is(t, "one of them again", err, "")
}

// What the name servers may say, and what becomes of it.
func TestDomainIsProvedByItsRecord(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	f.Enterprise.Names.Timeout = 300 * time.Millisecond // what is never answered
	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprintf("%d %s", i, strings.Repeat("x", 60)))
	}
	at := func(name string) string { return "_sallyport-challenge." + name }
	for name, c := range map[string]struct {
		publish func(name, value string)
		want    []string // why not
	}{
		"plain":       {func(n, v string) { f.Names.TXT(n, v) }, nil},
		"spaces":      {func(n, v string) { f.Names.TXT(n, "  "+v+"\t") }, nil},
		"second":      {func(n, v string) { f.Names.TXT(n, "v=spf1 -all", v) }, nil},
		"huge":        {func(n, v string) { f.Names.TXT(n, append(many, v)...) }, nil},
		"alias":       {func(n, v string) { f.Names.CNAME(n, "proof.example"); f.Names.TXT("proof.example", v) }, nil},
		"nothing":     {func(string, string) {}, []string{enterprise.UnprovenNone}},
		"empty":       {func(n, _ string) { f.Names.TXT(n) }, []string{enterprise.UnprovenNone}},
		"at-top":      {func(_, v string) { f.Names.TXT("at-top.com", v) }, []string{enterprise.UnprovenNone}},
		"others":      {func(n, _ string) { f.Names.TXT(n, "v=spf1", "a\x00\xff") }, []string{enterprise.UnprovenOther, "v=spf1", "a??"}},
		"in-part":     {func(n, v string) { f.Names.TXT(n, v[:len(v)-1]) }, []string{enterprise.UnprovenOther}},
		"longer":      {func(n, v string) { f.Names.TXT(n, v+"0") }, []string{enterprise.UnprovenOther}},
		"in-capitals": {func(n, v string) { f.Names.TXT(n, strings.ToUpper(v)) }, []string{enterprise.UnprovenOther}},
		"quoted":      {func(n, v string) { f.Names.TXT(n, `"`+v+`"`) }, []string{enterprise.UnprovenOther}},
		"circle":      {func(n, _ string) { f.Names.CNAME(n, n) }, []string{enterprise.UnprovenUnreachable}},
		"dangling":    {func(n, _ string) { f.Names.CNAME(n, "gone.example") }, []string{enterprise.UnprovenNone}},
		"broken":      {func(n, _ string) { f.Names.Break(n) }, []string{enterprise.UnprovenUnreachable}},
		"silent":      {func(n, _ string) { f.Names.Silence(n) }, []string{enterprise.UnprovenUnreachable}},
		"manyother":   {func(n, _ string) { f.Names.TXT(n, many...) }, []string{enterprise.UnprovenOther, many[0], many[1], many[2], many[3], many[4]}},
	} {
		d, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, name+".com")
		is(t, name, err, "")
		c.publish(at(d.Name), d.Record.Value)
		got, err := f.Enterprise.VerifyDomain(t.Context(), f.owner, f.org.ID, strings.ToUpper(name)+".com.")
		if c.want == nil {
			is(t, name, err, "")
			if got.Status != enterprise.DomainVerified || !got.VerifiedAt.Equal(f.Now()) {
				t.Errorf("%s: got %+v", name, got)
			}
		} else {
			is(t, name, err, fault.DomainUnproven, c.want...)
			if refused, _ := fault.From(err); len(refused.Params) > 6 {
				t.Errorf("%s: told of %d records", name, len(refused.Params)-1)
			}
		}
		f.Advance(time.Minute)
	}
	all, err := f.Enterprise.Domains(t.Context(), f.owner, f.org.ID)
	status := map[string]enterprise.DomainStatus{}
	for _, d := range all {
		status[d.Name] = d.Status
	}
	if err != nil || status["plain.com"] != enterprise.DomainVerified || status["nothing.com"] != enterprise.DomainFailed {
		t.Errorf("got %v %v", status, err)
	}
	_, err = f.Enterprise.VerifyDomain(t.Context(), f.owner, f.org.ID, "unknown.com")
	is(t, "not claimed", err, fault.DomainUnknown)
	for i := range 30 {
		if _, err = f.Enterprise.VerifyDomain(t.Context(), f.link, "", "nothing.com"); fault.Is(err, fault.RateLimited) {
			if asked := f.Names.Asked(at("nothing.com")); i < 5 || asked > 25 {
				t.Errorf("after %d tries, %d questions", i, asked)
			}
			return
		}
	}
	t.Error("the name servers are asked without end")
}

func TestClaimThatWaitedTooLongIsMadeAnew(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	d, err := f.Enterprise.AddDomain(t.Context(), f.runner, f.org.ID, "acme.com")
	is(t, "claim", err, "")
	f.Names.TXT(d.Record.Name, d.Record.Value)
	f.Advance(org.ClaimLifetime)
	_, err = f.Enterprise.VerifyDomain(t.Context(), f.runner, f.org.ID, "acme.com")
	is(t, "too late", err, fault.DomainUnproven, enterprise.UnprovenExpired)
	all, err := f.Enterprise.Domains(t.Context(), f.runner, f.org.ID)
	if err != nil || all[0].Status != enterprise.DomainFailed {
		t.Errorf("got %+v %v", all, err)
	}
	again, err := f.Enterprise.AddDomain(t.Context(), f.runner, f.org.ID, "acme.com")
	if err != nil || again.Record.Value == d.Record.Value || again.Status != enterprise.DomainPending {
		t.Errorf("claimed anew: %+v %v", again, err)
	}
	_, err = f.Enterprise.VerifyDomain(t.Context(), f.runner, f.org.ID, "acme.com")
	is(t, "by the old record", err, fault.DomainUnproven, enterprise.UnprovenOther)
}

// Both claims are one as good as the other until one is proved; the other gets to know
// of it only by a proof of its own.
func TestDomainClaimedByTwoIsWhoseItWasFirst(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		mine, err := f.Enterprise.AddDomain(t.Context(), f.owner, f.org.ID, "acme.com")
		is(t, "mine", err, "")
		theirs, err := f.Enterprise.AddDomain(t.Context(), f.runner, f.other.ID, "acme.com")
		is(t, "theirs", err, "")
		if mine.Record.Value == theirs.Record.Value {
			t.Fatal("one record proves both")
		}
		f.Names.TXT(mine.Record.Name, mine.Record.Value)
		_, err = f.Enterprise.VerifyDomain(t.Context(), f.runner, f.other.ID, "acme.com")
		is(t, "by the record of the other", err, fault.DomainUnproven, enterprise.UnprovenOther, mine.Record.Value)

		f.Names.TXT(mine.Record.Name, mine.Record.Value, theirs.Record.Value)
		errs := make([]error, 2)
		var both sync.WaitGroup
		both.Go(func() { _, errs[0] = f.Enterprise.VerifyDomain(t.Context(), f.owner, f.org.ID, "acme.com") })
		both.Go(func() { _, errs[1] = f.Enterprise.VerifyDomain(t.Context(), f.runner, f.other.ID, "acme.com") })
		both.Wait()
		winner, loser, who, place := 0, 1, f.runner, f.other.ID
		if errs[0] != nil {
			winner, loser, who, place = 1, 0, f.owner, f.org.ID
		}
		is(t, "who was first", errs[winner], "")
		is(t, "who was not", errs[loser], fault.DomainTaken)

		// The first one's record goes, and theirs stays: it is theirs in the end.
		for range org.ProofMisses {
			f.Names.TXT(mine.Record.Name, []string{mine.Record.Value, theirs.Record.Value}[loser])
			f.Advance(org.ProofHolds)
			if err := f.Enterprise.LookAtDomains(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		who.Session.AuthenticatedAt = f.Now()
		_, err = f.Enterprise.AddDomain(t.Context(), who, place, "acme.com")
		is(t, "claimed anew", err, "")
		all, err := f.Enterprise.Domains(t.Context(), who, place)
		if err != nil || len(all) != 1 {
			t.Fatalf("got %+v %v", all, err)
		}
		f.Names.TXT(mine.Record.Name, all[0].Record.Value)
		_, err = f.Enterprise.VerifyDomain(t.Context(), who, place, "acme.com")
		is(t, "in the end", err, "")
	})
}

// Whoever proves a domain that another has makes us look at the other's proof.
func TestContestedDomainIsLookedAt(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	f.prove("acme.com")
	f.Advance(48 * time.Hour)
	theirs, err := f.Enterprise.AddDomain(t.Context(), f.runner, f.other.ID, "acme.com")
	is(t, "claim", err, "")
	look := func() int {
		before := f.Names.Asked(theirs.Record.Name)
		if err := f.Enterprise.LookAtDomains(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f.Names.Asked(theirs.Record.Name) - before
	}
	if look() != 0 {
		t.Error("a claim is enough")
	}
	f.Names.TXT(theirs.Record.Name, theirs.Record.Value)
	_, err = f.Enterprise.VerifyDomain(t.Context(), f.runner, f.other.ID, "acme.com")
	is(t, "proved by another", err, fault.DomainTaken)
	if look() == 0 {
		t.Error("the first one's proof is not looked for")
	}
	text, ok := f.Mail("owner@acme.com")
	if !ok || !strings.Contains(text, "The domain still counts, for 14 days") {
		t.Errorf("mail: %s", text)
	}
}

// A domain whose proof is gone counts for two more looks; then it routes nobody.
func TestProofThatIsGoneLapses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		f.connect(f.owner, in)
		f.prove("acme.com")
		record := "_sallyport-challenge.acme.com"
		route := func() bool {
			_, err := f.SignIn.Discover(t.Context(), "acme.com")
			return err == nil
		}
		look := func(publish func()) {
			publish()
			f.Advance(org.ProofHolds)
			if err := f.Enterprise.LookAtDomains(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !route() {
			t.Fatal("not routed to begin with")
		}
		value := f.domain("acme.com").Record.Value
		look(func() {})
		look(func() { f.Names.Remove(record) })
		look(func() { f.Names.TXT(record, "another") })
		if got := f.domain("acme.com"); got.Failures != 2 || got.Status != enterprise.DomainVerified || !route() {
			t.Errorf("after two misses: %+v", got)
		}
		look(func() { f.Names.TXT(record, value) })
		if got := f.domain("acme.com"); got.Failures != 0 {
			t.Errorf("found again: %+v", got)
		}
		look(func() { f.Names.Break(record) }) // its name servers are broken, others are not
		look(func() { f.Names.Remove(record) })
		f.Mail("owner@acme.com")
		look(func() { f.Names.Remove(record) })
		if got := f.domain("acme.com"); got.Status != enterprise.DomainPending || route() {
			t.Errorf("after three misses: %+v", got)
		}
		text, ok := f.Mail("owner@acme.com")
		if !ok || !strings.Contains(text, "the domain does not count any more") {
			t.Errorf("mail: %s", text)
		}
		f.owner.Session.AuthenticatedAt = f.Now()
		if e := f.last(); e.Action != audit.DomainLapsed || e.Actor != audit.System() || e.Detail["domain"] != "acme.com" {
			t.Errorf("logged %+v", e)
		}
		f.Names.TXT(record, value)
		_, err := f.Enterprise.VerifyDomain(t.Context(), f.owner, f.org.ID, "acme.com")
		is(t, "proved again", err, "")
		if !route() {
			t.Error("not routed again")
		}
	})
}

func (f firm) domain(name string) enterprise.Domain {
	f.Helper()
	all, err := f.Enterprise.Domains(f.Context(), f.runner, f.org.ID)
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range all {
		if d.Name == name {
			return d
		}
	}
	f.Fatalf("no %s in %+v", name, all)
	return enterprise.Domain{}
}

// If our own resolver is away, no domain lapses, however long.
func TestSilentResolverProvesNothing(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	f.prove("acme.com")
	f.Enterprise.Names.Server, f.Enterprise.Names.Timeout = "127.0.0.1:1", 100*time.Millisecond
	for range 5 {
		f.Advance(org.ProofHolds)
		if err := f.Enterprise.LookAtDomains(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.domain("acme.com"); got.Status != enterprise.DomainVerified || got.Failures != 0 {
		t.Errorf("got %+v", got)
	}
}

// What whoever runs the installation vouches for is looked at by nobody.
func TestVouchedDomainIsNotLookedAt(t *testing.T) {
	t.Parallel()
	f := newFirm(t, dbtest.SQLite(t))
	f.Write(func(ctx context.Context, tx *db.Tx) error {
		if _, err := org.Claim(ctx, tx, f.org.ID, "acme.com", f.Now()); err != nil {
			return err
		}
		return org.Verify(ctx, tx, f.org.ID, "acme.com", f.Now())
	})
	for range 4 {
		f.Advance(org.ProofHolds)
		if err := f.Enterprise.LookAtDomains(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.domain("acme.com").Status != enterprise.DomainVerified || f.Names.Asked("_sallyport-challenge.acme.com") != 0 {
		t.Error("it was looked at")
	}
}

func TestRemovedDomainRoutesNobody(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		f := newFirm(t, d)
		_, in := f.provider()
		f.connect(f.owner, in)
		f.prove("acme.com")
		is(t, "remove", f.Enterprise.RemoveDomain(t.Context(), f.link, "", "ACME.com"), "")
		if r, err := f.SignIn.Discover(t.Context(), "acme.com"); err == nil {
			t.Errorf("routed to %+v", r)
		}
		is(t, "once more", f.Enterprise.RemoveDomain(t.Context(), f.owner, f.org.ID, "acme.com"), fault.DomainUnknown)
		if e := f.last(); e.Action != audit.DomainRemoved || e.Detail["verified"] != true {
			t.Errorf("logged %+v", e)
		}
	})
}
