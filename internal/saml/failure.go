package saml

import (
	"fmt"
	"maps"
	"slices"
)

// Reason is why a message or a document was refused: one of a closed list, for
// pages that say it in other languages.
type Reason string

// The reasons.
const (
	BadEncoding    Reason = "bad_encoding"
	TooLarge       Reason = "too_large"
	NotXML         Reason = "not_xml"
	ForbiddenXML   Reason = "forbidden_xml"
	AmbiguousXML   Reason = "ambiguous_xml"
	DuplicateID    Reason = "duplicate_id"
	WrongMessage   Reason = "wrong_message"
	Misplaced      Reason = "misplaced"
	ManyAssertions Reason = "many_assertions"
	NoAssertion    Reason = "no_assertion"

	Unsigned         Reason = "unsigned"
	BadSignature     Reason = "bad_signature"
	SignatureShape   Reason = "signature_shape"
	SignatureTarget  Reason = "signature_target"
	WeakAlgorithm    Reason = "weak_algorithm"
	UnknownKey       Reason = "unknown_key"
	ExpiredKey       Reason = "expired_key"
	NoKey            Reason = "no_key"
	NotEncrypted     Reason = "not_encrypted"
	WeakEncryption   Reason = "weak_encryption"
	Undecryptable    Reason = "undecryptable"
	EncryptedMembers Reason = "encrypted_members"

	Denied           Reason = "denied"
	WrongVersion     Reason = "wrong_version"
	WrongIssuer      Reason = "wrong_issuer"
	WrongDestination Reason = "wrong_destination"
	WrongRecipient   Reason = "wrong_recipient"
	WrongAudience    Reason = "wrong_audience"
	WrongRequest     Reason = "wrong_request"
	NotAsked         Reason = "not_asked"
	NotYet           Reason = "not_yet"
	Expired          Reason = "expired"
	NoTime           Reason = "no_time"
	NotBearer        Reason = "not_bearer"
	UnknownCondition Reason = "unknown_condition"
	NoSubject        Reason = "no_subject"
	Transient        Reason = "transient"
	NoStatement      Reason = "no_statement"
	Replayed         Reason = "replayed"

	NoEntity     Reason = "no_entity"
	ManyEntities Reason = "many_entities"
	NoSignOn     Reason = "no_sign_on"
	BadAddress   Reason = "bad_address"
	BadKey       Reason = "bad_key"
)

// words are the reasons in a sentence, with what is specific in its %s.
var words = map[Reason]string{
	BadEncoding:    "the message is not Base64 of a SAML message",
	TooLarge:       "the message is too large: %s",
	NotXML:         "the message is not well-formed XML: %s",
	ForbiddenXML:   "the message holds %s, which a SAML message never needs and attacks are made of",
	AmbiguousXML:   "the message can be read in more than one way: %s",
	DuplicateID:    "two elements of the message have the same ID %s",
	WrongMessage:   "the message is %s where %s was expected",
	Misplaced:      "the message has an element where none belongs: %s",
	ManyAssertions: "the response holds %s assertions; it must hold one",
	NoAssertion:    "the response says that the sign-in worked, but holds no assertion",

	Unsigned:         "neither the response nor its assertion is signed; switch on signing at the identity provider",
	BadSignature:     "the signature is wrong: the message was changed after it was signed, or another key signed it",
	SignatureShape:   "the signature is not of the form that SAML has it: %s",
	SignatureTarget:  "the signature is about another element than the one it stands in",
	WeakAlgorithm:    "the signature uses %s; choose RSA or ECDSA with SHA-256 at the identity provider",
	UnknownKey:       "the message is signed with a certificate that this connection does not have (SHA-256 %s); if the identity provider has a new one, add it",
	ExpiredKey:       "the certificate that the message is signed with is not valid now: it is from %s to %s",
	NoKey:            "the connection has no certificate of the identity provider",
	NotEncrypted:     "the assertion is not encrypted, and this connection wants it to be",
	WeakEncryption:   "the assertion is encrypted with %s; choose AES-GCM with RSA-OAEP at the identity provider, or no encryption",
	Undecryptable:    "the assertion is encrypted for another key than ours; give the identity provider our metadata anew",
	EncryptedMembers: "the assertion holds an encrypted %s; encrypt the whole assertion or nothing",

	Denied:           "the identity provider refused the sign-in (%s)",
	WrongVersion:     "the message is of SAML version %s; only 2.0 is spoken here",
	WrongIssuer:      "the issuer is %s where this connection has %s; the entity ID must be the same on both sides",
	WrongDestination: "the message was sent to %s, but its destination is %s; set our address at the identity provider",
	WrongRecipient:   "the assertion is for the address %s, not for %s; set the ACS URL at the identity provider",
	WrongAudience:    "the assertion is for %s, not for %s; set the audience (entity ID) at the identity provider",
	WrongRequest:     "the response answers another request than the one that this browser made",
	NotAsked:         "the response answers no request, and sign-ins that begin at the identity provider are switched off for this connection",
	NotYet:           "the assertion is not valid before %s, and here it is %s; compare the clocks",
	Expired:          "the assertion was valid until %s, and here it is %s; compare the clocks",
	NoTime:           "the message has no valid time in %s",
	NotBearer:        "the assertion is not one that a browser may carry: it has no confirmation of the bearer method, or more than one",
	UnknownCondition: "the assertion has a condition that is not known here: %s",
	NoSubject:        "the assertion does not say whom it is about: it has no NameID",
	Transient:        "the NameID is another at each sign-in (transient); choose persistent or emailAddress at the identity provider",
	NoStatement:      "the assertion does not say that the person has signed in: it has no AuthnStatement",
	Replayed:         "the assertion has been used before",

	NoEntity:     "the metadata describe no identity provider of SAML 2.0",
	ManyEntities: "the metadata describe %s identity providers; say which one is meant by its entity ID",
	NoSignOn:     "the metadata name no address to sign in at, by redirect or form",
	BadAddress:   "the address %s cannot be used: it must be https",
	BadKey:       "a certificate cannot be used: %s",
}

// Reasons are all there are, in order.
func Reasons() []Reason { return slices.Sorted(maps.Keys(words)) }

// Failure is a refusal. Params are what is specific about it, made harmless for
// logs and pages; the same in every language.
type Failure struct {
	Reason Reason
	Params []string
}

// Error says it in English, for the log and for whoever administers the
// connection.
func (f *Failure) Error() string {
	args := make([]any, len(f.Params))
	for i, p := range f.Params {
		args[i] = p
	}
	return "saml: " + fmt.Sprintf(words[f.Reason], args...)
}

// Words is Error without the package.
func (f *Failure) Words() string { return f.Error()[len("saml: "):] }

// refuse makes a failure; what the other side wrote is cut and cleaned.
func refuse(r Reason, params ...string) error {
	for i, p := range params {
		params[i] = shown(p)
	}
	return &Failure{r, params}
}

// maxShown bounds what is repeated of the other side's words, in characters.
const maxShown = 200

// shown is a text on one line, without what a log or a terminal trips over.
func shown(s string) string {
	out := make([]rune, 0, min(len(s), maxShown+1))
	for _, r := range s {
		if len(out) == maxShown {
			return string(append(out, '…'))
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			r = '?'
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return "(nothing)"
	}
	return string(out)
}
