package account

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// The registers of the labels, by the label's id.
var (
	labelNames = crdt.StampRegister[string]{Field: "name", Valid: func(s string) bool {
		return model.Edit{Op: model.LabelSet, ID: "x", Name: &s}.Validate() == nil
	}}
	labelColors = crdt.StampRegister[string]{Field: "color", Valid: func(s string) bool { return len(s) <= model.MaxColor }}
	labelOrders = crdt.StampRegister[string]{Field: "order", Valid: crdt.ValidOrder}
	// Says that a chat was put on the label, so that a device which deletes it
	// at the same time does not win.
	labelUses = crdt.StampRegister[bool]{Field: "used"}
)

var labelLife = lifetime{fields: []string{"name", "color", "order", "used"}}

// ViewLabels returns the labels that exist, sorted by id.
func ViewLabels(d *crdt.Document) []model.Label {
	list := []model.Label{}
	for _, id := range labelIDs(d) {
		if model.CheckID(id) != nil || !labelLife.alive(d, id) {
			continue
		}
		s := labelLife.visible(d, id)
		l := model.Label{ID: id}
		l.Name, _ = labelNames.Get(s, id)
		l.Color, _ = labelColors.Get(s, id)
		l.Order, _ = labelOrders.Get(s, id)
		list = append(list, l)
	}
	return list
}

// labelIDs returns the elements of all fields, sorted.
func labelIDs(s crdt.Source) (ids []string) {
	for _, field := range labelLife.fields {
		ids = append(ids, s.Elements(field)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func setLabel(e *crdt.Edit, m model.Edit) error {
	if m.Order != "" && !crdt.ValidOrder(m.Order) {
		return errors.New("order is not one that Between made")
	}
	if !labelLife.alive(e, m.ID) {
		if err := labelLife.begin(e, m.ID); err != nil {
			return err
		}
	}
	s := labelLife.visible(e, m.ID)
	for _, part := range []struct {
		register crdt.StampRegister[string]
		value    *string
	}{{labelNames, m.Name}, {labelColors, m.Color}, {labelOrders, given(m.Order)}} {
		if part.value == nil {
			continue
		}
		if old, ok := part.register.Get(s, m.ID); ok && old == *part.value {
			continue
		}
		if err := part.register.Set(e, m.ID, *part.value); err != nil {
			return err
		}
	}
	return nil
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func removeLabel(e *crdt.Edit, m model.Edit) error { return labelLife.end(e, m.ID) }

// Touch notes an edit in the document that AlsoTouches names. Putting a chat
// on a label keeps the label alive against a deletion at the same time: "nobody
// loses a list that another device was filling". It writes nothing if the
// label does not exist.
func Touch(e *crdt.Edit, m model.Edit) error {
	if _, ok := AlsoTouches(m); !ok || !labelLife.alive(e, m.Label) {
		return nil
	}
	if err := labelUses.Set(e, m.Label, true); err != nil {
		return fmt.Errorf("%s %q: note the use of label %q: %w", m.Op, m.ID, m.Label, err)
	}
	return nil
}
