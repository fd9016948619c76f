package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// daemonFile is where, in a directory, its running daemon can be found. It is
// written when the daemon is ready and removed when it ends; one that a killed
// daemon left is noticed because nobody answers.
const daemonFile = "daemon.json"

type daemonInfo struct {
	API string `json:"api"` // path of the Unix socket
	PID int    `json:"pid"`
}

// runningDaemon returns the daemon of dir, or nil when none answers.
func runningDaemon(ctx context.Context, dir string) (*daemonInfo, error) {
	raw, err := os.ReadFile(filepath.Join(dir, daemonFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the daemon: %w", err)
	}
	var d daemonInfo
	if json.Unmarshal(raw, &d) != nil || d.API == "" {
		return nil, nil // half-written by a daemon that was killed
	}
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", d.API)
	if errors.Is(err, fs.ErrPermission) {
		return nil, client.Errorf(client.CodePermission, "the daemon of %s: %w", dir, err)
	}
	if err != nil {
		return nil, ctx.Err()
	}
	_ = conn.Close() // it was only asked whether somebody is there
	return &d, nil
}

// announce writes the daemon file whole or not at all; withdraw removes it.
func (d daemonInfo) announce(dir string) (withdraw func(), err error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, daemonFile)
	if err := os.WriteFile(path+".new", append(raw, '\n'), 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil
}
