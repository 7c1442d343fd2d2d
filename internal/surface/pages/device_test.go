package pages_test

import (
	"testing"
	"time"
)

// television begins a device flow, and tells what the device keeps and shows.
func (s *site) television(t *testing.T) (device, code string) {
	t.Helper()
	out := s.post(t, "/oauth2/device_authorization", map[string]string{
		"client_id": s.vars["tv"], "scope": "openid profile email offline_access films:watch",
	})
	device, _ = out["device_code"].(string)
	code, _ = out["user_code"].(string)
	return device, code
}

// told is what the device hears when it asks: an error, or the type of its token.
func (s *site) told(t *testing.T, device string) any {
	t.Helper()
	out := s.post(t, "/oauth2/token", map[string]string{
		"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device, "client_id": s.vars["tv"],
	})
	if out["error"] != nil {
		return out["error"]
	}
	return out["token_type"]
}

// signInHere fills in the sign-in page that the browser is on.
func (v *visitor) signInHere(email string) {
	v.t.Helper()
	v.fill("email", email)
	v.fill("password", password)
	v.press(`form[action$="/login"] button`)
}

func TestDeviceIsLetIn(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, v *visitor) {
		device, code := v.site.television(t)
		v.open("/device")
		v.sees("Connect a device", "Enter the code that your device shows.")
		v.fill("user-code", "BCDF GHJK")
		if got := v.press("button"); got != 400 {
			t.Errorf("wrong code: got status %d, want 400", got)
		}
		v.sees("No device waits with this code.")
		v.open("/device?user_code=" + code)
		v.sees("Does your device show this code?")
		v.press("button")
		v.sees("Telly", "Sign in")
		v.signInHere("jane@example.com")
		v.sees("Telly asks to be signed in", code, "jane@example.com", "See your e-mail address", "films:watch")
		if got := v.site.told(t, device); got != "authorization_pending" {
			t.Errorf("before the answer the device hears %v", got)
		}
		v.press(`button[value="allow"]`)
		v.sees("Your device is connected")
		if got := v.site.told(t, device); got != "Bearer" {
			t.Errorf("after a yes the device hears %v", got)
		}

		device, code = v.site.television(t)
		v.open("/device?user_code=" + code)
		v.press("button") // signed in already, and asked all the same
		v.sees("Telly asks to be signed in", code)
		v.press(`a[href*="/login"]`)
		v.sees("Please sign in once more to go on.")
		v.open("/device?user_code=" + code)
		v.press("button")
		v.press(`button[value="deny"]`)
		v.sees("The device was turned away")
		v.site.Advance(5 * time.Second)
		if got := v.site.told(t, device); got != "access_denied" {
			t.Errorf("after a no the device hears %v", got)
		}
	})
}
