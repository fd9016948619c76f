package account

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// item is how an element of a list of a card is written.
type item struct {
	_     struct{} `cbor:",toarray"`
	Value string
	Label string
}

func (i item) valid() bool {
	return model.CheckLabelled(model.Labelled{Value: i.Value, Label: i.Label}) == nil
}

// itemTag is the element under which a value is kept: the first 16 bytes of
// its SHA-256 in base64url. Equal values that two devices add are one.
func itemTag(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

var cardFields = crdt.StampRegister[string]{Field: "card"}

// cardLists are the lists of a card by their JSON names.
var cardLists = map[string]crdt.AddWinsSet[item]{
	"phones":    {Field: "phone", Valid: item.valid},
	"emails":    {Field: "email", Valid: item.valid},
	"addresses": {Field: "address", Valid: item.valid},
	"links":     {Field: "link", Valid: item.valid},
}

// contactFields are those whose entries keep a contact alive.
var contactFields = []string{"card", "phone", "email", "address", "link"}

// contactLife has one element: a document is one contact.
var contactLife = lifetime{fields: contactFields, whole: true}

// ViewContact returns a card, and whether the contact exists: it was set and
// not deleted, or something was set that the deletion had not seen.
func ViewContact(d *crdt.Document, id string) (c model.Contact, alive bool) {
	c = model.Contact{ID: id, Fields: model.ContactFields{}}
	if !contactLife.alive(d, "") {
		return c, false
	}
	s := contactLife.visible(d, "")
	for _, name := range model.ContactFieldNames {
		v, ok := cardFields.Get(s, name)
		if ok && v != "" && model.CheckContactField(name, v) == nil {
			c.Fields[name] = v
		}
	}
	var items model.ContactItems
	for _, l := range items.Lists() {
		*l.Items = viewItems(s, cardLists[l.Name])
	}
	c.Phones, c.Emails, c.Addresses, c.Links = items.Phones, items.Emails, items.Addresses, items.Links
	return c, true
}

func viewItems(s crdt.Source, list crdt.AddWinsSet[item]) (items []model.Labelled) {
	for _, tag := range s.Elements(list.Field) {
		if v, in := list.Get(s, tag); in && itemTag(v.Value) == tag {
			items = append(items, model.Labelled{Value: v.Value, Label: v.Label})
		}
	}
	slices.SortFunc(items, func(a, b model.Labelled) int { return strings.Compare(a.Value, b.Value) })
	return items
}

func setContact(e *crdt.Edit, m model.Edit) error {
	if !contactLife.alive(e, "") {
		if !m.Contact.SetsSomething() {
			return nil
		}
		if err := contactLife.begin(e, ""); err != nil {
			return err
		}
	}
	s := contactLife.visible(e, "")
	for _, name := range model.ContactFieldNames {
		v, given := m.Contact.Fields[name]
		if old, _ := cardFields.Get(s, name); !given || old == v {
			continue
		}
		if err := cardFields.Set(e, name, v); err != nil {
			return err
		}
	}
	removes := m.Contact.Remove.Lists()
	for i, adds := range m.Contact.Add.Lists() {
		if err := setItems(e, s, adds.Name, *adds.Items, *removes[i].Items); err != nil {
			return err
		}
	}
	return nil
}

// setItems takes items out of a list and puts others in.
func setItems(e *crdt.Edit, s crdt.Source, name string, add, remove []model.Labelled) error {
	list := cardLists[name]
	for _, l := range remove {
		if err := list.Remove(e, itemTag(l.Value)); err != nil {
			return err
		}
	}
	for _, l := range add {
		tag := itemTag(l.Value)
		v := item{Value: l.Value, Label: l.Label}
		if old, in := list.Get(s, tag); in && old == v {
			continue
		}
		if err := list.Add(e, tag, v); err != nil {
			return err
		}
	}
	if n := len(viewItems(s, list)); len(add) > 0 && n > model.MaxItems {
		return fmt.Errorf("%s would have %d elements, the limit is %d", name, n, model.MaxItems)
	}
	return nil
}

func removeContact(e *crdt.Edit, _ model.Edit) error { return contactLife.end(e, "") }
