package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Key opens a locked daemon: one of a passphrase, the 64 hexadecimal digits of
// a key file, or those of a key that the keychain holds. It prints redacted.
type Key struct {
	Passphrase  string `json:"passphrase,omitempty"`
	KeyFile     string `json:"key_file,omitempty"` // its content
	KeychainKey string `json:"keychain_key,omitempty"`
}

// Format keeps the secret out of whatever prints a Key.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, "[key]") }

// Locker locks and unlocks a daemon.
type Locker interface {
	// Lock ends the network and forgets all keys; the daemon goes on running.
	// Until it is unlocked everything else fails with CodeUnlock. Locking a
	// locked daemon changes nothing.
	Lock(ctx context.Context) error
	// Unlock opens it again. A wrong key gives an Error with CodeUnlock, an
	// open daemon one with CodeInUse.
	Unlock(ctx context.Context, key Key) error
}

var _ Locker = (*Client)(nil)

// Lock implements Locker.
func (c *Client) Lock(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/lock", nil, nil)
}

// Unlock implements Locker.
func (c *Client) Unlock(ctx context.Context, key Key) error {
	return c.call(ctx, http.MethodPost, "/v1/unlock", key, nil)
}
