package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

const scopeHelp = "where it holds: account, platform:NAME, class:NAME or device:ID"

func (a *app) settingCommand() *cobra.Command {
	return group("setting", "Set and read settings",
		a.settingSetCommand(), a.settingGetCommand(), a.settingResetCommand(), a.settingListCommand())
}

func (a *app) settingSetCommand() *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use: "set KEY VALUE", Short: "Set a setting to a JSON value, or to a text", Args: cobra.ExactArgs(2),
		Long: "Set a setting. VALUE is taken as JSON where it is JSON (true, 12, \"text\", [1,2])\nand as a text otherwise.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			value, err := settingValue(args[1])
			if err != nil {
				return err
			}
			edit := model.Edit{Op: model.SettingSet, ID: args[0], Scope: scope, Value: value}
			return a.with(ctx, func(api client.API) error {
				if err := a.apply(ctx, api, edit); err != nil {
					return err
				}
				return a.report(model.Setting{Key: args[0], Scope: scope, Value: value}, "Set %s to %s for %s.", args[0], value, scope)
			})
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "account", scopeHelp)
	return cmd
}

// settingValue is canonical, as it is stored.
func settingValue(s string) (json.RawMessage, error) {
	raw := []byte(s)
	if !json.Valid(raw) {
		quoted, err := json.Marshal(s)
		if err != nil {
			return nil, client.Errorf(client.CodeBadRequest, "value: %w", err)
		}
		raw = quoted
	}
	value, err := model.CanonicalJSON(raw)
	if err != nil {
		return nil, client.Errorf(client.CodeBadRequest, "value: %w", err)
	}
	return value, nil
}

func (a *app) settingGetCommand() *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print the value of a setting as JSON", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			if _, err := model.ParseScope(scope); err != nil {
				return client.Errorf(client.CodeBadRequest, "--scope: %w", err)
			}
			return a.with(ctx, func(api client.API) error {
				settings, err := api.ListSettings(ctx)
				if err != nil {
					return err
				}
				for _, s := range settings {
					if s.Key == args[0] && s.Scope == scope {
						return a.report(s, "%s", s.Value)
					}
				}
				return client.Errorf(client.CodeNotFound, "no setting %q for %s", args[0], scope)
			})
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "account", scopeHelp)
	return cmd
}

func (a *app) settingResetCommand() *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use: "reset KEY", Short: "Take a setting away, so that a wider one shows", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				if err := a.apply(ctx, api, model.Edit{Op: model.SettingReset, ID: args[0], Scope: scope}); err != nil {
					return err
				}
				return a.report(map[string]string{"key": args[0], "scope": scope}, "Reset %s for %s.", args[0], scope)
			})
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "account", scopeHelp)
	return cmd
}

func (a *app) settingListCommand() *cobra.Command {
	var scope string
	cmd := &cobra.Command{
		Use: "list", Short: "List the settings of every scope, or of one", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				settings, err := api.ListSettings(ctx)
				if err != nil {
					return err
				}
				settings = inScope(settings, scope)
				if a.json {
					return a.emit(settings)
				}
				rows := make([][]string, 0, len(settings))
				for _, s := range settings {
					rows = append(rows, []string{s.Key, s.Scope, string(s.Value)})
				}
				return a.table([]string{"KEY", "SCOPE", "VALUE"}, rows, "No settings.")
			})
		}),
	}
	cmd.Flags().StringVar(&scope, "scope", "", "only this scope")
	return cmd
}

func inScope(settings []model.Setting, scope string) []model.Setting {
	kept := []model.Setting{}
	for _, s := range settings {
		if scope == "" || s.Scope == scope {
			kept = append(kept, s)
		}
	}
	return kept
}
