package wire

import "context"

// Mount is where a request met a surface: links in mails, cookie paths and the
// issuer follow it.
type Mount struct {
	Base   string // absolute URL without a slash at the end, with Path
	Path   string // "" or "/keymaster"
	Secure bool   // Base is https
}

type mountKey struct{}

// WithMount returns a context that carries m.
func WithMount(ctx context.Context, m Mount) context.Context {
	return context.WithValue(ctx, mountKey{}, m)
}

// MountOf returns the mount of the request that ctx belongs to. Without one it
// is zero: no base, and cookies for "/" that need https.
func MountOf(ctx context.Context) Mount {
	if m, ok := ctx.Value(mountKey{}).(Mount); ok {
		return m
	}
	return Mount{Secure: true}
}
