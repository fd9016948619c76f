package model

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// argument is one field of Edit besides Op and ID.
type argument struct {
	name  string
	given func(*Edit) bool
	check func(*Edit) error
}

// arguments lists all of them, by their JSON names.
var arguments = []argument{
	{"at", func(e *Edit) bool { return e.At != nil }, func(e *Edit) error { return CheckPosition(*e.At) }},
	{"until", func(e *Edit) bool { return e.Until != 0 }, func(e *Edit) error { return CheckUntil(e.Until) }},
	{"order", func(e *Edit) bool { return e.Order != "" }, func(e *Edit) error { return checkWord(e.Order, MaxOrder) }},
	{"before", func(e *Edit) bool { return e.Before != "" }, func(e *Edit) error { return CheckID(e.Before) }},
	{"after", func(e *Edit) bool { return e.After != "" }, func(e *Edit) error { return CheckID(e.After) }},
	{"label", func(e *Edit) bool { return e.Label != "" }, func(e *Edit) error { return CheckID(e.Label) }},
	{"draft", func(e *Edit) bool { return e.Draft != "" }, func(e *Edit) error { return CheckID(e.Draft) }},
	{"text", func(e *Edit) bool { return e.Text != nil }, func(e *Edit) error { return checkText(*e.Text, MaxDraft) }},
	{"scope", func(e *Edit) bool { return e.Scope != "" }, checkScope},
	{"value", func(e *Edit) bool { return e.Value != nil }, checkValue},
	{"name", func(e *Edit) bool { return e.Name != nil }, checkName},
	{"color", func(e *Edit) bool { return e.Color != nil }, checkColor},
	{"contact", func(e *Edit) bool { return e.Contact != nil }, func(e *Edit) error { return e.Contact.check() }},
}

// rule says which arguments an Op must have, which it may have, and of which
// it must have at least, or may have at most, one.
type rule struct {
	needs, may string
	atLeastOne string
	atMostOne  string
	id         func(string) error
}

var rules = map[Op]rule{
	ChatRead:      {needs: "at", id: CheckID},
	ChatUnread:    {id: CheckID},
	ChatMute:      {needs: "until", id: CheckID},
	ChatUnmute:    {id: CheckID},
	ChatArchive:   {may: "at", id: CheckID},
	ChatUnarchive: {id: CheckID},
	ChatPin:       {atMostOne: "order before after", id: CheckID},
	ChatUnpin:     {id: CheckID},
	ChatLabel:     {needs: "label", id: CheckID},
	ChatUnlabel:   {needs: "label", id: CheckID},
	ChatDraft:     {needs: "text", may: "draft", id: CheckID},
	ChatDraftDone: {may: "draft", id: CheckID},
	ContactSet:    {needs: "contact", id: CheckID},
	ContactRemove: {id: CheckID},
	SettingSet:    {needs: "scope value", id: CheckSettingKey},
	SettingReset:  {needs: "scope", id: CheckSettingKey},
	LabelSet:      {atLeastOne: "name color order", id: CheckID},
	LabelRemove:   {id: CheckID},
	DeviceRename:  {needs: "name", id: CheckDeviceID},
}

// Ops returns every Op there is, sorted.
func Ops() []Op { return slices.Sorted(maps.Keys(rules)) }

// Validate says why e cannot be performed, whatever the state is: an unknown
// Op, an argument that is missing or does not belong to the Op, or one beyond
// its limit. The error names the Op and the argument.
func (e Edit) Validate() error {
	r, ok := rules[e.Op]
	if !ok {
		return fmt.Errorf("edit %q: no such operation", e.Op)
	}
	if err := r.id(e.ID); err != nil {
		return fmt.Errorf("%s: id %w", e.Op, err)
	}
	if err := r.check(&e); err != nil {
		return fmt.Errorf("%s: %w", e.Op, err)
	}
	return nil
}

func (r rule) check(e *Edit) error {
	counts := map[string]int{} // by list: how many of its arguments are given
	allowed := map[string]string{}
	for _, list := range []string{r.needs, r.may, r.atLeastOne, r.atMostOne} {
		for name := range strings.FieldsSeq(list) {
			allowed[name] = list
		}
	}
	for _, a := range arguments {
		if !a.given(e) {
			continue
		}
		list, ok := allowed[a.name]
		if !ok {
			return fmt.Errorf("%s does not belong to it", a.name)
		}
		counts[list]++
		if err := a.check(e); err != nil {
			return fmt.Errorf("%s %w", a.name, err)
		}
	}
	return r.checkCounts(e, counts)
}

func (r rule) checkCounts(e *Edit, counts map[string]int) error {
	for _, a := range arguments {
		if slices.Contains(strings.Fields(r.needs), a.name) && !a.given(e) {
			return fmt.Errorf("%s is missing", a.name)
		}
	}
	if r.atLeastOne != "" && counts[r.atLeastOne] == 0 {
		return fmt.Errorf("one of %s is missing", strings.ReplaceAll(r.atLeastOne, " ", ", "))
	}
	if r.atMostOne != "" && counts[r.atMostOne] > 1 {
		return fmt.Errorf("only one of %s can be given", strings.ReplaceAll(r.atMostOne, " ", ", "))
	}
	return nil
}

func checkScope(e *Edit) error {
	_, err := ParseScope(e.Scope)
	return err
}

func checkValue(e *Edit) error {
	v, err := CanonicalJSON(e.Value)
	if err != nil {
		return err
	}
	if len(v) > MaxValue {
		return fmt.Errorf("has %d bytes, the limit is %d", len(v), MaxValue)
	}
	return nil
}

// checkName is for the names of labels and devices.
func checkName(e *Edit) error {
	if e.Op == LabelSet {
		return checkWord(*e.Name, MaxLabelName)
	}
	return checkWord(*e.Name, MaxField)
}

// checkColor lets a colour be empty, which removes it.
func checkColor(e *Edit) error {
	if *e.Color == "" {
		return nil
	}
	return checkWord(*e.Color, MaxColor)
}

// CheckSettingKey says why s cannot be the key of a setting.
func CheckSettingKey(s string) error { return checkWord(s, MaxSettingKey) }

// deviceIDSize is the length in bytes of a device's id.
const deviceIDSize = 16

// CheckDeviceID says why s cannot be the id of a device.
func CheckDeviceID(s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != deviceIDSize || s != strings.ToLower(s) {
		return fmt.Errorf("%.40q is not 32 hexadecimal digits in lower case", s)
	}
	return nil
}
