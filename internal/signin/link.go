package signin

import "sallyport/internal/wire"

// linkTo is the address that a mail carries: the application's own page if it
// named one, else ours, with the secret as the query parameter "token".
func linkTo(own, ours, secret string) string {
	page := ours
	if own != "" {
		page = own
	}
	return wire.WithQuery(page, "token", secret)
}
