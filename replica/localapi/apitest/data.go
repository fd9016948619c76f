package apitest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// data is the state by entity. The values are never changed in place, so a
// shallow clone is a snapshot.
type data struct {
	chats    map[string]model.Chat
	contacts map[string]model.Contact
	settings map[string]model.Setting // by key, a zero byte, and scope
	labels   map[string]model.Label
	devices  map[string]model.Device
}

func newData() data {
	return data{
		chats: map[string]model.Chat{}, contacts: map[string]model.Contact{}, settings: map[string]model.Setting{},
		labels: map[string]model.Label{}, devices: map[string]model.Device{},
	}
}

func (d *data) clone() data {
	return data{maps.Clone(d.chats), maps.Clone(d.contacts), maps.Clone(d.settings), maps.Clone(d.labels), maps.Clone(d.devices)}
}

// apply performs one valid edit and returns the kind of what it touched, and
// whether anything is different now.
func (d *data) apply(e *model.Edit) (kind string, changed bool, err error) {
	kind, _, _ = strings.Cut(string(e.Op), ".")
	switch kind {
	case "chat":
		changed, err = d.applyChat(e)
	case "contact":
		changed = d.applyContact(e)
	case "setting":
		changed, err = d.applySetting(e)
	case "label":
		changed = d.applyLabel(e)
	case "device":
		changed, err = d.rename(e)
	}
	return kind, changed, err
}

// put stores a value and says whether it shows differently from the one before.
func put[E any](m map[string]E, id string, e E) bool {
	before, ok := m[id]
	m[id] = e
	was, errWas := json.Marshal(before)
	is, errIs := json.Marshal(e)
	return !ok || errWas != nil || errIs != nil || !bytes.Equal(was, is)
}

// remove deletes a value and says whether there was one.
func remove[E any](m map[string]E, id string) bool {
	_, ok := m[id]
	delete(m, id)
	return ok
}

func (d *data) applyContact(e *model.Edit) bool {
	if e.Op == model.ContactRemove {
		return remove(d.contacts, e.ID)
	}
	c := d.contacts[e.ID]
	c.ID = e.ID
	c.Fields = maps.Clone(c.Fields)
	if c.Fields == nil {
		c.Fields = model.ContactFields{}
	}
	for name, value := range e.Contact.Fields {
		if c.Fields[name] = value; value == "" {
			delete(c.Fields, name)
		}
	}
	c.Phones = patch(c.Phones, e.Contact.Add.Phones, e.Contact.Remove.Phones)
	c.Emails = patch(c.Emails, e.Contact.Add.Emails, e.Contact.Remove.Emails)
	c.Addresses = patch(c.Addresses, e.Contact.Add.Addresses, e.Contact.Remove.Addresses)
	c.Links = patch(c.Links, e.Contact.Add.Links, e.Contact.Remove.Links)
	return put(d.contacts, e.ID, c)
}

// patch returns a list without what is removed, with what is added, by value.
func patch(items, add, remove []model.Labelled) []model.Labelled {
	byValue := map[string]model.Labelled{}
	for _, item := range items {
		byValue[item.Value] = item
	}
	for _, item := range remove {
		delete(byValue, item.Value)
	}
	for _, item := range add {
		byValue[item.Value] = item
	}
	if len(byValue) == 0 {
		return nil
	}
	return inOrder(byValue)
}

func (d *data) applySetting(e *model.Edit) (bool, error) {
	place := e.ID + "\x00" + e.Scope
	if e.Op == model.SettingReset {
		return remove(d.settings, place), nil
	}
	value, err := model.CanonicalJSON(e.Value)
	if err != nil {
		return false, fmt.Errorf("setting %q: %w", e.ID, err)
	}
	return put(d.settings, place, model.Setting{Key: e.ID, Scope: e.Scope, Value: value}), nil
}

func (d *data) applyLabel(e *model.Edit) bool {
	if e.Op == model.LabelRemove {
		return remove(d.labels, e.ID)
	}
	l := d.labels[e.ID]
	l.ID = e.ID
	if e.Name != nil {
		l.Name = *e.Name
	}
	if e.Color != nil {
		l.Color = *e.Color
	}
	l.Order = cmp.Or(e.Order, l.Order)
	return put(d.labels, e.ID, l)
}

func (d *data) rename(e *model.Edit) (bool, error) {
	device, ok := d.devices[e.ID]
	if !ok {
		return false, client.Errorf(client.CodeNotMember, "device %s is not in the account", e.ID)
	}
	device.Name = *e.Name
	return put(d.devices, e.ID, device), nil
}

func (d *data) applyChat(e *model.Edit) (bool, error) {
	c := d.chats[e.ID]
	c.ID = e.ID
	switch e.Op {
	case model.ChatRead:
		if c.Read == nil || c.Read.Compare(*e.At) < 0 {
			c.Read = e.At
		}
		c.MarkedUnread = false
	case model.ChatUnread:
		c.MarkedUnread = true
	case model.ChatMute:
		c.MutedUntil = e.Until
	case model.ChatUnmute:
		c.MutedUntil = 0
	case model.ChatArchive:
		c.Archived, c.ArchiveSeen = true, e.At
	case model.ChatUnarchive:
		c.Archived, c.ArchiveSeen = false, nil
	case model.ChatPin:
		order, err := d.placeOfPin(e)
		if err != nil {
			return false, err
		}
		c.Pinned, c.PinOrder = true, order
	case model.ChatUnpin:
		c.Pinned, c.PinOrder = false, ""
	case model.ChatLabel:
		c.Labels = with(c.Labels, e.Label)
	case model.ChatUnlabel:
		c.Labels = without(c.Labels, e.Label)
	case model.ChatDraft, model.ChatDraftDone:
		c.Drafts = draft(c.Drafts, e)
	}
	return put(d.chats, e.ID, c), nil
}

func with(ids []string, id string) []string {
	ids = append(slices.Clone(ids), id)
	slices.Sort(ids)
	return slices.Compact(ids)
}

func without(ids []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id })
}

// draft replaces the draft that is named, or begins a new one, or ends one or all.
func draft(drafts []model.Draft, e *model.Edit) []model.Draft {
	if e.Op == model.ChatDraftDone && e.Draft == "" {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(drafts), func(d model.Draft) bool { return d.ID == e.Draft })
	if e.Op == model.ChatDraftDone {
		return rest
	}
	id := e.Draft
	for n := 1; id == ""; n++ {
		free := fmt.Sprintf("draft-%d", n)
		if !slices.ContainsFunc(rest, func(d model.Draft) bool { return d.ID == free }) {
			id = free
		}
	}
	return append([]model.Draft{{ID: id, Text: *e.Text}}, rest...)
}

// placeOfPin returns the order that an edit asks for: given, beside a pinned
// chat, or behind the last.
func (d *data) placeOfPin(e *model.Edit) (string, error) {
	if e.Order != "" {
		return e.Order, nil
	}
	var orders []string
	for id, c := range d.chats {
		if c.Pinned && id != e.ID {
			orders = append(orders, c.PinOrder)
		}
	}
	slices.Sort(orders)
	orders = append(append([]string{""}, orders...), "")
	beside := cmp.Or(e.Before, e.After)
	i := len(orders) - 1
	if beside != "" {
		if !d.chats[beside].Pinned || beside == e.ID {
			return "", client.Errorf(client.CodeBadRequest, "pin %q: chat %q is not pinned", e.ID, beside)
		}
		i = 1 + slices.Index(orders[1:], d.chats[beside].PinOrder)
		if e.After != "" {
			i++
		}
	}
	return between(orders[i-1], orders[i]), nil
}

// between returns a text of the letters b to z that sorts after a and before
// b, where "" stands for no bound.
func between(a, b string) string {
	var out []byte
	for i := 0; ; i++ {
		low, high := byte('a'), byte('z'+1)
		if i < len(a) {
			low = a[i]
		}
		if b != "" && i < len(b) {
			high = b[i]
		}
		if mid := low + (high-low)/2; low < high && mid > low {
			return string(append(out, mid))
		}
		out = append(out, low)
		if low < high {
			b = "" // what follows is below b already
		}
	}
}
