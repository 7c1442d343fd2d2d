package jwks

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
)

var start = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func processKey(t testing.TB, fill byte) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(bytes.Repeat([]byte{fill}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func generated(t testing.TB, algs ...string) []Key {
	t.Helper()
	var keys []Key
	for _, alg := range algs {
		k, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// write may be called from any goroutine.
func write(t testing.TB, d *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Error(err)
	}
}

func ensure(t testing.TB, d *db.DB, sk *secret.Key, now time.Time, algs ...string) {
	t.Helper()
	keys := generated(t, algs...)
	write(t, d, func(ctx context.Context, tx *db.Tx) error { return Ensure(ctx, tx, sk, keys, now) })
}

// load may be called from any goroutine.
func load(t testing.TB, d *db.DB, sk *secret.Key) (keys []Key) {
	t.Helper()
	err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		keys, err = Load(ctx, tx, sk)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return keys
}

func inState(keys []Key, s State) (found []Key) {
	for _, k := range keys {
		if k.State == s {
			found = append(found, k)
		}
	}
	return found
}

// newClient puts the row there that a client's secret refers to.
func newClient(t testing.TB, d *db.DB, id client.ID) client.ID {
	t.Helper()
	write(t, d, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO clients (id, is_console, name, bundle_id, active, policy, has_webhooks, created_at, updated_at)
			VALUES ($1, $2, '', '', $3, '{}', $2, 0, 0)`, id, false, true)
		return err
	})
	return id
}

type equaler interface{ Equal(crypto.PrivateKey) bool }

// Published by RFC 7638 §3.1 and RFC 8037 appendix A.3.
func TestThumbprintVectors(t *testing.T) {
	for name, c := range map[string]struct {
		key  jwk
		want string
	}{
		"RFC 7638": {jwk{
			Kty: "RSA", Alg: "RS256", Kid: "2011-04-29", E: "AQAB",
			N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
				"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI" +
				"SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
		}, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037": {jwk{Kty: "OKP", Crv: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
			"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		if got := c.key.thumbprint(); got != c.want {
			t.Errorf("%s: thumbprint %s, want %s", name, got, c.want)
		}
	}
}

func TestPublicKeysAreWrittenAsRFC7518Says(t *testing.T) {
	names := map[string]string{
		RS256: `kty use alg kid n e`,
		ES256: `kty use alg kid crv x y`,
		EdDSA: `kty use alg kid crv x`,
	}
	for _, k := range generated(t, RS256, ES256, EdDSA) {
		j, err := publicJWK(k)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for dec, depth := json.NewDecoder(bytes.NewReader(text)), 0; ; depth++ {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			if name, ok := tok.(string); ok && depth%2 == 1 {
				order = append(order, name)
			}
		}
		if got := strings.Join(order, " "); got != names[k.Alg] {
			t.Errorf("%s: members %s, want %s", k.Alg, got, names[k.Alg])
		}
		if len(k.ID) != 43 || j.Kid != k.ID {
			t.Errorf("%s: kid %q and id %q, want one SHA-256 thumbprint", k.Alg, j.Kid, k.ID)
		}
		if k.Alg == RS256 && (j.E != "AQAB" || len(decode(t, j.N)) != 256) {
			t.Errorf("RSA e %s and n of %d bytes, want AQAB and 256", j.E, len(decode(t, j.N)))
		}
	}
}

// RFC 7518 §6.2.1.2: the coordinates keep their leading zeros.
func TestECCoordinatesHaveFixedWidth(t *testing.T) {
	for range 100_000 {
		k, err := Generate(ES256)
		if err != nil {
			t.Fatal(err)
		}
		j, err := publicJWK(k)
		if err != nil {
			t.Fatal(err)
		}
		x, y := decode(t, j.X), decode(t, j.Y)
		if len(x) != 32 || len(y) != 32 {
			t.Fatalf("x has %d bytes and y %d, want 32", len(x), len(y))
		}
		if x[0] == 0 || y[0] == 0 {
			return // a point that a shorter encoding would have cut was seen
		}
	}
	t.Error("no coordinate with a leading zero in 100,000 keys")
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGenerateRefusesOtherAlgorithms(t *testing.T) {
	for _, alg := range []string{"", "none", HS256, "RS512", "es256"} {
		if k, err := Generate(alg); err == nil {
			t.Errorf("Generate(%q) made %v", alg, k)
		}
	}
}

func TestMissingAndDue(t *testing.T) {
	keys := []Key{
		{Alg: ES256, State: Active, ActiveAt: start},
		{Alg: RS256, State: Next},
		{Alg: EdDSA, State: Retired},
		{Alg: HS256, State: Active, ActiveAt: start, ClientID: "c"},
		{Alg: EdDSA, State: Active, ActiveAt: start, ClientID: "c"},
	}
	got := fmt.Sprint(Missing(keys, ES256, RS256, EdDSA))
	if want := "[ES256 RS256 EdDSA EdDSA]"; got != want {
		t.Errorf("Missing = %s, want %s", got, want)
	}
	const month = 30 * 24 * time.Hour
	if due := Due(keys, start.Add(month-1), month); len(due) != 0 {
		t.Errorf("Due a moment early = %v, want none", due)
	}
	if due := Due(keys, start.Add(month), month); len(due) != 1 || due[0].Alg != ES256 || due[0].ClientID != "" {
		t.Errorf("Due = %v, want the server's ES256 key", due)
	}
}

func TestPrivateKeysNeverPrint(t *testing.T) {
	shared := "a-secret-that-is-shared-with-a-client"
	keys := append(generated(t, ES256, EdDSA), Key{ID: "kid", Alg: HS256, State: Active}.withPrivate([]byte(shared)))
	for _, k := range keys {
		want := k.describe()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			if got := fmt.Sprintf(verb, k); got != want {
				t.Errorf("%s printed %s, want %s", verb, got, want)
			}
			if got := fmt.Sprintf(verb, []Key{k}); !strings.Contains(got, want) || len(got) > len(want)+20 {
				t.Errorf("%s of a slice printed %s", verb, got)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "k", k)
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := marshalPrivate(k.private)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{log.String(), string(text)} {
			if strings.Contains(out, base64.StdEncoding.EncodeToString(plain)) || strings.Contains(out, shared) {
				t.Errorf("printed the private key: %s", out)
			}
		}
	}
}

func TestKeysComeBackAsTheyWere(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		fresh := generated(t, RS256, ES256, EdDSA)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return Ensure(ctx, tx, sk, fresh, start) })
		byID := map[string]Key{}
		for _, k := range load(t, d, sk) {
			byID[k.ID] = k
		}
		for _, want := range fresh {
			got, ok := byID[want.ID]
			if !ok {
				t.Fatalf("%v is gone", want)
			}
			if !got.Private().(equaler).Equal(want.Private()) {
				t.Errorf("%v came back with another private key", want)
			}
			if got.State != Active || !got.CreatedAt.Equal(start) || !got.ActiveAt.Equal(start) {
				t.Errorf("%v: state %s, created %v, active %v; want active at %v", want, got.State, got.CreatedAt, got.ActiveAt, start)
			}
		}
	})
}

func TestChangedRowsDoNotOpen(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sk := processKey(t, 1)
		a, b := newClient(t, d, "a"), newClient(t, d, "b")
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			_, err := SetClientSecret(ctx, tx, sk, a, bytes.Repeat([]byte("s"), 32), start)
			return err
		})
		ensure(t, d, sk, start, ES256)
		for name, change := range map[string]string{
			"id":     `UPDATE signing_keys SET id = 'other' WHERE alg = 'ES256'`,
			"alg":    `UPDATE signing_keys SET alg = 'HS256' WHERE alg = 'ES256'`,
			"client": `UPDATE signing_keys SET client_id = '` + string(b) + `' WHERE alg = 'HS256'`,
			"owner":  `UPDATE signing_keys SET client_id = NULL WHERE alg = 'HS256'`,
		} {
			undo := errors.New("undo")
			err := d.Write(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				if n, err := tx.Exec(ctx, change); err != nil || n != 1 {
					t.Errorf("%s: changed %d rows, %v", name, n, err)
				}
				if _, err := Load(ctx, tx, sk); !errors.Is(err, secret.ErrSeal) {
					t.Errorf("%s changed: Load gave %v, want %v", name, err, secret.ErrSeal)
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Fatal(err)
			}
		}
		err := d.Read(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := Load(ctx, tx, processKey(t, 2))
			return err
		})
		if !errors.Is(err, secret.ErrSeal) {
			t.Errorf("another process key: Load gave %v, want %v", err, secret.ErrSeal)
		}
		load(t, d, sk)
	})
}
