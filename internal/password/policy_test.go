package password

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func rule(err error) Rule {
	if w, ok := errors.AsType[*Weak](err); ok {
		return w.Rule
	}
	return ""
}

func TestPolicyChecksInOrder(t *testing.T) {
	t.Parallel()
	strict := Policy{MinLength: 10, RequireUppercase: true, RequireLowercase: true, RequireDigit: true, RequireSymbol: true}
	for _, c := range []struct {
		policy Policy
		plain  string
		want   Rule
	}{
		{Policy{}, "", TooShort},
		{Policy{}, "passwor", TooShort}, // short before common
		{Policy{}, "ééééééé", TooShort}, // code points, not bytes
		{Policy{}, "ééééxééé", ""},
		{Policy{MinLength: 3}, "abc", TooShort}, // the floor holds
		{Policy{MinLength: 12}, "zq8!vLx4#Kw", TooShort},
		{Policy{MinLength: 12}, "zq8!vLx4#Kwp", ""},
		{Policy{}, strings.Repeat("é", 1024), ""},
		{Policy{}, strings.Repeat("é", 1025), TooLong},
		{strict, "zq8!vlx4#kw", NoUppercase},
		{strict, "ZQ8!VLX4#KW", NoLowercase},
		{strict, "zqe!vLxd#Kw", NoDigit},
		{strict, "zq8evLx4 Kw", NoSymbol}, // a space is no symbol
		{strict, "zq8!vLx4#Kw", ""},
		{strict, "ЖЖжж٣٣٣–––––", ""}, // other scripts have cases, digits and signs too
		{Policy{RequireUppercase: true}, "日本語日本語日本語", NoUppercase},
		{Policy{RequireDigit: true}, "Password!", NoDigit}, // classes before common
		{Policy{}, "password", Common},
		{Policy{}, "12345678", Common},
		{Policy{}, "PassWord", Common},
		{Policy{}, "iloveyou1", Common},
		{Policy{}, "trustno1", Common},
		// The passwords of the API's own documents stay usable.
		{Policy{}, "their_password", ""},
		{Policy{}, "new_secure_password", ""},
		{Policy{}, "optional_for_new_users", ""},
		{Policy{}, "correct horse battery staple", ""},
	} {
		if got := rule(c.policy.Check(c.plain)); got != c.want {
			t.Errorf("%+v.Check(%.40q) broke %q, want %q", c.policy, c.plain, got, c.want)
		}
	}
}

func TestPolicyRefusesWhatIsKnownOfTheUser(t *testing.T) {
	t.Parallel()
	context := []string{"jane.doe-smith@example.com", "Acme Dashboard", "", "Zoë Nilsson-Ek"}
	for plain, want := range map[string]Rule{
		"jane.doe-smith@example.com": Common,
		"Jane.Doe-Smith":             Common,
		"acme dashboard":             Common,
		"zoë nilsson-ek":             Common,
		"jane.doe-smith@":            "",
		"jane.doe-smith7":            "",
		"my acme dashboard":          "",
	} {
		if got := rule(Policy{}.Check(plain, context...)); got != want {
			t.Errorf("Check(%q) broke %q, want %q", plain, got, want)
		}
	}
}

func TestWeakSaysTheLength(t *testing.T) {
	t.Parallel()
	for minimum, want := range map[int]int{0: 8, 5: 8, 8: 8, 14: 14} {
		w, ok := errors.AsType[*Weak](Policy{MinLength: minimum}.Check("short"))
		if !ok || w.Rule != TooShort || w.Min != want {
			t.Errorf("min_length %d: %+v, want TooShort with %d", minimum, w, want)
		}
	}
}

func TestPolicyIsTheContractsObject(t *testing.T) {
	t.Parallel()
	const want = `{"min_length":8,"require_uppercase":false,"require_lowercase":false,"require_digit":false,"require_symbol":false}`
	if got, err := json.Marshal(Policy{MinLength: 8}); err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestWeakNamesEveryRule(t *testing.T) {
	p := Policy{RequireUppercase: true, RequireDigit: true, RequireSymbol: true, RefuseEmail: true, MaxLength: 128}
	err := p.Check("adalove", "Adalove@example.com")
	weak, ok := errors.AsType[*Weak](err)
	if !ok {
		t.Fatalf("got %v, want a *Weak", err)
	}
	want := []Rule{TooShort, NoUppercase, NoDigit, NoSymbol, Common, HoldsEmail}
	if !slices.Equal(weak.All, want) || weak.Rule != TooShort || weak.Min != 8 || weak.Max != 128 {
		t.Errorf("got %+v, want %v, 8 to 128", weak, want)
	}
}

func TestPolicyRefusesTheAddressInside(t *testing.T) {
	p := Policy{RefuseEmail: true}
	for plain, held := range map[string]bool{
		"my-ADALOVE-word": true, "adalov-and-more": false, "correct horse battery": false,
	} {
		err := p.Check(plain, "adalove@example.com", "Ada")
		if (err != nil) != held {
			t.Errorf("%q: %v, want refused %v", plain, err, held)
		}
	}
	if err := p.Check("i am ada herself", "ada@example.com"); err != nil {
		t.Errorf("three characters are in many passwords: %v", err)
	}
	if err := (Policy{MaxLength: 64}).Check(strings.Repeat("ab1 ", 17)); err == nil {
		t.Error("68 characters were taken, want 64 at most")
	}
}
