package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show this device, the others, and the fingerprint of the state", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				s, err := api.Status(ctx)
				if err != nil || a.json {
					return first(err, func() error { return a.emit(s) })
				}
				return a.printStatus(&s)
			})
		}),
	}
}

func (a *app) printStatus(s *model.Status) error {
	c := s.Counts
	rows := [][]string{
		{"account", s.Account},
		{"standing", standingOf(s)},
		{"fingerprint", s.Fingerprint},
		{"frontier", s.Frontier},
		{"holds", strings.Join([]string{
			count(c.Chats, "chat"), count(c.Contacts, "contact"), count(c.Labels, "label"),
			count(c.Settings, "setting"), count(c.Devices, "device"),
		}, ", ")},
		{"envelopes", fmt.Sprintf("%d of %s, %s not yet sealed, %d refused",
			c.Envelopes, count(c.Writers, "writer"), count(c.Pending, "own change"), c.Faults)},
	}
	for _, addr := range s.Addrs {
		rows = append(rows, []string{"address", addr})
	}
	for _, p := range s.Peers {
		rows = append(rows, []string{"peer", p.Name + ": " + peerState(&p)})
	}
	return a.table([]string{"device", fmt.Sprintf("%s (%s)", s.Name, s.Device)}, rows, "")
}

// standingOf says how this device stands, and what to do about it.
func standingOf(s *model.Status) string {
	switch s.Standing {
	case model.StandingRemoved:
		return "removed: it gets nothing that is written now, and cannot write"
	case model.StandingOrphaned:
		return "orphaned: a device that was out had added it; on another device run\nstarling devices readd " + s.Device
	case model.StandingFrozen:
		return "frozen: no device is left in the account; on the one that stays run starling recover"
	}
	return string(s.Standing)
}

func peerState(p *model.Peer) string {
	switch {
	case p.Connected && p.InSync:
		return "connected, in sync, at " + p.Addr
	case p.Connected:
		return "connected, exchanging, at " + p.Addr
	case p.LastHeard != 0:
		return "not connected, last heard " + p.LastHeard.String()
	}
	return "not connected"
}
