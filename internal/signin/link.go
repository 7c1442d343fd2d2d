package signin

import (
	"strings"

	"sallyport/internal/wire"
)

// linkTo is the address that a mail carries: the application's own page if it
// named one, else ours, with the secret as the query parameter "token", or where
// ours has it in its path.
func linkTo(own, ours, secret string) string {
	page := ours
	if own == "" && strings.Contains(ours, "{token}") {
		return strings.Replace(ours, "{token}", secret, 1)
	}
	if own != "" {
		page = own
	}
	return wire.WithQuery(page, "token", secret)
}
