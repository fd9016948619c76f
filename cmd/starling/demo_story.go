package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/starling-sync/starling/cmd/starling/sample"
)

// The chat and the contact that the demo edits, and the messages on the
// screens of its devices.
const (
	demoChat    = "matrix:!family"
	demoContact = "ada"
	demoFirst   = "2026-03-01T08:00:00Z"
	demoEarlier = "2026-03-01T09:30:00Z"
	demoLater   = "2026-03-01T11:45:00Z"
)

// link begins the account on the laptop and joins the other two.
func (d *demo) link(ctx context.Context) error {
	if err := d.laptop.perform(ctx, "init", "--name", "laptop", "--yes"); err != nil {
		return err
	}
	if err := d.laptop.up(ctx); err != nil {
		return err
	}
	d.note("laptop  began the account")
	for _, device := range []*demoDevice{d.phone, d.tablet} {
		began := time.Now()
		digits, err := d.join(ctx, device)
		if err != nil {
			return fmt.Errorf("link the %s: %w", device.name, err)
		}
		d.note("%-6s  scanned the laptop's ticket and showed %s %s, which were typed into the laptop: linked in %s",
			device.name, digits[:3], digits[3:], since(began))
		peers := addrsOf(d.laptop)
		if device == d.tablet {
			peers = addrsOf(d.laptop, d.phone)
		}
		if err := device.up(ctx, peers...); err != nil {
			return err
		}
	}
	return nil
}

// join plays the person between two devices: the ticket goes one way, the
// digits the other.
func (d *demo) join(ctx context.Context, device *demoDevice) (digits string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	link, err := d.laptop.start(ctx, "link")
	if err != nil {
		return "", err
	}
	join, err := device.start(ctx, "join", "--name", device.name, "--listen", "127.0.0.1:0", "--no-discovery", "-")
	if err != nil {
		cancel()
		return "", errors.Join(err, link.done())
	}
	if digits, err = handOver(link, join); err != nil {
		cancel() // neither waits for the other any more; the first failure counts
		_, _ = join.done(), link.done()
		return "", err
	}
	return digits, errors.Join(join.done(), link.done())
}

// handOver carries the ticket to the new device and its digits back.
func handOver(link, join *process) (string, error) {
	var invite struct{ Ticket string }
	if err := link.next(&invite); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(join.stdin, invite.Ticket); err != nil {
		return "", err
	}
	var shown struct{ Digits string }
	if err := join.next(&shown); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(link.stdin, shown.Digits); err != nil {
		return "", err
	}
	var linked, joined struct{ Event string }
	if err := link.next(&linked); err != nil {
		return "", err
	}
	return shown.Digits, join.next(&joined)
}

// importContacts reads the person's file, or the samples, on the phone.
func (d *demo) importContacts(ctx context.Context) error {
	files, err := d.cardFiles()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := d.phone.perform(ctx, "contact", "import", file); err != nil {
			return err
		}
		d.note("phone   imported %s", filepath.Base(file))
	}
	return d.everywhere(ctx, "import", time.Now(), rowContacts)
}

// cardFiles unpacks the samples.
func (d *demo) cardFiles() ([]string, error) {
	if d.contacts != "" {
		return []string{d.contacts}, nil
	}
	names, err := fs.Glob(sample.Files, "*.vcf")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range names {
		raw, err := sample.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(d.dir, name)
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// demoEdit is one command on one device.
type demoEdit struct {
	device *demoDevice
	said   string
	args   []string
}

func (d *demo) perform(ctx context.Context, edits []demoEdit) error {
	for _, e := range edits {
		if err := e.device.perform(ctx, e.args...); err != nil {
			return err
		}
		if e.said != "" {
			d.note("%-6s  %s", e.device.name, e.said)
		}
	}
	return nil
}

// editTogether edits while all are connected.
func (d *demo) editTogether(ctx context.Context) error {
	err := d.perform(ctx, []demoEdit{
		{d.phone, "reads the family chat up to message m1", readUpTo(demoFirst, "m1")},
		{d.laptop, "adds a contact: Ada Lovelace", []string{"contact", "set", demoContact, "--name", "Ada Lovelace", "--phone", "+44 1;home"}},
		{d.tablet, `sets the theme to "light"`, []string{"setting", "set", "theme", "light"}},
	})
	if err != nil {
		return err
	}
	return d.everywhere(ctx, "edit", time.Now(), rowRead, rowPhones, rowTheme)
}

func readUpTo(at, message string) []string {
	return []string{"chat", "read", demoChat, "--at", at, "--message", message}
}

// editApart stops the tablet's daemon. Its edits go to its own store, while
// the other two go on together: the same chat, contact and setting.
func (d *demo) editApart(ctx context.Context) error {
	if err := d.tablet.stop(); err != nil {
		return err
	}
	d.note("tablet  is cut off: nothing reaches it, nothing leaves it")
	err := d.perform(ctx, []demoEdit{
		{d.phone, "reads the family chat up to m7 and archives it", readUpTo(demoLater, "m7")},
		{d.phone, "", []string{"chat", "archive", demoChat}},
		{d.tablet, "reads it up to m3 only, and mutes it", readUpTo(demoEarlier, "m3")},
		{d.tablet, "", []string{"chat", "mute", demoChat}},
		{d.laptop, "gives Ada a number at work", []string{"contact", "set", demoContact, "--phone", "+44 2;work"}},
		{d.tablet, "gives Ada another one, and a birthday", []string{"contact", "set", demoContact, "--phone", "+44 3;cell", "--birthday", "18151210"}},
		{d.laptop, `sets the theme to "dark"`, []string{"setting", "set", "theme", "dark"}},
		{d.tablet, `sets the theme to "paper", last`, []string{"setting", "set", "theme", "paper"}},
	})
	if err != nil {
		return err
	}
	return d.compare(ctx, rowRead, rowMuted, rowArchived, rowPhones, rowBirthday, rowTheme)
}

// heal starts the tablet again.
func (d *demo) heal(ctx context.Context) error {
	if err := d.tablet.up(ctx, addrsOf(d.laptop, d.phone)...); err != nil {
		return err
	}
	d.note("tablet  has its network again")
	return d.everywhere(ctx, "heal", time.Now(), rowRead, rowMuted, rowArchived, rowPhones, rowBirthday, rowTheme)
}

// note prints one line of what happens.
func (d *demo) note(format string, args ...any) {
	if !d.app.json {
		fmt.Fprintln(d.app.stdout, "   "+shown(fmt.Sprintf(format, args...)))
	}
}

func (d *demo) head(s string) {
	if !d.app.json {
		fmt.Fprintf(d.app.stdout, "\n%s\n", bold(d.app.stdout, s))
	}
}

func since(t time.Time) time.Duration {
	d := time.Since(t)
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond / 10)
}
