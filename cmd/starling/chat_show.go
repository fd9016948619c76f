package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show CHAT", Short: "Show one chat", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				chat, err := api.GetChat(ctx, args[0])
				if err != nil || a.json {
					return first(err, func() error { return a.emit(chat) })
				}
				names, err := labelNames(ctx, api)
				if err != nil {
					return err
				}
				return a.table([]string{"chat", chat.ID}, chatRows(&chat, names), "")
			})
		}),
	}
}

// first returns err, or else what next does.
func first(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func chatRows(c *model.Chat, labels map[string]string) [][]string {
	rows := [][]string{{"read", readMark(c)}, {"state", orDash(describe(c, time.Now()))}}
	rows = append(rows, []string{"labels", orDash(labelList(c, labels))})
	for _, d := range c.Drafts {
		rows = append(rows, []string{"draft", d.Text})
	}
	return rows
}

func readMark(c *model.Chat) string {
	if c.Read == nil {
		return "–"
	}
	return fmt.Sprintf("%s %s", c.Read.Time, c.Read.ID)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func labelNames(ctx context.Context, api client.API) (map[string]string, error) {
	labels, err := api.ListLabels(ctx)
	names := map[string]string{}
	for _, l := range labels {
		names[l.ID] = l.Name
	}
	return names, err
}

// labelList names the labels of a chat; one that was removed has only its id.
func labelList(c *model.Chat, names map[string]string) string {
	var list []string
	for _, id := range c.Labels {
		if name := names[id]; name != "" {
			id = name
		}
		list = append(list, id)
	}
	return strings.Join(list, ", ")
}
