package resource

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/client"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/jwks"
)

func TestApplyStoresWhatTheProviderAsks(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{})
		bank := s.client("bank").Policy
		want := client.OAuth{
			TokenEndpointAuth: "private_key_jwt", TokenEndpointAuthAlg: "ES256", TLSSubjectDN: "CN=bank",
			JWKS:   []byte(`{"keys":[{"crv":"P-256","kid":"1","kty":"EC","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`),
			Scopes: []string{"accounts:read", "payments"}, Consent: client.ConsentRequired,
			IDTokenAlg: "ES256", UserinfoAlg: "ES256", AuthorizationAlg: "EdDSA", IntrospectionAlg: "RS256", RequestObjectAlg: "PS256",
			RequireSignedRequest: true, RequirePAR: true, RequestURIs: []string{"https://bank.example.com/request.jwt#abc"},
			SubjectType: client.SubjectPairwise, SectorIdentifierURI: "https://bank.example.com/sector.json", DPoPBound: true, TLSBound: true,
			DefaultMaxAge: new(int64), RequireAuthTime: true, DefaultACR: []string{"2", "1"}, BackchannelNeedsSID: true, ApplicationType: "web",
			ClientURI: "https://bank.example.com/", PolicyURI: "https://bank.example.com/privacy", TermsURI: "https://bank.example.com/terms",
			InitiateLoginURI: "https://bank.example.com/start",
		}
		if !reflect.DeepEqual(bank.OAuth, want) {
			t.Errorf("got  %+v\nwant %+v", bank.OAuth, want)
		}
		if bank.AccessToken.Format != client.FormatOpaque || !bank.FAPI() {
			t.Errorf("got %+v", bank)
		}
		var all Surfaces
		s.read(func(ctx context.Context, tx *db.Tx) (err error) { all, err = SurfacesOf(ctx, tx); return err })
		if o := all.OIDC; o == nil || !*o.ClientDocuments || !reflect.DeepEqual(o.Scopes, []string{"notes:read"}) {
			t.Errorf("the surface: got %+v", o)
		}
	})
}

// The text of what every key changes to is what plan shows.
func TestPlanNamesEveryKeyOfTheProvider(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply("clients: [{key: bank, name: Bank}]", Options{})
		i := strings.Index(everything, "  - key: bank")
		j := strings.Index(everything, "  - {key: jwt")
		changes := s.plan("clients:\n"+everything[i:j], false)
		got := map[string]bool{}
		for _, c := range changes {
			for _, f := range c.Fields {
				got[f.Name] = true
			}
		}
		for _, a := range (OAuth{}).attrs() {
			if !got[a.name] {
				t.Errorf("%s is not in the plan", a.name)
			}
		}
		if fields := reflect.TypeFor[OAuth]().NumField(); fields != len(OAuth{}.attrs()) {
			t.Errorf("%d fields, %d of them shown", fields, len(OAuth{}.attrs()))
		}
	})
}

// Assertions by a secret are verified by the secret itself, so that its hash is
// not enough, and a later file may say that it stays.
func TestSecretJWTKeepsTheSecret(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		const basic = "clients: [{key: a, name: A, secret: env:HACK_SECRET}]"
		const signs = "clients: [{key: a, name: A, secret: env:HACK_SECRET, token_endpoint_auth_method: client_secret_jwt}]"
		const stays = "clients: [{key: a, name: A, secret: stored, token_endpoint_auth_method: client_secret_jwt}]"
		s.apply(basic, Options{})
		s.refused(stays, false, "there is no stored secret to sign by")
		s.apply(signs, Options{})
		s.settled("signs")
		wantNothing(t, "stored", s.plan(stays, false))
		s.read(func(ctx context.Context, tx *db.Tx) error {
			keys, err := jwks.Load(ctx, tx, s.Key)
			if len(keys) != 1 || string(keys[0].Private().([]byte)) != environment["HACK_SECRET"] || keys[0].ClientID != s.byKey("a") {
				t.Errorf("the secret is not kept: %v", keys)
			}
			return err
		})
	})
}

func TestProviderMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`token_endpoint_auth_method: magic`:                                        `token_endpoint_auth_method: must be none, client_secret_basic`,
		`token_endpoint_auth_method: none, secret: env:DEMO_SECRET`:                `token_endpoint_auth_method: the client has a secret`,
		`token_endpoint_auth_method: client_secret_post`:                           `token_endpoint_auth_method: needs a secret`,
		`token_endpoint_auth_method: private_key_jwt`:                              `token_endpoint_auth_method: needs jwks or jwks_uri`,
		`token_endpoint_auth_method: self_signed_tls_client_auth`:                  `token_endpoint_auth_method: needs jwks or jwks_uri`,
		`token_endpoint_auth_method: tls_client_auth`:                              `token_endpoint_auth_method: needs tls_client_auth_subject_dn`,
		`token_endpoint_auth_method: client_secret_jwt, secret: short-of-32-bytes`: `secret: must have at least 32 bytes`,
		`token_endpoint_auth_signing_alg: HS256`:                                   `token_endpoint_auth_signing_alg: must be`,
		`request_object_signing_alg: none`:                                         `request_object_signing_alg: must be`,
		`id_token_signed_response_alg: none`:                                       `id_token_signed_response_alg: must be RS256, ES256 or EdDSA`,
		`userinfo_signed_response_alg: HS256`:                                      `userinfo_signed_response_alg: must be`,
		`jwks: {keys: [{kty: oct, k: c2VjcmV0}]}`:                                  `jwks: must be a set of public keys: key 0 is private or symmetric`,
		`jwks: [1]`: `jwks: must be a set of public keys`,
		`jwks: {keys: []}, jwks_uri: https://a.example/jwks`: `jwks: jwks_uri names the keys already`,
		`access_token: {format: paper}`:                      `access_token.format: must be jwt or opaque`,
		`scopes: ["two words"]`:                              `scopes[0]: must be the name of a scope`,
		`consent: never`:                                     `consent: must be required or implicit`,
		`subject_type: secret`:                               `subject_type: must be public or pairwise`,
		`subject_type: pairwise, redirect_uris: [https://a.example/, https://b.example/]`: `subject_type: pairwise needs sector_identifier_uri`,
		`sector_identifier_uri: http://a.example/`:                                        `sector_identifier_uri: must be an https URL`,
		`request_uris: [https://10.0.0.1/]`:                                               `request_uris[0]: is in a private network`,
		`require_signed_request_object: true`:                                             `signed requests need jwks or jwks_uri`,
		`default_max_age: -1`:                                                             `default_max_age: must be a number of seconds`,
		`policy_uri: "javascript:alert(1)"`:                                               `policy_uri: must be an https URL`,
		`application_type: desktop`:                                                       `application_type: must be web or native`,
		`profile: fapi2, secret: env:DEMO_SECRET`:                                         `profile: the profile fapi2 needs token_endpoint_auth_method private_key_jwt`,
		`pkce: optional, jwks_uri: https://a.example/jwks`:                                `pkce: only a client that authenticates may go without PKCE`,
		`pkce: none`: `pkce: must be required, optional or plain`,
		`pkce: plain, profile: fapi2, token_endpoint_auth_method: private_key_jwt, jwks_uri: https://a.example/jwks`: `pkce: the profile fapi2 requires PKCE with S256`,
		`refresh_token: {cookie: {open: true}}`:                   `refresh_token.cookie.open: scripts must not read a refresh token`,
		`refresh_token: {cookie: {same_site: none, plain: true}}`: `refresh_token.cookie.plain: a cookie for other sites must be Secure`,
		`access_token: {cookie: {same_site: no}}`:                 `access_token.cookie.same_site: must be`,
		`access_token: {cookie: {name: "a b"}}`:                   `access_token.cookie.name: must be a cookie's name`,
		`refresh_token: {max_age: 10ms}`:                          `refresh_token.max_age: must be at least 1s`,
		`password: {max_length: 20}`:                              `password.max_length: must be at least 64`,
		`password: {min_length: 100, max_length: 80}`:             `password.max_length: must be at least 64, and not less than min_length`,
	} {
		got, _ := parsed(t, "clients: [{key: a, name: A, "+text+"}]", false)
		if !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`{scopes: ["clients:register"]}`: `surfaces.oidc.scopes[0]: by this scope clients are registered`,
		`{scopes: ["a b"]}`:              `surfaces.oidc.scopes[0]: must be the name of a scope`,
		`{client_documents: maybe}`:      `surfaces.oidc.client_documents: must be`,
	} {
		got, _ := parsed(t, "surfaces: {oidc: "+text+"}", false)
		if !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// Clients that registered themselves are not the file's: it neither writes nor
// takes them over, and does not prune them.
func TestSelfRegisteredClientsAreLeftAlone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newStage(t, d)
		s.apply(everything, Options{})
		dynamic := client.Client{ID: client.NewID(), Name: "Tool", Active: true, Source: client.Dynamic, CreatedAt: s.Now()}
		document := client.Client{ID: "https://tool.example/client", Name: "Doc", Active: true, Source: client.Document, CreatedAt: s.Now(), RefreshedAt: s.Now()}
		s.write(func(ctx context.Context, tx *db.Tx) error {
			for _, c := range []client.Client{dynamic, document} {
				if err := client.Create(ctx, tx, c); err != nil {
					return err
				}
				err := client.PutEnrolment(ctx, tx, client.Enrolment{UserID: s.id(ctx, tx, "jane@example.com"), ClientID: c.ID, Status: client.Active}, s.Now())
				if err != nil {
					return err
				}
			}
			return nil
		})
		text := s.settled("with clients of their own")
		if strings.Contains(text, string(dynamic.ID)) || strings.Contains(text, string(document.ID)) {
			t.Errorf("they are written:\n%s", text)
		}
		s.read(func(ctx context.Context, tx *db.Tx) error {
			for _, c := range []client.Client{dynamic, document} {
				if _, err := client.ByID(ctx, tx, c.ID); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
			return nil
		})
		taken := "clients: [{key: mine, name: Mine, id: " + string(dynamic.ID) + "}]"
		s.refused(taken, false, "is the id of a client that registered itself")
	})
}
