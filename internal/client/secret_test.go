package client_test

import (
	"bytes"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/secret"
)

func TestVerifySecretTakesTheSecretAlone(t *testing.T) {
	t.Parallel()
	k, other := newKey(t), newKey(t)
	const plain = "correct horse battery staple"
	c := client.Client{SecretHash: client.HashSecret(k, plain)}
	for _, given := range []string{plain, "", "correct horse battery stapl", plain + "x", string(c.SecretHash)} {
		if got, want := c.VerifySecret(k, given), given == plain; got != want {
			t.Errorf("VerifySecret(%q): got %v, want %v", given, got, want)
		}
	}
	if c.VerifySecret(other, plain) {
		t.Error("another process key verified the secret")
	}
	if bytes.Equal(client.HashSecret(k, "a"), client.HashSecret(k, "b")) {
		t.Error("two secrets have one hash")
	}
}

func TestVerifySecretOfAPublicClient(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for _, hash := range [][]byte{nil, {}} {
		if (client.Client{SecretHash: hash}).VerifySecret(k, "") {
			t.Error("a client without a secret was authenticated by the empty one")
		}
	}
}

func newKey(t *testing.T) *secret.Key {
	t.Helper()
	k, err := secret.NewKey(secret.Bytes(secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
