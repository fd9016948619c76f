package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatLabelCommand() *cobra.Command {
	return a.chatLabelling("label", "Put a chat on a label, by its id or name", model.ChatLabel, "Labelled %s %s.")
}

func (a *app) chatUnlabelCommand() *cobra.Command {
	return a.chatLabelling("unlabel", "Take a chat off a label, by its id or name", model.ChatUnlabel, "Took %s off %s.")
}

func (a *app) chatLabelling(use, short string, op model.Op, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " CHAT LABEL", Short: short, Args: cobra.ExactArgs(2),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				label, err := findLabel(ctx, api, args[1])
				if err != nil {
					return err
				}
				if err := a.apply(ctx, api, model.Edit{Op: op, ID: args[0], Label: label.ID}); err != nil {
					return err
				}
				return a.reportChat(ctx, api, args[0], done, args[0], label.Name)
			})
		}),
	}
}

// findLabel finds a label by its id, or else by its name.
func findLabel(ctx context.Context, api client.API, wanted string) (model.Label, error) {
	labels, err := api.ListLabels(ctx)
	if err != nil {
		return model.Label{}, err
	}
	for _, l := range labels {
		if l.ID == wanted {
			return l, nil
		}
	}
	for _, l := range labels {
		if l.Name == wanted {
			return l, nil
		}
	}
	return model.Label{}, client.Errorf(client.CodeNotFound, "no label %q: make it with starling label set", wanted)
}
