package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport/internal/identity"
)

// Life is how long a ceremony may take, from options to response.
const Life = 5 * time.Minute

// MaxResponse is the greatest size of a response in bytes. An RSA credential with
// its attestation has some 2,000.
const MaxResponse = 64 << 10

// Register begins a registration: options are for navigator.credentials.create
// (PublicKeyCredentialCreationOptionsJSON), state is for Registered. An
// authenticator that holds one of have refuses to make another.
func (p Party) Register(u identity.User, have []Passkey) (options, state json.RawMessage, err error) {
	who := newPerson(u, have)
	creation, session, err := p.web.BeginRegistration(who,
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		}),
		webauthn.WithConveyancePreference(protocol.PreferNoAttestation),
		webauthn.WithExclusions(webauthn.Credentials(who.have).CredentialDescriptors()),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("begin a registration: %w", err)
	}
	return finish(creation.Response, session)
}

// Registered ends a registration with the browser's response
// (RegistrationResponseJSON). The passkey is not stored yet. Fails with
// ErrRefused.
func (p Party) Registered(u identity.User, name string, state, response json.RawMessage, now time.Time) (Passkey, error) {
	session, err := kept(state)
	if err != nil {
		return Passkey{}, err
	}
	if len(response) > MaxResponse {
		return Passkey{}, refused(fmt.Errorf("a response of %d bytes", len(response)))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Passkey{}, refused(err)
	}
	c, err := p.web.CreateCredential(newPerson(u, nil), session, parsed)
	if err != nil {
		return Passkey{}, refused(err)
	}
	if len(c.ID) > maxID {
		return Passkey{}, refused(fmt.Errorf("a credential id of %d bytes", len(c.ID)))
	}
	// What was attested is not kept: it was not asked for and nobody judges it.
	c.Attestation = webauthn.CredentialAttestation{}
	return Passkey{ID: c.ID, UserID: u.ID, Name: name, Synced: c.Flags.BackupEligible, CreatedAt: now, credential: *c}, nil
}

// Ask begins a proof by any passkey of anybody: options are for
// navigator.credentials.get (PublicKeyCredentialRequestOptionsJSON). They name no
// credential, so that they tell nobody who has one.
func (p Party) Ask() (options, state json.RawMessage, err error) {
	assertion, session, err := p.web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, nil, fmt.Errorf("begin a proof: %w", err)
	}
	return finish(assertion.Response, session)
}

// Claimed is the id of the passkey that a response (AuthenticationResponseJSON)
// claims to be of, to look it up by. Fails with ErrRefused.
func Claimed(response json.RawMessage) (ID, error) {
	parsed, err := parseAnswer(response)
	if err != nil {
		return nil, err
	}
	return parsed.RawID, nil
}

// Answered judges a response to Ask by the passkey that it claims to be of, and
// returns that passkey as it is after this use; Used stores it. A counter that did
// not grow means that there is a copy, and is refused (WebAuthn §6.1.1). Fails
// with ErrRefused.
func (p Party) Answered(k Passkey, state, response json.RawMessage, now time.Time) (Passkey, error) {
	session, err := kept(state)
	if err != nil {
		return Passkey{}, err
	}
	parsed, err := parseAnswer(response)
	if err != nil {
		return Passkey{}, err
	}
	owner := newPerson(identity.User{ID: k.UserID}, []Passkey{k})
	_, c, err := p.web.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		if !bytes.Equal(handle, owner.WebAuthnID()) {
			return nil, errors.New("the user handle is another user's")
		}
		return owner, nil
	}, session, parsed)
	if err != nil {
		return Passkey{}, refused(err)
	}
	if c.Authenticator.CloneWarning {
		return Passkey{}, refused(fmt.Errorf("the counter of %s went from %d to %d: there is a copy",
			k.ID, k.credential.Authenticator.SignCount, parsed.Response.AuthenticatorData.Counter))
	}
	k.credential, k.UsedAt = *c, now
	return k, nil
}

func parseAnswer(response json.RawMessage) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > MaxResponse {
		return nil, refused(fmt.Errorf("a response of %d bytes", len(response)))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refused(err)
	}
	return parsed, nil
}

// finish is the end of both beginnings.
func finish(options any, session *webauthn.SessionData) (json.RawMessage, json.RawMessage, error) {
	o, err := json.Marshal(options)
	if err != nil {
		return nil, nil, fmt.Errorf("write the options of a ceremony: %w", err)
	}
	s, err := keep(session)
	return o, s, err
}

// refused is ErrRefused with its cause, as far as the library tells it.
func refused(err error) error {
	if p, ok := errors.AsType[*protocol.Error](err); ok {
		return fmt.Errorf("%w: %s: %s", ErrRefused, p.Details, p.DevInfo)
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// printable is one line of what can be shown.
func printable(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }), " ")
}
