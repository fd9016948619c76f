package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) devicesCommand() *cobra.Command {
	return group("devices", "List, rename and remove the devices of the account",
		a.devicesListCommand(), a.devicesRenameCommand(), a.devicesRemoveCommand(), a.devicesReaddCommand())
}

func (a *app) devicesListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the devices of the account", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				devices, err := api.ListDevices(ctx)
				if err != nil {
					return err
				}
				if a.json {
					travelling := []client.Device{}
					for _, d := range devices {
						travelling = append(travelling, client.DeviceOf(d))
					}
					return a.emit(travelling)
				}
				var rows [][]string
				for _, d := range devices {
					rows = append(rows, []string{d.Name, reach(&d), d.AddedAt.String(), d.ID})
				}
				return a.table([]string{"DEVICE", "REACH", "ADDED", "ID"}, rows, "No devices.")
			})
		}),
	}
}

func reach(d *model.Device) string {
	switch {
	case d.Self:
		return "this device"
	case d.Connected:
		return "connected"
	case d.LastHeard != 0:
		return "last heard " + d.LastHeard.String()
	}
	return "not connected"
}

func (a *app) devicesRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename ID NAME", Short: "Give a device another name", Args: cobra.ExactArgs(2),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				devices, err := api.ListDevices(ctx)
				if err != nil {
					return err
				}
				for _, d := range devices {
					if d.ID != args[0] {
						continue
					}
					if err := a.apply(ctx, api, model.Edit{Op: model.DeviceRename, ID: d.ID, Name: &args[1]}); err != nil {
						return err
					}
					was := d.Name
					d.Name = args[1]
					return a.report(client.DeviceOf(d), "Renamed %s to %s.", was, d.Name)
				}
				return client.Errorf(client.CodeNotFound, "no device %q in the account", args[0])
			})
		}),
	}
}
