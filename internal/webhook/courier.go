package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/job"
	"sallyport/internal/outbound"
	"sallyport/internal/secret"
)

// schedule is when the attempts of a series are due, after its start. After the
// last one the delivery has failed.
var schedule = []time.Duration{0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}

const (
	// Timeout bounds one attempt: a later answer is a failure.
	Timeout = 10 * time.Second
	// apart is the time between two attempts when the schedule is behind, because
	// no node was running.
	apart = time.Minute
	// maxAnswer is how many bytes of an answer are kept.
	maxAnswer = 1 << 10
	// fanOutBatch is how many audit entries are taken in one transaction.
	fanOutBatch = 50
)

// attempt is the payload of a job. Made is the fence: an attempt is for a
// delivery that has had so many before it.
type attempt struct {
	Delivery string    `json:"delivery"`
	Made     int       `json:"made"`
	Step     int       `json:"step"`  // index in schedule
	Start    time.Time `json:"start"` // of the series
}

func (a attempt) enqueue(ctx context.Context, tx *db.Tx, at, now time.Time) error {
	payload, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("marshal attempt: %w", err)
	}
	_, err = job.Enqueue(ctx, tx, Kind, payload, at, now)
	return err
}

// next is the attempt after a, made at now, and when it is due; the zero time
// if there is none.
func (a attempt) next(now time.Time) (attempt, time.Time) {
	b := attempt{Delivery: a.Delivery, Made: a.Made + 1, Step: a.Step + 1, Start: a.Start}
	if b.Step >= len(schedule) {
		return attempt{}, time.Time{}
	}
	at := a.Start.Add(schedule[b.Step])
	if at.Before(now) {
		at = now.Add(apart)
	}
	return b, at
}

// result is what came of an attempt.
type result struct {
	status int    // of the answer; 0: there was none
	body   string // the beginning of the answer
	reason string // why it counts as failed; empty: it does not
}

// Courier makes deliveries.
type Courier struct {
	DB     *db.DB
	Key    *secret.Key
	Client *http.Client // of package outbound, with Timeout and without redirects
	Now    func() time.Time
}

// Handler is how the jobs of Kind are done. The delays are for failures of our
// own, such as of the database; a subscriber's follow the schedule.
func (c *Courier) Handler() job.Handler {
	return job.Handler{
		Run:      c.Deliver,
		Retry:    []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour},
		Timeout:  Timeout + 20*time.Second,
		Parallel: 16,
	}
}

// FanOut makes the deliveries of all announced audit entries: periodic work.
func (c *Courier) FanOut(ctx context.Context) error {
	for {
		var n int
		err := c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			n, err = FanOut(ctx, tx, fanOutBatch, c.Now())
			return err
		})
		if err != nil {
			return fmt.Errorf("fan out: %w", err)
		}
		if n < fanOutBatch {
			return nil
		}
	}
}

// Deliver makes the attempt that j is for, and writes what came of it, with the
// job of the next attempt if it failed. An error is a failure of ours. An
// attempt that was made already is left alone; one whose result could not be
// written is made again.
func (c *Courier) Deliver(ctx context.Context, j job.Job) error {
	var a attempt
	if err := json.Unmarshal(j.Payload, &a); err != nil {
		return fmt.Errorf("%w: webhook: payload: %w", job.ErrGiveUp, err)
	}
	var t target
	err := c.DB.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		t, err = waiting(ctx, tx, a)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read delivery: %w", err)
	}

	res := c.post(ctx, t)

	now := c.Now()
	b, at := a.next(now)
	if res.reason == "" {
		at = time.Time{}
	}
	err = c.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		ours, err := settle(ctx, tx, a, res, at, now)
		if err != nil || !ours || at.IsZero() {
			return err
		}
		return b.enqueue(ctx, tx, at, now)
	})
	if err != nil {
		return fmt.Errorf("write result of delivery: %w", err)
	}
	return nil
}

// post sends a delivery once.
func (c *Courier) post(ctx context.Context, t target) result {
	if !t.webhook.Active {
		return result{reason: "webhook is switched off"}
	}
	key, err := c.Key.Open(sealLabel, t.sealed, string(t.webhook.ID))
	if err != nil {
		return result{reason: "secret cannot be read"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.webhook.URL, strings.NewReader(t.delivery.Body))
	if err != nil {
		return result{reason: "URL is not valid"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sallyport-Webhook")
	req.Header.Set("X-Keymaster-Event", string(t.delivery.Event))
	req.Header.Set("X-Keymaster-Delivery", t.delivery.ID)
	req.Header.Set("X-Keymaster-Signature", Signature(key, t.delivery.Body))
	req.Header.Set("X-Keymaster-Timestamp", strconv.FormatInt(c.Now().Unix(), 10))
	answer, err := c.Client.Do(req)
	if err != nil {
		return result{reason: words(err)}
	}
	defer answer.Body.Close()
	// The status decides: what is wrong with the rest of the answer does not.
	start, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	res := result{status: answer.StatusCode, body: strings.ReplaceAll(strings.ToValidUTF8(string(start), "?"), "\x00", "?")}
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		res.reason = fmt.Sprintf("answered %d: redirects are not followed", answer.StatusCode)
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		res.reason = fmt.Sprintf("answered %d", answer.StatusCode)
	}
	return res
}

// Signature is the value of X-Keymaster-Signature for a body. The key is the
// secret's characters as they were shown, not the bytes they spell.
func Signature(key []byte, body string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// words says why there was no answer, without what the network told us: the
// log is read by the subscriber, who is not to explore networks with it.
func words(err error) string {
	if _, ok := errors.AsType[*outbound.Refused](err); ok {
		return "address is not allowed"
	}
	if _, ok := errors.AsType[*outbound.BadURL](err); ok {
		return "URL is not allowed"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "timed out"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "host name not found"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate is not trusted"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "connection refused"
	}
	return "connection failed"
}
