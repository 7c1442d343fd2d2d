package transcript

import (
	"crypto/hmac"
	"crypto/sha1" // RFC 6238's default, what authenticator apps speak
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	mailCapture = regexp.MustCompile(`^(\S+) capture /(.+)/ as ([a-z_][a-z0-9_]*)$`)
	mailLink    = regexp.MustCompile(`^(\S+) <([a-z_][a-z0-9_]*)>$`)
	totpAs      = regexp.MustCompile(`^(\S+) as ([a-z_][a-z0-9_]*)$`)
	link        = regexp.MustCompile(`https?://[^\s<>"]+`)
)

// direct does what an "@" line says. Values that it captures replace older ones,
// as a second mail or code is meant to.
func (p *player) direct(verb, args string) error {
	switch verb {
	case "mail":
		return p.mail(args)
	case "totp":
		return p.totp(args)
	case "claims":
		return p.claims(args)
	}
	args, err := p.vars.fill(args)
	if err != nil {
		return err
	}
	switch verb {
	case "advance":
		d, err := time.ParseDuration(args)
		if err != nil {
			return err
		}
		p.stage.Host.Advance(d)
	case "no-mail":
		if text, ok := p.stage.Host.Mail(args); ok {
			return fmt.Errorf("got a mail to %s, want none:\n%s", args, text)
		}
	case "times":
		n, err := strconv.Atoi(args)
		if err != nil || n < 1 {
			return fmt.Errorf("times %q: want a number from 1", args)
		}
		p.times = n
	case "browser":
		if p.browsers[args] == nil {
			p.browsers[args] = &jar{}
		}
		p.jar = p.browsers[args]
	case "prefix":
		p.prefix = args
	case "run":
		hook := p.stage.Hooks[args]
		if hook == nil {
			return fmt.Errorf("the test has no hook %q", args)
		}
		hook(p.t, p.vars)
	default:
		return fmt.Errorf("no such directive: %q", verb)
	}
	return nil
}

// mail takes the newest mail to an address and captures its first link, or the
// first group (else the whole match) of a pattern.
func (p *player) mail(args string) error {
	m, re := mailLink.FindStringSubmatch(args), link
	if m == nil {
		c := mailCapture.FindStringSubmatch(args)
		if c == nil {
			return fmt.Errorf("want \"@ mail TO <name>\" or \"@ mail TO capture /pattern/ as name\", got %q", args)
		}
		var err error
		if re, err = regexp.Compile(c[2]); err != nil {
			return err
		}
		m = []string{c[0], c[1], c[3]}
	}
	to, err := p.vars.fill(m[1])
	if err != nil {
		return err
	}
	text, ok := p.stage.Host.Mail(to)
	if !ok {
		return fmt.Errorf("no mail to %s", to)
	}
	found := re.FindStringSubmatch(text)
	if found == nil {
		return fmt.Errorf("the mail to %s does not hold /%s/:\n%s", to, re, text)
	}
	got := found[min(1, len(found)-1)]
	if re == link {
		got = strings.TrimRight(got, ".,;:!?)") // the sentence's own
	}
	p.vars[m[2]] = got
	return nil
}

func (p *player) totp(args string) error {
	m := totpAs.FindStringSubmatch(args)
	if m == nil {
		return fmt.Errorf("want \"@ totp SECRET as name\", got %q", args)
	}
	secret, err := p.vars.fill(m[1])
	if err != nil {
		return err
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	p.vars[m[2]] = totpCode(key, p.stage.Host.Now())
	return nil
}

// totpCode is RFC 6238 with SHA-1, 6 digits and 30 seconds, written apart from
// the package under test.
func totpCode(key []byte, now time.Time) string {
	h := hmac.New(sha1.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(now.Unix()/30)))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

func (p *player) claims(args string) error {
	token, want, _ := strings.Cut(args, " ")
	token, err := p.vars.fill(token)
	if err != nil {
		return err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("claims: %d parts, want the 3 of a JWT", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	if err := p.vars.match(want, string(payload)); err != nil {
		return fmt.Errorf("claims:\n%w", err)
	}
	return nil
}
