package oauth

import "time"

// Error is a refusal as RFC 6749 §5.2 and its descendants word it: the one kind
// of failure that is spelt on the wire, because every client library knows it.
// Description is for the client's developer and holds no secret. Detail is for
// the operator's log alone: which character, which claim, how many seconds.
type Error struct {
	Code        string
	Description string
	Detail      string
	RetryAfter  time.Duration // of SlowDown and of limits
	Nonce       bool          // a fresh DPoP nonce is to be sent along (RFC 9449 §8)
	Err         error
}

// Error words it for a log.
func (e *Error) Error() string {
	s := "oauth: " + e.Code
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// The codes (RFC 6749 §4.1.2.1, §5.2; RFC 7591 §3.2.2; RFC 8628 §3.5; RFC 8707
// §2; RFC 9101 §6; RFC 9449 §5, §8; RFC 6750 §3.1; OpenID Connect Core §3.1.2.6).
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target"
	AccessDenied            = "access_denied"
	ServerError             = "server_error"
	TemporarilyUnavailable  = "temporarily_unavailable"
	LoginRequired           = "login_required"
	ConsentRequired         = "consent_required"
	InteractionRequired     = "interaction_required"
	UnmetAuthentication     = "unmet_authentication_requirements"
	InvalidRequestURI       = "invalid_request_uri"
	InvalidRequestObject    = "invalid_request_object"
	RequestNotSupported     = "request_not_supported"
	RegistrationUnsupported = "registration_not_supported"
	InvalidDPoPProof        = "invalid_dpop_proof"
	UseDPoPNonce            = "use_dpop_nonce"
	InvalidToken            = "invalid_token"
	InsufficientScope       = "insufficient_scope"
	AuthorizationPending    = "authorization_pending"
	SlowDown                = "slow_down"
	ExpiredToken            = "expired_token"
	InvalidRedirectURI      = "invalid_redirect_uri"
	InvalidClientMetadata   = "invalid_client_metadata"
	UnsupportedTokenType    = "unsupported_token_type"
)

func refuse(code, description string) *Error { return &Error{Code: code, Description: description} }
