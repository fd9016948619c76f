package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all chats", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				chats, err := api.ListChats(ctx)
				if err != nil || a.json {
					return first(err, func() error { return a.emit(list(chats)) })
				}
				names, err := labelNames(ctx, api)
				if err != nil {
					return err
				}
				return a.table([]string{"CHAT", "READ UP TO", "STATE", "LABELS", "DRAFTS"}, chatTable(chats, names), "No chats.")
			})
		}),
	}
}

func chatTable(chats []model.Chat, labels map[string]string) [][]string {
	now := time.Now()
	rows := make([][]string, 0, len(chats))
	for i := range chats {
		c := &chats[i]
		rows = append(rows, []string{c.ID, readMark(c), orDash(describe(c, now)), orDash(labelList(c, labels)), fmt.Sprint(len(c.Drafts))})
	}
	return rows
}

// list is never null in JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
