package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// row is one line of a comparison: what a state says about one thing.
type row struct {
	title string
	cell  func(*model.State) string
}

var (
	rowContacts = row{"contacts", func(s *model.State) string { return strconv.Itoa(len(s.Contacts)) }}
	rowRead     = row{"family: read up to", func(s *model.State) string {
		if c := familyChat(s); c.Read != nil {
			return c.Read.ID
		}
		return "–"
	}}
	rowMuted    = row{"family: muted", func(s *model.State) string { return yesNo(familyChat(s).MutedUntil != 0) }}
	rowArchived = row{"family: archived", func(s *model.State) string { return yesNo(familyChat(s).Archived) }}
	rowPhones   = row{"Ada: numbers", func(s *model.State) string {
		var values []string
		for _, p := range ada(s).Phones {
			values = append(values, p.Value)
		}
		return orDash(strings.Join(values, ", "))
	}}
	rowBirthday = row{"Ada: birthday", func(s *model.State) string { return orDash(ada(s).Fields["birthday"]) }}
	rowTheme    = row{"theme", func(s *model.State) string {
		for _, x := range s.Settings {
			if x.Key == "theme" && x.Scope == "account" {
				return string(x.Value)
			}
		}
		return "–"
	}}
)

func familyChat(s *model.State) model.Chat {
	for _, c := range s.Chats {
		if c.ID == demoChat {
			return c
		}
	}
	return model.Chat{}
}

func ada(s *model.State) model.Contact {
	for _, c := range s.Contacts {
		if c.ID == demoContact {
			return c
		}
	}
	return model.Contact{}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// everywhere waits until the three are equal, says how long that took since
// began, and shows them side by side.
func (d *demo) everywhere(ctx context.Context, step string, began time.Time, rows ...row) error {
	at, err := converged(ctx, d.devices())
	if err != nil {
		return err
	}
	took := at.Sub(began)
	d.timings = append(d.timings, demoTiming{step, float64(took.Microseconds()) / 1000})
	if err := d.compare(ctx, rows...); err != nil {
		return err
	}
	d.note("all     equal after %s", took.Round(time.Millisecond/10))
	return nil
}

// converged returns when the last device became equal to the others.
func converged(ctx context.Context, devices []*demoDevice) (at time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var replicas []client.API
	for _, device := range devices {
		replicas = append(replicas, device.client)
	}
	err = until(ctx, changes(ctx, replicas...), func() (bool, error) {
		at = time.Now()
		return equal(ctx, devices)
	})
	if err != nil {
		err = fmt.Errorf("wait until the devices are equal: %w", err)
	}
	return at, err
}

// equal says whether all devices have the same frontier and fingerprint.
func equal(ctx context.Context, devices []*demoDevice) (bool, error) {
	var first model.Status
	for i, device := range devices {
		s, err := device.client.Status(ctx)
		if err != nil {
			return false, fmt.Errorf("%s: %w", device.name, err)
		}
		if i == 0 {
			first = s
		}
		if s.Frontier != first.Frontier || s.Fingerprint != first.Fingerprint || s.Counts.Pending > 0 {
			return false, nil
		}
	}
	return true, nil
}

// compare prints a table with a column for each device.
func (d *demo) compare(ctx context.Context, rows ...row) error {
	states := make([]model.State, len(d.devices()))
	for i, device := range d.devices() {
		s, err := d.stateOf(ctx, device)
		if err != nil {
			return err
		}
		states[i] = s
	}
	cells := [][]string{{"", "phone", "laptop", "tablet"}}
	for _, r := range rows {
		line := []string{r.title}
		for i := range states {
			line = append(line, r.cell(&states[i]))
		}
		cells = append(cells, line)
	}
	d.grid(cells)
	return nil
}

func (d *demo) grid(cells [][]string) {
	if d.app.json {
		return
	}
	for line := range strings.Lines(aligned(cells)) {
		fmt.Fprint(d.app.stdout, "      "+line)
	}
}

// stateOf reads the state from the daemon, or from the store of a device
// that has none.
func (d *demo) stateOf(ctx context.Context, device *demoDevice) (s model.State, err error) {
	if device.daemon != nil {
		return device.client.State(ctx)
	}
	p, err := device.start(ctx, "state")
	if err != nil {
		return s, err
	}
	err = p.next(&s)
	return s, errors.Join(err, p.done())
}

// prove shows the fingerprints and the digests of the whole states.
func (d *demo) prove(ctx context.Context) error {
	prints, digests := []string{"fingerprint"}, []string{"SHA-256 of state --json"}
	var fingerprint string
	equal := true
	for _, device := range d.devices() {
		status, err := device.client.Status(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", device.name, err)
		}
		state, err := device.client.State(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", device.name, err)
		}
		var canonical bytes.Buffer
		if err := client.EncodeState(&canonical, state); err != nil {
			return err
		}
		sum := sha256.Sum256(canonical.Bytes())
		prints, digests = append(prints, status.Fingerprint[:16]+"…"), append(digests, hex.EncodeToString(sum[:8])+"…")
		equal = equal && (fingerprint == "" || fingerprint == status.Fingerprint) && digests[1] == digests[len(digests)-1]
		fingerprint = status.Fingerprint
	}
	d.grid([][]string{{"", "phone", "laptop", "tablet"}, prints, digests})
	return d.verdict(equal, fingerprint)
}

func (d *demo) verdict(equal bool, fingerprint string) error {
	if !equal {
		return client.Errorf(codeDifferent, "demo: the three devices are not equal")
	}
	type outcome struct {
		Event       string       `json:"event"`
		Fingerprint string       `json:"fingerprint"`
		Converged   []demoTiming `json:"converged"`
	}
	return d.app.report(outcome{"equal", fingerprint, d.timings}, "   all     equal: %s", fingerprint)
}
