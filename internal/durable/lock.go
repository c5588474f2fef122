package durable

import "errors"

// ErrLocked says that another process holds a lock that excludes ours.
var ErrLocked = errors.New("locked by another process")
