package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// tools is an MCP server with one tool, which we guard: the little of the
// protocol that a client needs to call it, and what the authorization profile
// wants of a protected resource (RFC 9728, RFC 6750 §3).
type tools struct {
	*httptest.Server
	t        *testing.T
	issuer   string
	verifier *oidc.IDTokenVerifier
}

func newTools(t *testing.T) *tools {
	m := &tools{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		m.write(w, http.StatusOK, map[string]any{"resource": m.resource(), "authorization_servers": []string{m.issuer}})
	})
	mux.HandleFunc("/mcp", m.guarded)
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

func (m *tools) resource() string { return m.URL + "/mcp" }

// trust has the server take tokens of an issuer, for itself alone. It asks the
// issuer for its keys.
func (m *tools) trust(issuer string) {
	m.t.Helper()
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		m.t.Fatal(err)
	}
	m.issuer = issuer
	m.verifier = provider.Verifier(&oidc.Config{ClientID: m.resource(), SupportedSigningAlgs: []string{oidc.ES256}})
}

// guarded answers JSON-RPC requests that carry a token for this server.
func (m *tools) guarded(w http.ResponseWriter, r *http.Request) {
	raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	tk, err := m.verifier.Verify(r.Context(), raw)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+m.URL+`/.well-known/oauth-protected-resource/mcp"`)
		m.write(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	if r.Method != http.MethodPost { // no stream is offered
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var call struct {
		ID     any    `json:"id"`
		Method string `json:"method"`
		Params struct {
			Version string `json:"protocolVersion"`
		} `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		m.t.Error(err)
	}
	if call.ID == nil {
		w.WriteHeader(http.StatusAccepted) // a notification
		return
	}
	var result any = map[string]any{"content": []any{map[string]any{"type": "text", "text": "hello " + tk.Subject}}}
	if call.Method == "initialize" {
		result = map[string]any{
			"protocolVersion": call.Params.Version, "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "tools", "version": "1"},
		}
	}
	m.write(w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": result})
}

func (m *tools) write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		m.t.Error(err)
	}
}

// TestMCPClient takes a client of the official SDK, which knows nothing but the
// server's address, through discovery, registration or its metadata document,
// PKCE and the resource parameter to a call of a tool.
func TestMCPClient(t *testing.T) {
	t.Parallel()
	t.Run("registration", func(t *testing.T) {
		t.Parallel()
		useTools(t, func(*testing.T, *site) string { return "" })
	})
	t.Run("metadata document", func(t *testing.T) {
		t.Parallel()
		useTools(t, published)
	})
}

// useTools has the SDK call the tool, with the metadata document that document
// publishes before the program starts.
func useTools(t *testing.T, document func(t *testing.T, s *site) string) {
	t.Helper()
	eachProvider(t, func(t *testing.T, s *site) {
		m := newTools(t)
		s.provide(m.resource())
		id := document(t, s)
		s.serve()
		m.trust(s.base)
		f := &relying{t: t, who: s.jane(t), at: s.visitor(t)}
		cmd := script(t, "mcp.mjs")
		cmd.Args = append(cmd.Args, m.resource(), id)
		done := f.run("MCP SDK", cmd)
		if said, _ := done["said"].(string); !strings.HasPrefix(said, "hello ") || len(said) < 20 {
			t.Errorf("the tool said %q", said)
		}
		if id != "" && done["client"] != id {
			t.Errorf("the client is %v, want its document %s", done["client"], id)
		}
	})
}

// published puts a client id metadata document on a server with TLS, whose
// certificate the program trusts as it would a public one.
func published(t *testing.T, s *site) string {
	t.Helper()
	var doc *httptest.Server
	doc = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		err := json.NewEncoder(w).Encode(map[string]any{
			"client_id": doc.URL + r.URL.Path, "client_name": "MCP client", "redirect_uris": []string{"http://127.0.0.1:3000/callback"},
			"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"}, "token_endpoint_auth_method": "none",
		})
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(doc.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: doc.Certificate().Raw})
	s.env = append(s.env, "SSL_CERT_FILE="+s.write("roots.pem", string(certificate)))
	return doc.URL + "/client.json"
}
