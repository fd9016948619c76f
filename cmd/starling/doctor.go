package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) doctorCommand() *cobra.Command {
	d := &doctor{app: a}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check everything about this device's directory, and repair it", Args: cobra.NoArgs,
		Long: "Check the directory, the identity and every record and document of the store, and say\nin a line each what is in order and what to do about the rest. The store is checked in\na process of its own, because a damaged file or disk can end the one that reads it.\n\nWith --repair, what this device can make again is made again. Where its history itself\nis damaged, the store is set aside, never deleted, and a new one begins with all that\ncan be read; the other devices send the rest at the next starling up.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if d.repair {
				if err := a.canAsk(d.yes, "starling doctor"); err != nil {
					return err
				}
			}
			return d.run(ctx)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&d.repair, "repair", false, "repair what can be repaired, after asking")
	flags.BoolVar(&d.yes, "yes", false, "do not ask before")
	flags.BoolVar(&d.fromOthers, "from-others", false, "begin a new store though no other device is known here that could fill it")
	flags.DurationVar(&d.limit, "limit", 5*time.Minute, "how long one step of a check may take until it counts as failed")
	return cmd
}

// doctor is one run of doctor.
type doctor struct {
	*app
	repair, yes, fromOthers bool
	limit                   time.Duration

	key      client.Key
	findings []finding // of the last examination
	others   int       // other members, as far as they are known here
	waits    bool      // a new store was begun that the others have to fill
}

// The results of a check.
const (
	resultOK      = "ok"
	resultNote    = "note"    // nothing is wrong, but a person should know
	resultProblem = "problem" // something is wrong
	resultUnknown = "unknown" // it could not be checked, because of a problem before
)

// finding is what a check has found. It is what doctor prints with --json, a line
// each.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
	// Remedy is what repairs it: "mend" is done with what is on this device, "fetch"
	// takes another device; nothing for what --repair cannot do.
	Remedy  replica.Remedy `json:"remedy,omitempty"`
	Details []string       `json:"details,omitempty"`

	code     client.Code      // of a problem
	remedies []replica.Remedy // of all that is in it
}

// tell prints a finding as it comes.
func (d *doctor) tell(f finding) error {
	if f.remedies == nil {
		f.remedies = []replica.Remedy{f.Remedy}
	}
	d.findings = append(d.findings, f)
	if d.json {
		return d.emit(f)
	}
	if err := d.say("%-8s %-15s %s", f.Result, f.Check, f.Text); err != nil {
		return err
	}
	for line := range strings.Lines(f.Advice) {
		if err := d.say("%-24s %s", "", strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}

func (d *doctor) run(ctx context.Context) error {
	if err := d.checkAccount(); err != nil {
		return err
	}
	daemon, err := runningDaemon(ctx, d.dir)
	if err != nil {
		return err
	}
	if daemon != nil && d.repair {
		return client.Errorf(client.CodeInUse, "a daemon runs on %s (process %d): stop it, then run starling doctor --repair", d.dir, daemon.PID)
	}
	if daemon != nil {
		return d.askDaemon(ctx, daemon)
	}
	if err := d.examine(ctx); err != nil {
		return err
	}
	if d.repair {
		return d.mend(ctx)
	}
	return d.verdict()
}

// examine makes all checks of a directory that nobody else uses.
func (d *doctor) examine(ctx context.Context) error {
	d.findings = nil
	for _, check := range []func() (finding, error){d.checkDirectory, d.checkSpace, d.checkIdentity} {
		f, err := check()
		if err != nil {
			return err
		}
		if err := d.tell(f); err != nil {
			return err
		}
		if f.Check == checkIdentity && f.Result == resultProblem {
			return d.verdict() // without the keys nothing can be read
		}
	}
	if f, ok := d.interrupted(); ok {
		if err := d.tell(f); err != nil {
			return err
		}
	} else if err := d.checkStore(ctx); err != nil {
		return err
	}
	return d.tell(d.checkLeftovers())
}

// summary is the last line that doctor prints with --json.
type summary struct {
	OK       bool `json:"ok"`
	Checks   int  `json:"checks"`
	Problems int  `json:"problems"`
	Notes    int  `json:"notes"`
}

// verdict ends doctor: an error with the code of the first problem, if there is
// one.
func (d *doctor) verdict() error {
	s := summary{Checks: len(d.findings)}
	var first *finding
	var remedy replica.Remedy
	for i, f := range d.findings {
		switch f.Result {
		case resultNote:
			s.Notes++
		case resultProblem:
			s.Problems++
			if first == nil {
				first = &d.findings[i]
			}
			remedy = stronger(remedy, f.Remedy)
		}
	}
	s.OK = s.Problems == 0
	if s.OK && d.waits {
		return d.report(s, "What is here is in order. The rest comes with starling up.")
	}
	if s.OK {
		return d.report(s, "Nothing is wrong.")
	}
	if d.json {
		if err := d.emit(s); err != nil {
			return err
		}
	}
	next := "what to do is said above"
	if remedy != replica.RemedyNone {
		next = "starling doctor --repair repairs what can be repaired"
	}
	return client.Errorf(first.code, "doctor: %s: %s; %s", first.Check, first.Text, next)
}

// stronger is the remedy that includes the other one.
func stronger(a, b replica.Remedy) replica.Remedy {
	if a == replica.RemedyFetch || b == replica.RemedyNone {
		return a
	}
	return b
}

// askDaemon has the daemon check what it can.
func (d *doctor) askDaemon(ctx context.Context, daemon *daemonInfo) error {
	for _, check := range []func() (finding, error){d.checkDirectory, d.checkSpace} {
		f, err := check()
		if err == nil {
			err = d.tell(f)
		}
		if err != nil {
			return err
		}
	}
	c := client.New(daemon.API)
	v, err := c.Verify(ctx)
	err = errors.Join(err, c.Close())
	f := finding{Check: checkDaemon, Result: resultOK, code: client.CodeDamaged,
		Text: fmt.Sprintf("it has checked %s and %s: nothing is wrong", count(v.Documents, "document"), bundles(v.Envelopes))}
	switch {
	case client.CodeOf(err) == client.CodeUnlock || err != nil && strings.Contains(err.Error(), "locked"):
		f.Result, f.Text, f.code = resultProblem, "it is locked, so that it can check nothing", client.CodeUnlock
		f.Advice = "Run starling unlock, or stop it and run starling doctor again."
	case err != nil:
		f.Result, f.Text, f.code = resultProblem, "it could not check the store: "+oneLine(err.Error()), client.CodeOf(err)
		f.Advice = "Stop it and run starling doctor again."
	case !v.OK:
		f.Result, f.Text, f.Details = resultProblem, "it has found "+count(len(v.Problems), "problem"), v.Problems
		if failed := verified(&v); len(v.Problems) == 0 && failed != nil {
			f.Text, f.code = failed.Error(), codeOf(failed)
		}
		f.Advice = "Stop it, then run starling doctor --repair."
	}
	if err := d.tell(f); err != nil {
		return err
	}
	err = d.tell(finding{Check: "the rest", Result: resultUnknown,
		Text:   "the files of the store, the identity and what crashes left behind",
		Advice: fmt.Sprintf("That can be seen only while no daemon runs. This one is process %d.", daemon.PID)})
	if err != nil {
		return err
	}
	return d.verdict()
}

// unlocked gets the key once, for this process and its children.
func (d *doctor) unlocked() (err error) {
	if d.key != (client.Key{}) {
		return nil
	}
	if d.key, err = d.app.key(); err != nil {
		return err
	}
	u, err := unlockOf(d.key)
	if err != nil {
		return err
	}
	id, err := encryption.OpenIdentity(d.dir, u)
	if err != nil {
		return err
	}
	d.others = len(id.Members()) - 1
	return nil
}
