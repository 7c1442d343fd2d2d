package server

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/mail/mailtest"
	"sallyport/internal/secret"
	"sallyport/internal/yaml"
)

// verdicts are what Doctor says of one thing.
func verdicts(checks []Check, name string) (all []Verdict, details string) {
	for _, c := range checks {
		if c.Name == name {
			all = append(all, c.Verdict)
			details += c.Detail + "\n"
		}
	}
	return all, details
}

func TestDoctorOfAHealthyInstallation(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, url string) {
		sink := mailtest.New(t, mailtest.Options{})
		c := testConfig(url)
		c.Mail = secret.Value(sink.URL())
		s, _ := newServer(t, Options{Config: c})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, one := range Doctor(t.Context(), c, time.Now()) {
			if one.Verdict == Fail {
				t.Errorf("%s: %s", one.Name, one.Detail)
			}
		}
		for _, name := range []string{"configuration", "database", "signing_keys", "mail", "clock"} {
			if got, details := verdicts(Doctor(t.Context(), c, time.Now()), name); len(got) != 1 || got[0] != OK {
				t.Errorf("%s: got %v %s", name, got, details)
			}
		}
	})
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite:")
	s, _ := newServer(t, Options{Config: testConfig(url)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	newer := dbtest.SQLiteURL(t)
	d, err := db.Open(t.Context(), newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO migrations (name, applied_at) VALUES ('9999_later', 0)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := secret.NewKey(bytes.Repeat([]byte{8}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		name    string
		edit    func(*config.Config)
		now     time.Time
		check   string
		verdict Verdict
		detail  string
	}{
		{"warnings of the configuration", func(c *config.Config) { c.Warnings = []string{"one"} }, time.Now(), "configuration", Warn, "one"},
		{"no mail server", func(c *config.Config) { c.Mail = secret.Value("smtp://u:hunter2@" + closed.Addr().String()) }, time.Now(), "mail", Fail, "does not answer"},
		{"mail to the log", func(c *config.Config) { c.Mail = "log" }, time.Now(), "mail", Warn, "log"},
		{"nobody's sender", func(c *config.Config) { c.Mail = "smtp://mail.invalid:25" }, time.Now(), "mail", Warn, "no-reply@example.com"},
		{"public URL of this machine", func(*config.Config) {}, time.Now(), "public_url", Warn, "for this machine alone"},
		{"public URL that does not resolve", func(c *config.Config) { c.PublicURL = "https://auth.invalid" }, time.Now(), "public_url", Warn, "does not resolve"},
		{"plain HTTP for everybody", func(c *config.Config) { c.PublicURL, c.Listen = "https://auth.invalid", ":8080" }, time.Now(), "listen", Warn, "plain HTTP"},
		{"file that others can read", func(*config.Config) {}, time.Now(), "database_file", Warn, "mode 0644"},
		{"no database yet", func(c *config.Config) { c.Database = secret.Value(url + ".new") }, time.Now(), "database", Warn, "not there yet"},
		{"no directory", func(c *config.Config) { c.Database = "sqlite:/nonexistent/x.db" }, time.Now(), "database_file", Fail, "not a directory"},
		{"PostgreSQL away", func(c *config.Config) { c.Database = "postgres://u:hunter2@127.0.0.1:1/x" }, time.Now(), "database", Fail, "cannot"},
		{"newer schema", func(c *config.Config) { c.Database = secret.Value(newer) }, time.Now(), "database", Fail, "newer release"},
		{"another key", func(c *config.Config) { c.SecretKey = other }, time.Now(), "signing_keys", Fail, "secret_key is not the one"},
		{"clock behind", func(*config.Config) {}, time.Now().Add(-time.Hour), "clock", Fail, "yet to come"},
		{"keys not rotated", func(*config.Config) {}, time.Now().Add(keyAge + 48*time.Hour), "signing_keys", Warn, "should have been rotated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(url)
			c.edit(&cfg)
			checks := Doctor(t.Context(), cfg, c.now)
			found := false
			for _, one := range checks {
				found = found || one.Name == c.check && one.Verdict == c.verdict && strings.Contains(one.Detail, c.detail)
				if strings.Contains(one.Detail, "hunter2") {
					t.Errorf("%s shows a password: %s", one.Name, one.Detail)
				}
			}
			if !found {
				t.Errorf("got %+v\nwant %s of %s with %q", checks, c.verdict, c.check, c.detail)
			}
		})
	}
}

func TestDoctorOfAConfigurationWithMistakes(t *testing.T) {
	t.Parallel()
	got := Misconfigured(&yaml.Mistakes{List: []yaml.Mistake{{File: "f", Line: 1, Msg: "a"}, {File: "f", Line: 2, Msg: "b"}}})
	if len(got) != 2 || got[1] != (Check{"configuration", Fail, "f:2: b"}) {
		t.Errorf("got %+v", got)
	}
	if got := Misconfigured(os.ErrNotExist); len(got) != 1 || got[0].Verdict != Fail {
		t.Errorf("got %+v", got)
	}
}
