package client

import "sallyport/internal/secret"

// HashSecret is what is stored of a client's secret, whoever chose it. An
// operator may choose one that can be guessed, so the hash is keyed with what
// is not in the database.
func HashSecret(k *secret.Key, plain string) []byte {
	return k.MAC("client-secret", []byte(plain))
}

// VerifySecret reports whether plain is the client's secret. It takes the same
// time whatever plain is; a public client has no secret, and no plain is it.
func (c Client) VerifySecret(k *secret.Key, plain string) bool {
	return secret.Equal(HashSecret(k, plain), c.SecretHash)
}
