package saml

import "strings"

// For is the entity ID that a response names as its audience, or that a
// LogoutRequest's destination leads to: what it says itself, verified by nothing.
// It is good for finding the connection to judge it by, which then must be the one
// that it is signed for.
func For(message string) (id string) {
	var err error
	defer fallen(&err)
	root, err := decode(message)
	if err != nil {
		return ""
	}
	for _, e := range root.FindElements("./Assertion/Conditions/AudienceRestriction/Audience") {
		return strings.TrimSpace(text(e))
	}
	return ""
}

// OrgOf is the organization that an entity ID of ours at base was made for.
func OrgOf(base, entityID string) (org string, ok bool) {
	return strings.CutPrefix(entityID, PartyAt(base, "").EntityID)
}
