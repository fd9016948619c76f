package replica

import (
	"errors"

	"github.com/starling-sync/starling/replica/store"
)

// Errors that a caller branches on. Those of the store are passed on.
var (
	ErrNotFound     = errors.New("not found")
	ErrBadEdit      = errors.New("malformed edit")
	ErrClosed       = errors.New("replica is closed")
	ErrWrongAccount = errors.New("the store belongs to another account")
	ErrNotMember    = errors.New("not a member of the account")

	ErrInUse    = store.ErrInUse
	ErrDiskFull = store.ErrDiskFull
	ErrDamaged  = store.ErrDamaged
	ErrReadOnly = store.ErrReadOnly
)
