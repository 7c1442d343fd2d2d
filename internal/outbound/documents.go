package outbound

import (
	"net/http"
	"sync"
)

// Documents reads small public documents of others (key sets, client metadata,
// lists of redirect URIs) by one guarded client, and keeps them as long as their
// publisher says. Any number of goroutines may use one.
type Documents struct {
	client *http.Client
	mu     sync.Mutex
}
