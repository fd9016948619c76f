package model

import (
	"fmt"
	"strings"
)

// ScopeKind says for which devices a setting is. Higher is more specific.
type ScopeKind int

// The kinds of scope, from the whole account to one device.
const (
	ScopeAccount ScopeKind = iota
	ScopePlatform
	ScopeClass
	ScopeDevice
)

// Scope is where a setting holds.
type Scope struct {
	Kind ScopeKind
	// Name is the platform, the class, or the device's id; empty for the account.
	Name string
}

var scopePrefixes = map[ScopeKind]string{ScopePlatform: "platform:", ScopeClass: "class:", ScopeDevice: "device:"}

// String is the inverse of ParseScope.
func (s Scope) String() string {
	if s.Kind == ScopeAccount {
		return "account"
	}
	return scopePrefixes[s.Kind] + s.Name
}

// ParseScope reads "account", "platform:<name>" (linux, ios …),
// "class:<name>" (phone, tablet …) or "device:<32 hexadecimal digits>". Names
// are 1 to MaxScopeName lower-case letters, digits, dots, dashes, underscores.
func ParseScope(s string) (Scope, error) {
	if s == "account" {
		return Scope{}, nil
	}
	for _, kind := range []ScopeKind{ScopePlatform, ScopeClass, ScopeDevice} {
		name, ok := strings.CutPrefix(s, scopePrefixes[kind])
		if !ok {
			continue
		}
		if kind == ScopeDevice {
			return Scope{kind, name}, CheckDeviceID(name)
		}
		return Scope{kind, name}, checkScopeName(name)
	}
	return Scope{}, fmt.Errorf("%.40q is none of account, platform:NAME, class:NAME, device:ID", s)
}

func checkScopeName(s string) error {
	if s == "" || len(s) > MaxScopeName {
		return fmt.Errorf("name has %d bytes, want 1 to %d", len(s), MaxScopeName)
	}
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" || strings.ContainsFunc(s, notScopeRune) {
		return fmt.Errorf("name %.40q has other characters than a-z, 0-9, dot, dash and underscore", s)
	}
	return nil
}

func notScopeRune(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", r)
}

// DeviceContext is what decides which scopes hold on a device. Empty names
// match no scope.
type DeviceContext struct {
	Platform, Class, Device string
}

func (d DeviceContext) matches(s Scope) bool {
	switch s.Kind {
	case ScopeAccount:
		return true
	case ScopePlatform:
		return s.Name == d.Platform
	case ScopeClass:
		return s.Name == d.Class
	default:
		return s.Name == d.Device
	}
}

// EffectiveSetting returns the setting with this key that holds on a device:
// of the scopes that match it, the most specific, device before class before
// platform before account. It is false if there is none.
func EffectiveSetting(settings []Setting, key string, on DeviceContext) (best Setting, ok bool) {
	var kind ScopeKind
	for _, s := range settings {
		scope, err := ParseScope(s.Scope)
		if s.Key != key || err != nil || !on.matches(scope) {
			continue
		}
		if !ok || scope.Kind > kind {
			best, kind, ok = s, scope.Kind, true
		}
	}
	return best, ok
}
