package account

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// PinOrder returns the Order for a chat.pin edit, given the chats of the
// account: the edit's own, or one next to the chat that Before or After
// names, or one behind the last. It is empty when the chat is pinned already
// and the edit says nothing about the place.
func PinOrder(chats []model.Chat, m model.Edit, w crdt.Writer) (string, error) {
	if m.Order != "" {
		return m.Order, nil
	}
	others, pinned := pinnedWithout(chats, m.ID)
	if m.Before == "" && m.After == "" {
		if pinned {
			return "", nil
		}
		return crdt.Between(orderAt(others, len(others)-1), "", w), nil
	}
	at := slices.IndexFunc(others, func(c model.Chat) bool { return c.ID == m.Before+m.After })
	if at < 0 {
		return "", fmt.Errorf("%s %q: chat %q is not pinned", m.Op, m.ID, m.Before+m.After)
	}
	if m.After != "" {
		at++
	}
	return crdt.Between(orderAt(others, at-1), orderAt(others, at), w), nil
}

// pinnedWithout returns the pinned chats in their order, but not chat id,
// and whether that one is pinned.
func pinnedWithout(chats []model.Chat, id string) (others []model.Chat, pinned bool) {
	for _, c := range chats {
		switch {
		case c.ID == id:
			pinned = c.Pinned
		case c.Pinned:
			others = append(others, c)
		}
	}
	slices.SortFunc(others, func(a, b model.Chat) int {
		return cmp.Or(strings.Compare(a.PinOrder, b.PinOrder), strings.Compare(a.ID, b.ID))
	})
	return others, pinned
}

func orderAt(chats []model.Chat, i int) string {
	if i < 0 || i >= len(chats) {
		return ""
	}
	return chats[i].PinOrder
}
