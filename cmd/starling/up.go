package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) upCommand() *cobra.Command {
	var network networkFlags
	var socket string
	cmd := &cobra.Command{
		Use: "up", Short: "Run the daemon of this device, in the foreground", Args: cobra.NoArgs,
		Long: "Run the daemon of this device until Ctrl-C: it finds the account's other devices,\nexchanges changes with them, and serves all other commands over a Unix socket.",
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.up(ctx, &network, socket) }),
	}
	network.add(cmd)
	cmd.Flags().StringVar(&socket, "api", "", "`PATH` of the Unix socket; default in $XDG_RUNTIME_DIR/starling")
	return cmd
}

func (a *app) up(ctx context.Context, network *networkFlags, socket string) error {
	running, err := runningDaemon(ctx, a.dir)
	if err != nil {
		return err
	}
	if running != nil {
		return client.Errorf(client.CodeInUse, "a daemon runs on %s already (process %d)", a.dir, running.PID)
	}
	id, err := a.openIdentity()
	if err != nil {
		return err
	}
	staySmall()
	config := network.config(nil, a.stderr)
	e, err := openEngine(ctx, a.dir, config.of(id))
	if err != nil {
		return err
	}
	if socket == "" {
		socket = client.DefaultSocket(a.dir)
	}
	v := newVault(ctx, a.dir, e, config)
	return errors.Join(a.serve(ctx, v, e, socket), v.Close())
}

// serve runs until ctx ends.
func (a *app) serve(ctx context.Context, v *vault, e *engine, socket string) error {
	socket, err := client.CheckSocketPath(socket)
	if err != nil {
		return err
	}
	listener, err := localapi.Listen(socket)
	if err != nil {
		return err
	}
	withdraw, err := daemonInfo{API: socket, PID: os.Getpid()}.announce(a.dir)
	if err != nil {
		return errors.Join(fmt.Errorf("announce the daemon: %w", err), listener.Close())
	}
	defer withdraw()
	if err := a.ready(e, socket); err != nil {
		return errors.Join(err, listener.Close())
	}
	return localapi.Serve(ctx, listener, v)
}

// ready tells who waits for the daemon that it can be used. The socket takes
// connections from before on.
func (a *app) ready(e *engine, socket string) error {
	type event struct {
		Event  string   `json:"event"`
		PeerID string   `json:"peer_id"`
		Addrs  []string `json:"addrs"`
		API    string   `json:"api"`
	}
	addrs := list(e.host.Addrs())
	if a.json {
		return a.emit(event{"ready", e.host.PeerID(), addrs, socket})
	}
	if err := a.say("Up, with commands at %s and other devices at", socket); err != nil {
		return err
	}
	for _, addr := range addrs {
		if err := a.say("    %s", addr); err != nil {
			return err
		}
	}
	return a.say("Ctrl-C ends it.")
}

// Limits for a daemon that runs all day beside everything else: the heap may
// grow by half before it is collected, and more is collected near the limit.
// GOGC and GOMEMLIMIT overrule them.
const (
	heapGrowth = 50       // per cent
	softMemory = 56 << 20 // bytes of the Go runtime
)

// staySmall also gives back what unlocking took: a passphrase costs 128 MiB.
func staySmall() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	debug.FreeOSMemory()
}
