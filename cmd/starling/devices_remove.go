package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) devicesRemoveCommand() *cobra.Command {
	var lost, yes bool
	cmd := &cobra.Command{
		Use: "remove ID", Short: "Take a device out of the account", Args: cobra.ExactArgs(1),
		Long: "Take a device out of the account. It keeps what it has, and gets nothing that is\nwritten afterwards by a device that knows of the removal. It never comes back under\nits id; to use it again, link it anew. Removing this device itself is leaving.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withKeeper(ctx, func(api keeperAPI) error { return a.removeDevice(ctx, api, args[0], lost, yes) })
		}),
	}
	cmd.Flags().BoolVar(&lost, "lost", false, "the device is lost or stolen: say what that means for it")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// keeperAPI is what a daemon and a replica in this process both are.
type keeperAPI interface {
	client.API
	client.Keeper
}

var (
	_ keeperAPI = (*engine)(nil)
	_ keeperAPI = (*client.Client)(nil)
)

// withKeeper performs fn like with, for what changes the account itself.
func (a *app) withKeeper(ctx context.Context, fn func(keeperAPI) error) error {
	return a.with(ctx, func(api client.API) error { return fn(api.(keeperAPI)) })
}

func (a *app) removeDevice(ctx context.Context, api keeperAPI, id string, lost, yes bool) error {
	devices, err := api.ListDevices(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(devices, func(d model.Device) bool { return d.ID == id })
	if i < 0 {
		return client.Errorf(client.CodeNotFound, "no device %q in the account", id)
	}
	if err := a.consentRemoval(devices, &devices[i], lost, yes); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	events := api.Events(waiting, 0)
	removal, err := api.RemoveDevice(ctx, id)
	if err != nil {
		return err
	}
	removal = awaitConfirmed(waiting, api, events, devices, removal)
	if a.json {
		return a.emit(removal)
	}
	return a.printRemoval(&removal, namesOf(devices), lost)
}

// confirmTime is how long connected devices may take to confirm a removal.
const confirmTime = 2 * time.Second

// awaitConfirmed waits until the devices that are connected have confirmed.
func awaitConfirmed(ctx context.Context, api keeperAPI, events iter.Seq2[model.Event, error], devices []model.Device, r model.Removal) model.Removal {
	outstanding := func() bool {
		return slices.ContainsFunc(devices, func(d model.Device) bool {
			return d.Connected && slices.Contains(r.Unconfirmed, d.ID)
		})
	}
	if !outstanding() {
		return r
	}
	for _, err := range events {
		all, e := api.ListRemovals(ctx)
		if err != nil || e != nil {
			break // the time is over; the removal stands anyway
		}
		if i := slices.IndexFunc(all, func(o model.Removal) bool { return o.ID == r.ID }); i >= 0 {
			r = all[i]
		}
		if !outstanding() {
			break
		}
	}
	return r
}

// consentRemoval says what the removal means, and asks.
func (a *app) consentRemoval(devices []model.Device, d *model.Device, lost, yes bool) error {
	if err := a.canAsk(yes, "starling devices remove"); err != nil || yes {
		return err
	}
	names := namesOf(devices)
	a.prompt("%s\n", shown(fmt.Sprintf("%s (%s)", d.Name, d.ID)))
	a.prompt("  added %s by %s, %s\n", d.AddedAt, shown(names.of(d.AddedBy)), reach(d))
	if d.Self {
		a.prompt("This is this device. It will leave the account and read nothing that follows.\n")
	}
	if len(devices) == 1 {
		a.prompt("It is the last one: only the recovery words bring the account back.\n")
	}
	a.prompt("It keeps what it has. What the other devices write from now on it cannot read.\n")
	if lost {
		a.prompt("Whoever has it can read what it holds, if they can unlock it.\n")
	}
	return a.confirmed("Remove it?")
}

func (a *app) printRemoval(r *model.Removal, names deviceNames, lost bool) error {
	confirmed := fmt.Sprintf("confirmed on %d of %s", len(r.ConfirmedBy), count(len(r.ConfirmedBy)+len(r.Unconfirmed), "device"))
	if err := a.say("Removed %s: %s.", r.Name, confirmed); err != nil {
		return err
	}
	for _, id := range r.Unconfirmed {
		if err := a.say("  %s does not know yet; what it writes until then, %s can still read.", names.of(id), r.Name); err != nil {
			return err
		}
	}
	if lost {
		return a.say("Where it is unlocked, everything that it holds can be read: change passwords that were in it.")
	}
	return nil
}

// deviceNames are the names of devices by id.
type deviceNames map[string]string

func namesOf(devices []model.Device) deviceNames {
	names := deviceNames{}
	for _, d := range devices {
		names[d.ID] = d.Name
	}
	return names
}

func (n deviceNames) of(id string) string {
	if id == "" {
		return "no device: it began the account, or restored it"
	}
	if name, ok := n[id]; ok {
		return name
	}
	return id
}

func (a *app) devicesReaddCommand() *cobra.Command {
	return &cobra.Command{
		Use: "readd ID", Short: "Add a device again that a removed one had added", Args: cobra.ExactArgs(1),
		Long: "Add a device again that had been added by one which was out already, unknown to both:\nstarling status on it says that it is orphaned, and its id. It keeps its keys, gets\nanother id, and brings what it wrote meanwhile.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withKeeper(ctx, func(api keeperAPI) error {
				d, err := api.ReaddDevice(ctx, args[0])
				if err != nil {
					return err
				}
				return a.report(client.DeviceOf(d), "Added %s again, as %s.", d.Name, d.ID)
			})
		}),
	}
}

func (a *app) rotateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Begin a new content epoch", Args: cobra.NoArgs,
		Long: "Begin a new content epoch: what is written from now on cannot be read with keys that\nleaked before. It happens by itself after a removal and every 30 days.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.withKeeper(ctx, func(api keeperAPI) error {
				if err := api.Rotate(ctx); err != nil {
					return err
				}
				type rotated struct {
					Rotated bool `json:"rotated"`
				}
				return a.report(rotated{true}, "A new epoch has begun.")
			})
		}),
	}
}
