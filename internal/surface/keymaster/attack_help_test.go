package keymaster_test

import (
	"encoding/json"
	"testing"
	"time"

	"sallyport/internal/client"
	"sallyport/internal/signin"

	"github.com/pquerna/otp/totp"
)

func otpAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func resume(cookie string, c client.Client) signin.ResumeIn {
	return signin.ResumeIn{Cookie: cookie, ClientID: c.ID}
}
