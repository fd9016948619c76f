package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) labelCommand() *cobra.Command {
	return group("label", "Make and remove the labels that chats are put on",
		a.labelSetCommand(), a.labelRemoveCommand(), a.labelListCommand())
}

func (a *app) labelSetCommand() *cobra.Command {
	var name, color string
	cmd := &cobra.Command{
		Use: "set LABEL", Short: "Make a label, or change the one with this id or name", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				label, err := findLabel(ctx, api, args[0])
				edit := model.Edit{Op: model.LabelSet, ID: label.ID}
				switch {
				case client.CodeOf(err) == client.CodeNotFound:
					edit.ID, edit.Name = model.LabelID(args[0]), &args[0]
				case err != nil:
					return err
				}
				if name != "" {
					edit.Name = &name
				}
				if color != "" {
					edit.Color = &color
				}
				if edit.Name == nil && edit.Color == nil {
					return a.report(label, "Label %s is there already.", label.Name)
				}
				if err := a.apply(ctx, api, edit); err != nil {
					return err
				}
				return a.reportLabel(ctx, api, edit.ID)
			})
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().StringVar(&color, "color", "", "colour, such as #3366ff")
	return cmd
}

func (a *app) reportLabel(ctx context.Context, api client.API, id string) error {
	label, err := findLabel(ctx, api, id)
	if err != nil {
		return err
	}
	return a.report(label, "Set label %s.", label.Name)
}

func (a *app) labelRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm LABEL", Short: "Remove a label, by its id or name", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				label, err := findLabel(ctx, api, args[0])
				if err != nil {
					return err
				}
				if err := a.apply(ctx, api, model.Edit{Op: model.LabelRemove, ID: label.ID}); err != nil {
					return err
				}
				return a.report(label, "Removed label %s.", label.Name)
			})
		}),
	}
}

func (a *app) labelListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all labels", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				labels, err := api.ListLabels(ctx)
				if err != nil || a.json {
					return first(err, func() error { return a.emit(list(labels)) })
				}
				var rows [][]string
				for _, l := range labels {
					rows = append(rows, []string{l.Name, orDash(l.Color), l.ID})
				}
				return a.table([]string{"LABEL", "COLOR", "ID"}, rows, "No labels.")
			})
		}),
	}
}
