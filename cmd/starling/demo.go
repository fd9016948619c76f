package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// demoLimit ends a demo that hangs.
const demoLimit = 2 * time.Minute

func (a *app) demoCommand() *cobra.Command {
	var contacts, keep string
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch three devices link, lose each other and converge again", Args: cobra.NoArgs,
		Long: "Start three real daemons on this machine, link them as people do, import vCards,\nedit on all of them while one is cut off, and show how they become equal again.\nNothing outside a temporary directory is touched.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			ctx, cancel := context.WithTimeout(ctx, demoLimit)
			defer cancel()
			return a.demo(ctx, contacts, keep)
		}),
	}
	cmd.Flags().StringVar(&contacts, "contacts", "", "import this vCard `FILE` instead of the samples")
	cmd.Flags().StringVar(&keep, "keep", "", "put the three directories into `DIR` and leave them there")
	return cmd
}

// demo is the run of one demonstration.
type demo struct {
	app      *app
	dir      string
	self     string // path of this program
	contacts string // vCard file of the person, or empty
	keep     string // directory that stays, or empty
	phone    *demoDevice
	laptop   *demoDevice
	tablet   *demoDevice
	timings  []demoTiming
}

// demoTiming is how long one step took to be everywhere.
type demoTiming struct {
	Step string  `json:"step"`
	MS   float64 `json:"ms"`
}

func (a *app) demo(ctx context.Context, contacts, keep string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if contacts != "" {
		if _, _, err := a.readCards(contacts); err != nil { // before two minutes of work
			return err
		}
	}
	dir, clean, err := demoDir(keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clean()) }()
	d := &demo{app: a, dir: dir, self: self, contacts: contacts, keep: keep}
	d.phone, d.laptop, d.tablet = d.device("phone"), d.device("laptop"), d.device("tablet")
	defer func() { // the daemons end before their directories go
		for _, device := range d.devices() {
			if e := device.stop(); err == nil {
				err = e
			}
		}
	}()
	return d.play(ctx)
}

func (d *demo) devices() []*demoDevice { return []*demoDevice{d.phone, d.laptop, d.tablet} }

func (d *demo) device(name string) *demoDevice {
	return &demoDevice{
		name: name, self: d.self,
		dir: filepath.Join(d.dir, name), key: filepath.Join(d.dir, name+".key"),
	}
}

// demoDir is a directory that is removed, or one that the person keeps.
func demoDir(keep string) (dir string, clean func() error, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "starling-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if entries, err := os.ReadDir(keep); err == nil && len(entries) > 0 {
		return "", nil, client.Errorf(client.CodeExists, "--keep %s: is not empty", keep)
	}
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return "", nil, err
	}
	return keep, func() error { return nil }, nil
}

// play tells the story, and fails unless the three are equal at the end.
func (d *demo) play(ctx context.Context) error {
	d.note("Three daemons on this machine stand for a person's phone, laptop and tablet.")
	for _, act := range []struct {
		heading string
		do      func(context.Context) error
	}{
		{"Three devices, one account, no server", d.link},
		{"The phone imports an address book", d.importContacts},
		{"An edit on one device is an edit on all", d.editTogether},
		{"The tablet loses its network, and everybody goes on", d.editApart},
		{"The tablet is back", d.heal},
		{"The proof", d.prove},
	} {
		d.head(act.heading)
		if err := act.do(ctx); err != nil {
			return err
		}
	}
	if d.keep != "" {
		d.note("kept    in %s: try starling chat list --dir %s --key-file %s", d.keep, d.phone.dir, d.phone.key)
	}
	return nil
}
