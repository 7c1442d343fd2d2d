package hackillinois_test

import (
	"testing"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestLogin(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSite(t, d)
		token := s.login("github", "")
		want(t, "own roles", s.get("/auth/roles/", token), 200, `{"id":"github6892396","roles":["User"]}`+"\n")
		want(t, "own profile", s.get("/user/", token), 200, `{"id":"github6892396","username":"jane","firstName":"Jane","lastName":"Doe","email":"jane@gmail.com"}`+"\n")
	})
}
