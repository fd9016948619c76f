package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// lingering is how long link stays without a daemon, so that the new device
// can fetch what the account holds.
const lingering = time.Minute

func (a *app) linkCommand() *cobra.Command {
	var network networkFlags
	cmd := &cobra.Command{
		Use: "link", Short: "Invite a new device into the account", Args: cobra.NoArgs,
		Long: "Invite a new device: run starling join with the ticket there, and type the six\ndigits that it shows here. A ticket is good for one device and five minutes. The\nnew device gets everything the account holds, and may add devices itself.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			daemon, err := runningDaemon(ctx, a.dir)
			if err != nil {
				return err
			}
			if daemon != nil {
				c := client.New(daemon.API)
				defer c.Close()
				_, err := a.invite(ctx, c)
				return err
			}
			return a.linkAlone(ctx, &network)
		}),
	}
	network.add(cmd)
	return cmd
}

// linkAlone brings its own network, and stays until the new device has all.
func (a *app) linkAlone(ctx context.Context, network *networkFlags) error {
	id, err := a.openIdentity()
	if err != nil {
		return err
	}
	e, err := openEngine(ctx, a.dir, network.config(id, a.stderr))
	if err != nil {
		return err
	}
	device, err := a.invite(ctx, e)
	if err == nil {
		a.progress("Handing over what the account holds …")
		err = lingered(within(ctx, lingering, func(ctx context.Context) error { return e.handOver(ctx, device.ID) }))
	}
	return errors.Join(err, e.Close())
}

// lingered takes for success that the new device did not come back in time:
// it is linked, and fetches the rest from whom it finds.
func lingered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// invite leads a person through the linking of one device.
func (a *app) invite(ctx context.Context, linker client.Linker) (device model.Device, err error) {
	invitation, err := linker.Invite(ctx)
	if err != nil {
		return device, err
	}
	defer func() {
		if err != nil { // a ticket that nobody waits for is a danger
			_ = linker.Cancel(context.WithoutCancel(ctx), invitation.ID)
		}
	}()
	if err := a.showTicket(&invitation); err != nil {
		return device, err
	}
	digits, err := a.digits(ctx, linker, &invitation)
	if err != nil {
		return device, err
	}
	if device, err = linker.Confirm(ctx, invitation.ID, digits); err != nil {
		return device, err
	}
	return device, a.reportLinked(&device)
}

func (a *app) reportLinked(device *model.Device) error {
	type who struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	type event struct {
		Event  string `json:"event"`
		Device who    `json:"device"`
	}
	return a.report(event{"linked", who{device.ID, device.Name}}, "Linked %s (%s).", device.Name, device.ID)
}

func (a *app) showTicket(i *client.Invitation) error {
	type event struct {
		Event   string     `json:"event"`
		Ticket  string     `json:"ticket"`
		Expires model.Time `json:"expires"`
	}
	if a.json {
		return a.emit(event{"invite", i.Ticket, i.Expires})
	}
	if term.IsTerminal(int(a.stdout.Fd())) {
		qrterminal.GenerateHalfBlock(strings.ToUpper(i.Ticket), qrterminal.L, a.stdout) // upper case needs fewer blocks
	}
	left := time.Until(i.Expires.Std()).Round(time.Second)
	_, err := fmt.Fprintf(a.stdout, "On the new device, within %s:\n\n    starling join --name NAME %s\n\n", left, i.Ticket)
	return err
}

// digits waits for the new device and for what the person types, in either
// order. The end of standard input ends the invite.
func (a *app) digits(ctx context.Context, linker client.Linker, i *client.Invitation) (string, error) {
	type answer struct {
		text string
		err  error
	}
	joined, typed := make(chan answer, 1), make(chan answer, 1)
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		name, err := linker.Await(waiting, i.ID)
		joined <- answer{name, err}
	}()
	go func() { // a read of a terminal cannot be stopped; the process ends soon
		line, err := a.readLine()
		typed <- answer{line, err}
	}()
	var line *answer
	for {
		select {
		case got := <-joined:
			if got.err != nil {
				return "", got.err
			}
			joined = nil
			a.askConsent(got.text)
		case got := <-typed:
			if errors.Is(got.err, io.EOF) {
				return "", client.Errorf(client.CodeLinkFailed, "no digits were given; the invite is closed")
			} else if got.err != nil {
				return "", got.err
			}
			line, typed = &got, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if line != nil && joined == nil {
			return line.text, nil
		}
	}
}

// askConsent says what typing the digits means.
func (a *app) askConsent(name string) {
	if a.json || !a.interactive() {
		return
	}
	a.prompt("%s wants to join. It will read and change all chats, contacts and settings of\n"+
		"this account, and may add devices. To allow it, type the six digits it shows: ", shown(name))
}
