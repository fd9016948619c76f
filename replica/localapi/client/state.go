package client

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/starling-sync/starling/crdt/model"
)

// EncodeState writes the canonical JSON of a state, the form of both
// `starling state --json` and GET /v1/state: RFC 8785 and one line feed,
// chats, contacts, labels and devices sorted by id, settings by key and
// scope, an empty list as [] and a contact without fields as {}. Replicas
// with equal states write equal bytes. Within an entity the lists stay as the
// view orders them. It does not hold the whole output in memory.
func EncodeState(w io.Writer, s model.State) error {
	buf := bufio.NewWriterSize(w, 64<<10)
	account, err := canonical(s.Account)
	if err != nil {
		return fmt.Errorf("encode state: account: %w", err)
	}
	fmt.Fprintf(buf, `{"account":%s`, account)
	err = cmp.Or(
		encodeList(buf, "chats", s.Chats, func(a, b model.Chat) int { return cmp.Compare(a.ID, b.ID) }),
		encodeList(buf, "contacts", WithFields(s.Contacts), func(a, b model.Contact) int { return cmp.Compare(a.ID, b.ID) }),
		encodeList(buf, "devices", s.Devices, func(a, b model.DeviceName) int { return cmp.Compare(a.ID, b.ID) }),
		encodeList(buf, "labels", s.Labels, func(a, b model.Label) int { return cmp.Compare(a.ID, b.ID) }),
		encodeList(buf, "settings", s.Settings, func(a, b model.Setting) int {
			return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Scope, b.Scope))
		}),
	)
	if err != nil {
		return err
	}
	buf.WriteString("}\n")
	return buf.Flush()
}

// encodeList writes one list of the state. A failed write shows at the Flush.
func encodeList[E any](buf *bufio.Writer, name string, list []E, compare func(a, b E) int) error {
	if !slices.IsSortedFunc(list, compare) {
		list = slices.Clone(list)
		slices.SortStableFunc(list, compare)
	}
	fmt.Fprintf(buf, `,"%s":[`, name)
	for i, entity := range list {
		if i > 0 {
			buf.WriteByte(',')
		}
		raw, err := canonical(entity)
		if err != nil {
			return fmt.Errorf("encode state: %s %d: %w", name, i, err)
		}
		buf.Write(raw)
	}
	return buf.WriteByte(']')
}

// canonical returns v as RFC 8785 writes it. The value of a setting may by
// itself be nested as deeply as the canonical form allows, so it is written
// apart from the object around it.
func canonical(v any) ([]byte, error) {
	setting, ok := v.(model.Setting)
	if !ok {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return model.CanonicalJSON(raw)
	}
	value, err := model.CanonicalJSON(setting.Value)
	if err != nil {
		return nil, fmt.Errorf("setting %s in %s: %w", setting.Key, setting.Scope, err)
	}
	names, err := canonical(map[string]string{"key": setting.Key, "scope": setting.Scope})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(names[:len(names)-1], `,"value":%s}`, value), nil
}

// WithFields returns the contacts with an empty map where Fields is nil, so
// that JSON shows an object. The slice given stays as it is.
func WithFields(contacts []model.Contact) []model.Contact {
	isNil := func(c model.Contact) bool { return c.Fields == nil }
	if !slices.ContainsFunc(contacts, isNil) {
		return contacts
	}
	contacts = slices.Clone(contacts)
	for i := range contacts {
		if contacts[i].Fields == nil {
			contacts[i].Fields = model.ContactFields{}
		}
	}
	return contacts
}
