package model

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Lists returns the lists of a card by their JSON names, in a fixed order.
func (c *ContactItems) Lists() []ContactList {
	return []ContactList{
		{"phones", &c.Phones}, {"emails", &c.Emails}, {"addresses", &c.Addresses}, {"links", &c.Links},
	}
}

// ContactList is one multi-valued part of a card.
type ContactList struct {
	Name  string
	Items *[]Labelled
}

func (p *ContactPatch) check() error {
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		if err := CheckContactField(name, p.Fields[name]); err != nil {
			return err
		}
	}
	total := len(p.Fields)
	for _, part := range []struct {
		name  string
		items *ContactItems
	}{{"add", &p.Add}, {"remove", &p.Remove}} {
		for _, l := range part.items.Lists() {
			total += len(*l.Items)
			if err := checkItems(*l.Items); err != nil {
				return fmt.Errorf("%s.%s %w", part.name, l.Name, err)
			}
		}
	}
	if total == 0 {
		return errors.New("changes nothing")
	}
	return nil
}

// SetsSomething says whether p gives a card anything that an empty card does
// not have.
func (p *ContactPatch) SetsSomething() bool {
	for _, v := range p.Fields { // order-free: whether there is any
		if v != "" {
			return true
		}
	}
	for _, l := range p.Add.Lists() {
		if len(*l.Items) > 0 {
			return true
		}
	}
	return false
}

// CheckContactField says why a field of a card cannot have a value. The
// empty value empties the field.
func CheckContactField(name, value string) error {
	if !slices.Contains(ContactFieldNames, name) {
		return fmt.Errorf("field %.40q is none of %s", name, strings.Join(ContactFieldNames, ", "))
	}
	if err := checkText(value, MaxField); err != nil {
		return fmt.Errorf("field %s %w", name, err)
	}
	if name == "photo" && value != "" && !isPhoto(value) {
		return fmt.Errorf("field photo is not sha256: and 64 hexadecimal digits")
	}
	return nil
}

func isPhoto(s string) bool {
	digest, ok := strings.CutPrefix(s, "sha256:")
	b, err := hex.DecodeString(digest)
	return ok && err == nil && len(b) == 32
}

func checkItems(items []Labelled) error {
	if len(items) > MaxItems {
		return fmt.Errorf("has %d elements, the limit is %d", len(items), MaxItems)
	}
	for i, l := range items {
		if err := CheckLabelled(l); err != nil {
			return fmt.Errorf("element %d %w", i, err)
		}
	}
	return nil
}

// CheckLabelled says why l cannot be an element of a card.
func CheckLabelled(l Labelled) error {
	if l.Value == "" {
		return errors.New("value is empty")
	}
	if err := checkText(l.Value, MaxField); err != nil {
		return fmt.Errorf("value %w", err)
	}
	if err := checkText(l.Label, MaxField); err != nil {
		return fmt.Errorf("label %w", err)
	}
	return nil
}
