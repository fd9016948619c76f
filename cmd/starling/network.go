package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
)

// networkFlags say how a command takes part in the network itself.
type networkFlags struct {
	listen      string
	noDiscovery bool
	peers       []string
	verbose     bool
}

func (n *networkFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.listen, "listen", "", "listen on this `HOST:PORT`, TCP and UDP; default any port on every interface")
	cmd.Flags().BoolVar(&n.noDiscovery, "no-discovery", false, "do not look for devices by multicast DNS")
	cmd.Flags().StringArrayVar(&n.peers, "peer", nil, "keep dialling this `MULTIADDR`; can be repeated")
	cmd.Flags().BoolVarP(&n.verbose, "verbose", "v", false, "log to standard error")
}

func (n *networkFlags) config(id *encryption.Identity, logs io.Writer) *engineConfig {
	level := slog.LevelError
	if n.verbose {
		level = slog.LevelDebug
	}
	return &engineConfig{
		Identity: id, Listen: n.listen, NoDiscovery: n.noDiscovery, Peers: n.peers,
		Log: logTo(logs, level),
	}
}

// logTo writes lines of at least a level.
func logTo(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
