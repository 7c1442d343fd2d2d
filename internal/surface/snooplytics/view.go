package snooplytics

import (
	"sallyport/internal/identity"
	"sallyport/internal/session"
)

// user is a person on the wire (contract §11, U).
type user struct {
	ID        identity.UserID `json:"id"`
	Email     string          `json:"email"`
	Name      string          `json:"name"`
	Image     *string         `json:"image"`
	Verified  bool            `json:"emailVerified"`
	CreatedAt stamp           `json:"createdAt"`
	UpdatedAt stamp           `json:"updatedAt"`
	TwoFactor bool            `json:"twoFactorEnabled"`
}

func userOf(u identity.User, factor bool) user {
	return user{
		ID: u.ID, Email: u.Email, Name: u.DisplayName, Verified: u.EmailVerified,
		CreatedAt: stamp(u.CreatedAt), UpdatedAt: stamp(u.UpdatedAt), TwoFactor: factor,
	}
}

// sitting is a session on the wire (contract §11, S), without what opens it.
type sitting struct {
	ID        session.ID      `json:"id"`
	UserID    identity.UserID `json:"userId"`
	ExpiresAt stamp           `json:"expiresAt"`
	CreatedAt stamp           `json:"createdAt"`
	UpdatedAt stamp           `json:"updatedAt"`
	IPAddress string          `json:"ipAddress"`
	UserAgent string          `json:"userAgent"`
}

func sittingOf(s session.Session) sitting {
	return sitting{
		ID: s.ID, UserID: s.UserID, ExpiresAt: stamp(s.ExpiresAt), CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.CreatedAt),
		IPAddress: s.IP, UserAgent: s.UserAgent,
	}
}
