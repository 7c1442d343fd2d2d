package tofu_test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"sallyport/internal/surface/tofu"
	"sallyport/internal/upstream"
	"sallyport/internal/upstream/upstreamtest"
	"sallyport/internal/wire/transcript"
)

const minute = time.Minute

// verifier is what the code_verifier of a test is.
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B

// stage is the site with what the transcripts can have it do.
func (s *site) stage(t *testing.T) transcript.Stage {
	hooks := map[string]func(*testing.T, map[string]string){}
	for key, fake := range s.fakes {
		for _, p := range crowd {
			hooks[key+" "+p.ID] = func(t *testing.T, vars map[string]string) { vars["code"] = s.code(t, key, p.ID, returnURI, "", "") }
			hooks[key+" "+p.ID+" pkce"] = func(t *testing.T, vars map[string]string) {
				vars["code"] = s.code(t, key, p.ID, returnURI, upstream.Challenge(verifier), "the-nonce")
			}
			hooks[key+" "+p.ID+" popup"] = func(t *testing.T, vars map[string]string) { vars["code"] = s.code(t, key, p.ID, "postmessage", "", "") }
		}
		for _, trouble := range []upstreamtest.Trouble{upstreamtest.None, upstreamtest.Down, upstreamtest.Throttled, upstreamtest.HTML,
			upstreamtest.WrongSignature, upstreamtest.WrongAudience, upstreamtest.Expired, upstreamtest.BadSecret, upstreamtest.Unfinished} {
			hooks[key+" is "+cmp.Or(string(trouble), "well")] = func(*testing.T, map[string]string) { fake.Behave(trouble) }
		}
		hooks[key+" was asked"] = func(_ *testing.T, vars map[string]string) { vars["asked"] = fmt.Sprint(len(fake.Requests())) }
		hooks[key+" was not asked again"] = func(t *testing.T, vars map[string]string) {
			if got := fmt.Sprint(len(fake.Requests())); got != vars["asked"] {
				t.Errorf("%s: %s requests, want %s: %v", key, got, vars["asked"], fake.Requests())
			}
		}
	}
	for name, change := range map[string]func(*tofu.Settings){
		"rotate":             func(s *tofu.Settings) { s.RotateRefresh = true },
		"proxy":              func(s *tofu.Settings) { s.ProxyMode, s.LogoutRevokesRefresh = true, false },
		"serve":              func(s *tofu.Settings) { s.Serve = true },
		"keep refresh":       func(s *tofu.Settings) { s.LogoutRevokesRefresh = false },
		"one factor":         func(s *tofu.Settings) { s.PasswordRequiresNoMFA = false },
		"unverified allowed": func(s *tofu.Settings) { s.RequireVerifiedEmail = false },
		"impersonation":      func(s *tofu.Settings) { s.Impersonation = true },
		"pkce required":      func(s *tofu.Settings) { s.RequirePKCE = true },
		"no google":          func(s *tofu.Settings) { s.Google = "" },
		"another okta":       func(s *tofu.Settings) { s.Okta = "okta-two" },
		"return to":          func(s *tofu.Settings) { s.ReturnTo = "https://app.example.com/bye" },
	} {
		hooks[name] = func(*testing.T, map[string]string) { s.set(change) }
	}
	hooks["forge"] = func(_ *testing.T, vars map[string]string) { s.forge(vars) }
	vars := map[string]string{"password": password, "verifier": verifier, "back": returnURI}
	s.forge(vars)
	return transcript.Stage{Host: s, Vars: vars, Hooks: hooks}
}

// forge makes tokens that nobody should have, or that SimpleJWT itself would.
func (s *site) forge(vars map[string]string) {
	now := s.Now().Unix()
	claims := func(kind string, exp int64, more string) string {
		return fmt.Sprintf(`{"token_type":"%s","exp":%d,"iat":%d,"jti":"93c0dfedecad4d9ba25f46d302b42da3"%s}`, kind, exp, now, more)
	}
	jane := `,"user_id":"1"`
	for name, payload := range map[string]string{
		"simple_access":  claims("access", now+300, jane),
		"simple_refresh": claims("refresh", now+86400, jane+`,"tenant":"acme","n":[1,2]`),
		"integer_user":   claims("access", now+300, `,"user_id":1`),
		"no_user":        claims("access", now+300, ""),
		"no_user_fresh":  claims("refresh", now+300, ""),
		"gone_user":      claims("access", now+300, `,"user_id":"4711"`),
		"gone_fresh":     claims("refresh", now+300, `,"user_id":"4711"`),
		"odd_user":       claims("access", now+300, `,"user_id":"one"`),
		"sue_access":     claims("access", now+300, `,"user_id":"2"`),
		"sue_refresh":    claims("refresh", now+300, `,"user_id":"2"`),
		"expired_access": claims("access", now, jane),
		"expired_fresh":  claims("refresh", now-1, jane),
		"no_exp":         fmt.Sprintf(`{"token_type":"access","iat":%d,"jti":"93c0dfed","user_id":"1"}`, now),
		"no_jti":         fmt.Sprintf(`{"token_type":"access","exp":%d,"user_id":"1"}`, now+300),
		"no_type":        fmt.Sprintf(`{"exp":%d,"jti":"93c0dfed","user_id":"1"}`, now+300),
		"number_jti":     fmt.Sprintf(`{"token_type":"access","exp":%d,"jti":7,"user_id":"1"}`, now+300),
		"text_exp":       `{"token_type":"access","exp":"soon","jti":"93c0dfed","user_id":"1"}`,
		"future":         fmt.Sprintf(`{"token_type":"access","exp":%d,"iat":%d,"jti":"93c0dfed","user_id":"1"}`, now+900, now+600),
		"early":          fmt.Sprintf(`{"token_type":"access","exp":%d,"nbf":%d,"jti":"93c0dfed","user_id":"1"}`, now+900, now+600),
		"twice":          fmt.Sprintf(`{"token_type":"access","exp":%d,"jti":"93c0dfed","user_id":"1","user_id":"2"}`, now+900),
		"list":           `[1,2,3]`,
	} {
		vars[name] = sign(`{"alg":"HS256","typ":"JWT"}`, payload, sha256.New, secretKey)
	}
	good := claims("access", now+300, jane)
	fresh := claims("refresh", now+300, jane)
	vars["alg_none"] = strings.TrimSuffix(sign(`{"alg":"none","typ":"JWT"}`, good, sha256.New, secretKey), lastPart(sign(`{"alg":"none","typ":"JWT"}`, good, sha256.New, secretKey)))
	vars["hs512"] = sign(`{"alg":"HS512","typ":"JWT"}`, good, sha512.New, secretKey)
	vars["hs512_fresh"] = sign(`{"alg":"HS512","typ":"JWT"}`, fresh, sha512.New, secretKey)
	vars["wrong_key"] = sign(`{"alg":"HS256","typ":"JWT"}`, good, sha256.New, "another-secret-key-of-at-least-32-bytes")
	vars["empty_key"] = sign(`{"alg":"HS256","typ":"JWT"}`, good, sha256.New, "")
}

func lastPart(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }

// sign writes a token by hand, with whatever header.
func sign(header, payload string, hash func() hash.Hash, key string) string {
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	mac := hmac.New(hash, []byte(key))
	mac.Write([]byte(input))
	return input + "." + enc.EncodeToString(mac.Sum(nil))
}
