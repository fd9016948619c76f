package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// storeCheck is what people read of a part of the examination.
type storeCheck struct {
	part replica.Part
	name string
	goal string // what is being done in it, for when that ends the child
}

var storeChecks = []storeCheck{
	{replica.PartStore, checkStore, "opening the store"},
	{replica.PartRecords, "records", "reading all records"},
	{replica.PartAccount, "account", "reading who belongs to the account"},
	{replica.PartEnd, "newest changes", "looking at the end of the store"},
	{replica.PartLog, "history", "checking the history of changes"},
	{replica.PartWaiting, "unsent changes", "reading changes that wait to be sent"},
	{replica.PartDocuments, "documents", "comparing the documents with the history"},
	{replica.PartSetAside, "set aside", "looking for changes that were set aside"},
}

// checkStore has a child examine the store, and tells what that finds as it comes.
func (d *doctor) checkStore(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(d.dir, replica.StoreDir)); errors.Is(err, fs.ErrNotExist) {
		return d.tell(d.noStore())
	}
	c, err := d.startChild(ctx, childRequest{Task: taskExamine})
	if err != nil {
		return err
	}
	at := 0 // in storeChecks
	var ended bool
	for !ended {
		line, err := c.next()
		switch {
		case err != nil:
			ended = true
			err = d.tellDeath(ctx, c, storeChecks[at])
		case line.Failed != nil:
			ended = true
			c.wait()
			err = d.tell(d.failed(storeChecks[at], line.Failed))
		case line.Done:
			c.wait()
			return nil
		case line.Examined.Begun:
			at = indexOfPart(line.Examined.Part)
		case !line.Examined.Alive:
			err = d.tell(d.words(storeChecks[at], line.Examined))
		}
		if err != nil {
			return err
		}
	}
	return d.tellUnchecked(storeChecks[at+1:])
}

// tellUnchecked says what could not be checked any more, to a person in one line.
func (d *doctor) tellUnchecked(rest []storeCheck) error {
	var names []string
	for _, c := range rest {
		f := finding{Check: c.name, Result: resultUnknown, Text: "not checked, because of what is said above"}
		names = append(names, c.name)
		if !d.json {
			d.findings = append(d.findings, f)
		} else if err := d.tell(f); err != nil {
			return err
		}
	}
	if d.json || len(names) == 0 {
		return nil
	}
	return d.say("%-8s %-15s not checked, because of what is said above: %s", resultUnknown, "the rest", strings.Join(names, ", "))
}

// noStore is no fault where nothing was saved yet, which is so only on a device that
// began an account.
func (d *doctor) noStore() finding {
	f := finding{Check: checkStore, Result: resultNote, Text: "there is none: nothing was saved here yet, or it was moved or deleted"}
	f.Advice = "If something was saved here, put the directory store back into " + d.dir + ".\nIf it is gone, starling doctor --repair --from-others begins a new one, which other devices fill."
	if d.others > 0 || d.fromOthers {
		f.Result, f.code, f.Remedy = resultProblem, client.CodeDamaged, replica.RemedyFetch
		f.Text = "there is none: it was moved or deleted"
		f.Advice = "If it was moved, put the directory store back into " + d.dir + ".\nIf it is gone, starling doctor --repair begins a new one, which the other devices fill. What\nno other device has is lost."
	}
	return f
}

func indexOfPart(p replica.Part) int {
	for i, c := range storeChecks {
		if c.part == p {
			return i
		}
	}
	return 0
}

// tellDeath says that the child has ended in the middle of something.
func (d *doctor) tellDeath(ctx context.Context, c *child, at storeCheck) error {
	how, detail := c.wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if how == "" {
		how = "the check ended without a word"
	}
	f := finding{
		Check: at.name, Result: resultProblem, code: client.CodeDamaged, Remedy: replica.RemedyFetch,
		Text: at.goal + " did not come to an end: " + how, Advice: adviceFetch,
	}
	if how == endedByOthers {
		f.code, f.Remedy = client.CodeInternal, replica.RemedyNone
		f.Advice = "This says nothing about the store. Run starling doctor again."
	}
	if c.late {
		f.Advice = "A disk that fails can be that slow. If it is only slow, run starling doctor again with\na longer --limit. " + adviceFetch
	}
	if detail != "" {
		f.Details = []string{detail}
	}
	return d.tell(f)
}

// What a person can do.
const (
	adviceMend  = "This device can make that again from what it has: starling doctor --repair"
	adviceAnew  = "starling doctor --repair sets the store aside and begins a new one, which the other devices\nfill. What no other device has is lost."
	adviceFetch = "starling doctor --repair sets the store aside, carries over all that can be read, and has\nthe other devices send the rest. What no other device has and cannot be read here is lost."
)

// failed words the error with which the examination ended.
func (d *doctor) failed(at storeCheck, e *childFailure) finding {
	f := finding{Check: at.name, Result: resultProblem, code: e.Code, Details: []string{e.Message}}
	switch e.Code {
	case client.CodeDamaged:
		f.Text, f.Remedy, f.Advice = at.goal+" failed: it is damaged", replica.RemedyFetch, adviceFetch
		if at.part == replica.PartStore {
			f.Text, f.Advice = "it does not open: its files are damaged, or another device's", adviceAnew
		}
	case client.CodeInUse:
		f.Text = "another program is using it"
		f.Advice = "Wait until it has ended, or stop it, then run starling doctor again."
	case client.CodeDiskFull:
		f.Text = "the disk is too full to open it"
		f.Advice = "Nothing that was saved is lost by it. Make room, then run starling doctor again."
	case client.CodePermission:
		f.Text = "it cannot be written"
		f.Advice = "Restore the owner and permissions of " + d.dir + ", then run starling doctor again."
	case client.CodeWrongAccount:
		f.Text = "it belongs to another account or device"
		f.Advice = "The store and the identity in " + d.dir + " were not made together: put those together that were."
	default:
		f.Text = at.goal + " failed: " + e.Message
		f.Advice = "If this version of starling is older than the one used last, use that one."
	}
	return f
}

// words says in words what a part has come to.
func (d *doctor) words(at storeCheck, x *replica.Examined) finding {
	f := finding{Check: at.name, Result: resultOK}
	switch at.part {
	case replica.PartStore:
		f.Text = "it opens"
	case replica.PartRecords:
		f.Text = count(x.Count, "record") + ", each as it was written"
	case replica.PartAccount:
		d.others = x.Others
		f.Text = count(x.Count, "device") + " in the account, of which this is one"
		if x.Count == 1 {
			f.Text = "this is the only device in it"
		}
		standing(&f, x)
	case replica.PartEnd:
		f.Text = "none are missing at the end of the store"
	case replica.PartLog:
		f.Text = bundles(x.Count) + ", all signed and without a gap"
		if x.Count == 0 {
			f.Text = "nothing was sent or received yet"
		}
	case replica.PartWaiting:
		f.Text = waitingText(x)
		if x.Kept > 0 {
			f.Result = resultNote
			f.Advice = "These were carried over from a damaged store, and rest on something that is lost here.\nThey count again once another device has sent it. Leave starling up running."
		}
	case replica.PartDocuments:
		f.Text = count(x.Count, "document") + ", in agreement with the history"
	case replica.PartSetAside:
		f.Text = "no change was set aside"
		setAside(&f, x.SetAside)
	}
	if len(x.Troubles) > 0 {
		troubled(&f, at.part, x)
	}
	return f
}

// bundles counts envelopes for people.
func bundles(n int) string {
	if n == 1 {
		return "1 bundle of changes"
	}
	return fmt.Sprintf("%d bundles of changes", n)
}

func waitingText(x *replica.Examined) string {
	text := "none wait to be sent"
	if x.Count > 0 {
		text = count(x.Count, "change") + " of this device that the others do not have yet"
	}
	if x.Kept > 0 {
		text += fmt.Sprintf("; %d saved by a repair wait for others", x.Kept)
	}
	return text
}

// standing says what it means to be no member.
func standing(f *finding, x *replica.Examined) {
	switch model.Standing(x.Standing) {
	case model.StandingRemoved:
		f.Result, f.Text = resultNote, "this device was removed from the account"
		f.Advice = "It keeps what it has and gets nothing new. To have it back, link it anew in an empty directory."
	case model.StandingOrphaned:
		f.Result, f.Text = resultNote, "this device was added by one that was out already"
		f.Advice = "On another device run starling devices readd with the id that starling status shows here."
	case model.StandingFrozen:
		f.Result, f.Text = resultNote, "no device is left in the account: they have removed each other"
		f.Advice = "On the one that stays run starling recover with the recovery words."
	}
}

// setAside names envelopes that are not applied any more.
func setAside(f *finding, all []replica.SetAside) {
	if len(all) == 0 {
		return
	}
	f.Result = resultNote
	f.Text = "changes of another device ended this program again and again, and are not applied any more"
	for _, s := range all {
		whose := "a device that has not sent it again since"
		switch {
		case s.Name != "":
			whose = fmt.Sprintf("%s (%s)", s.Name, s.Device)
		case s.Device != "":
			whose = s.Device
		}
		f.Advice += fmt.Sprintf("They are from %s. What that device writes is not taken in here any more.\n", whose)
		f.Details = append(f.Details, fmt.Sprintf("envelope %s, number %d of writer %s, of device %s", s.Envelope, s.Seq, s.Writer, s.Device))
	}
	f.Advice += "A newer version of starling may be able to read them. If that device is not one of yours,\nremove it: starling devices remove"
}

// troubled words what is wrong.
func troubled(f *finding, part replica.Part, x *replica.Examined) {
	f.Result, f.code = resultProblem, client.CodeDamaged
	for _, t := range x.Troubles {
		f.Details = append(f.Details, t.What)
		f.Remedy = stronger(f.Remedy, t.Remedy)
		f.remedies = append(f.remedies, t.Remedy)
	}
	n := len(x.Troubles)
	switch part {
	case replica.PartRecords:
		f.Text = fmt.Sprintf("%d of them cannot be read or are not as they were written: %s", n, subjects(x.Troubles))
		if n == 1 {
			f.Text = "one of them cannot be read or is not as it was written: " + subjects(x.Troubles)
		}
	case replica.PartEnd:
		f.Result, f.code = resultNote, ""
		f.Text = "what was written last is missing at the end of the store"
		f.Advice = "The other devices send it again, as far as they have it: run starling up. What this device\nhad sent to nobody is lost. It writes under a new name from now on, so that nothing is mixed up."
		return
	case replica.PartLog:
		f.Text = fmt.Sprintf("%s that cannot be read, are forged, or are missing", count(n, "place"))
	case replica.PartWaiting:
		f.Text = "changes of this device that the others do not have yet cannot be read"
	case replica.PartDocuments:
		f.Text = fmt.Sprintf("%s with the documents or their index: %s", count(n, "problem"), subjects(x.Troubles))
	}
	f.Advice = adviceFetch
	if f.Remedy == replica.RemedyMend {
		f.Advice = adviceMend
	}
}

// maxSubjects is how many things are named in a line.
const maxSubjects = 4

// subjects names what troubles are about: what stands before their first colon.
func subjects(all []replica.Trouble) string {
	var names []string
	seen := map[string]bool{}
	for _, t := range all {
		name, _, _ := strings.Cut(t.What, ":")
		if strings.HasPrefix(name, "document ") {
			name = "a document whose name is damaged too"
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if extra := len(names) - maxSubjects; extra > 0 {
		names = append(names[:maxSubjects], fmt.Sprintf("%d more", extra))
	}
	return strings.Join(names, ", ")
}
