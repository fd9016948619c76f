package account

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// settings are registers of canonical JSON by scope and key; null, which is
// not the JSON value null, says that the setting was reset in this scope.
var settings = crdt.StampRegister[*string]{Field: "set", Valid: func(v *string) bool {
	return v == nil || validValue(*v)
}}

func validValue(s string) bool {
	if len(s) > model.MaxValue {
		return false
	}
	canonical, err := model.CanonicalJSON([]byte(s))
	return err == nil && bytes.Equal(canonical, []byte(s))
}

// settingElement joins scope and key; a scope has no slash.
func settingElement(scope, key string) string { return scope + "/" + key }

// ViewSettings returns what is set, in every scope, sorted by scope and key.
// Which of them holds on a device is for model.EffectiveSetting to say.
func ViewSettings(d *crdt.Document) []model.Setting {
	list := []model.Setting{}
	for _, element := range d.Elements(settings.Field) {
		scope, key, _ := strings.Cut(element, "/")
		if _, err := model.ParseScope(scope); err != nil || model.CheckSettingKey(key) != nil {
			continue
		}
		if v, ok := settings.Get(d, element); ok && v != nil {
			list = append(list, model.Setting{Key: key, Scope: scope, Value: json.RawMessage(*v)})
		}
	}
	slices.SortFunc(list, func(a, b model.Setting) int {
		return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.Key, b.Key))
	})
	return list
}

func setSetting(e *crdt.Edit, m model.Edit) error {
	canonical, err := model.CanonicalJSON(m.Value)
	if err != nil {
		return err
	}
	v := string(canonical)
	element := settingElement(m.Scope, m.ID)
	if old, _ := settings.Get(e, element); old != nil && *old == v {
		return nil
	}
	return settings.Set(e, element, &v)
}

func resetSetting(e *crdt.Edit, m model.Edit) error {
	element := settingElement(m.Scope, m.ID)
	if old, _ := settings.Get(e, element); old == nil {
		return nil
	}
	return settings.Set(e, element, nil)
}
