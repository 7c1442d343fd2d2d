package dev_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/mail"
	"sallyport/internal/surface/dev"
	"sallyport/internal/wire"
)

// client is every test's browser.
var client = &http.Client{Timeout: 30 * time.Second}

func serve(t *testing.T) (*dev.Inbox, string) {
	t.Helper()
	box := &dev.Inbox{Now: time.Now}
	d := &dev.Dev{Inbox: box}
	mux := &wire.Mux{NotFound: d.NotFound}
	mux.Add(d.Routes(), d.MethodNotAllowed)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return box, s.URL
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func send(t *testing.T, b *dev.Inbox, m mail.Message) {
	t.Helper()
	if err := b.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestNewestLinkAndCode(t *testing.T) {
	box, url := serve(t)
	send(t, box, mail.Message{To: "jane@example.com", Subject: "One", Text: "Hello\n\nhttp://localhost/a?token=1\n"})
	send(t, box, mail.Message{To: "jane@example.com", Subject: "Two", Text: "Your code\n\nABCD1234\n\nhttp://localhost/b?token=2\n"})
	send(t, box, mail.Message{To: "tom@example.com", Subject: "Three", Text: "Nothing to open"})

	for path, want := range map[string]string{
		"/dev/mail/link?to=Jane@example.com": "http://localhost/b?token=2\n",
		"/dev/mail/code?to=jane@example.com": "ABCD1234\n",
	} {
		if status, body := get(t, url+path); status != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := get(t, url+"/dev/mail/link?to=tom@example.com"); status != 404 {
		t.Errorf("mail without a link: %d %s", status, body)
	}
	var list struct{ Messages []dev.Mail }
	_, body := get(t, url+"/dev/mail/messages?to=jane@example.com")
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Messages) != 2 || list.Messages[0].Subject != "Two" {
		t.Errorf("list: %v %s", err, body)
	}
	if _, body := get(t, url+"/dev/mail"); !strings.Contains(body, "Three") || !strings.Contains(body, "ABCD1234") {
		t.Errorf("page lacks the mails: %s", body)
	}
}

func TestWaitAnswersWhenMailComes(t *testing.T) {
	box, url := serve(t)
	answer := make(chan string)
	go func() {
		res, err := client.Get(url + "/dev/mail/wait?to=jane@example.com&seconds=10")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- string(b)
	}()
	send(t, box, mail.Message{To: "other@example.com", Subject: "Not this"})
	send(t, box, mail.Message{To: "jane@example.com", Subject: "This"})
	if got := <-answer; !strings.Contains(got, `"subject":"This"`) {
		t.Errorf("got %s", got)
	}
	if status, _ := get(t, url+"/dev/mail/wait?to=nobody@example.com&seconds=0"); status != 404 {
		t.Errorf("no mail: %d", status)
	}
	if status, _ := get(t, url+"/dev/mail/wait?after=x"); status != 400 {
		t.Errorf("bad after: %d", status)
	}
}

// A page of another site that had its name resolve to this machine is refused.
func TestInboxRefusesOtherNames(t *testing.T) {
	_, url := serve(t)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/dev/mail/messages", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.evil.example"
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", res.StatusCode)
	}
}

func TestInboxKeepsABoundedNumber(t *testing.T) {
	box, url := serve(t)
	for range 600 {
		send(t, box, mail.Message{To: "a@example.com", Subject: "x"})
	}
	var list struct{ Messages []dev.Mail }
	_, body := get(t, url+"/dev/mail/messages")
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Messages) != 500 {
		t.Errorf("%v: %d mails", err, len(list.Messages))
	}
}
