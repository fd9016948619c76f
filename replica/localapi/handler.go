package localapi

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Config changes what New does. The zero value, and nil, are the defaults.
type Config struct {
	// Log gets one line for each internal error. Default: slog.Default().
	Log *slog.Logger
	// Heartbeat is the longest silence of an event stream; a comment is sent
	// when it has passed, so that a dead client is noticed. Default: 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may take for one piece of an answer
	// or of an event stream before it is dropped. Default: 10 s.
	WriteTimeout time.Duration
	// ReadTimeout is how long a client may take to send a body. Default: 60 s.
	ReadTimeout time.Duration
	// Streams is how many event streams may be open at once; one more is
	// refused with the code rate-limited. Default: 64.
	Streams int
	// Buffer is how many events wait for one slow client before its
	// subscription stops asking the replica for more. Default: 256.
	Buffer int
	// Locker locks and unlocks the daemon. Default: none, and the paths for
	// it answer with the code unreachable.
	Locker client.Locker
	// Keeper manages the devices and keys of the account. Default: none,
	// likewise.
	Keeper client.Keeper
}

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	d.Log = cmp.Or(d.Log, slog.Default())
	d.Heartbeat = cmp.Or(d.Heartbeat, 15*time.Second)
	d.WriteTimeout = cmp.Or(d.WriteTimeout, 10*time.Second)
	d.ReadTimeout = cmp.Or(d.ReadTimeout, 60*time.Second)
	d.Streams = cmp.Or(d.Streams, 64)
	d.Buffer = cmp.Or(d.Buffer, 256)
	return d
}

// server is one handler. All fields are read-only after New or guard themselves.
type server struct {
	Config
	api     client.API
	linker  client.Linker // nil: none
	table   []route
	once    *once
	streams chan struct{} // holds one element for each open event stream
	bulk    chan struct{} // likewise for each large body being read or applied
}

// New returns the handler of one replica. With a nil linker the paths under
// /v1/invites answer with the code unreachable. The handler may be used with
// any http.Server; Serve gives it the limits that only a server can set. A
// panic in the replica is left to the server, which logs it and cuts the
// connection.
func New(api client.API, linker client.Linker, config *Config) http.Handler {
	s := &server{Config: config.withDefaults(), api: api, linker: linker, once: newOnce(keyWindow)}
	s.streams = make(chan struct{}, s.Streams)
	s.bulk = make(chan struct{}, bulkBodies)
	s.table = s.routes()
	return s
}
