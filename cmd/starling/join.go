package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// syncLimit is how long join waits for the whole state by default.
const syncLimit = 5 * time.Minute

func (a *app) joinCommand() *cobra.Command {
	var network networkFlags
	var name string
	var limit time.Duration
	cmd := &cobra.Command{
		Use: "join --name NAME TICKET|-", Short: "Join an account with this new device", Args: cobra.ExactArgs(1),
		Long: "Join an account: take the ticket that starling link shows on a device of the\naccount, and type the six digits shown here into that device. Ends when everything\nthe account holds is here.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			ticket, err := a.ticket(args[0])
			if err != nil {
				return err
			}
			return a.join(ctx, name, ticket, limit, &network)
		}),
	}
	network.add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of this device, as the others see it")
	cmd.Flags().DurationVar(&limit, "timeout", syncLimit, "how long to wait for everything the account holds")
	require(cmd, "name")
	return cmd
}

// ticket checks the ticket before a passphrase is asked for.
func (a *app) ticket(arg string) (string, error) {
	if arg == "-" {
		line, err := a.readLine()
		if err != nil {
			return "", client.Errorf(client.CodeLinkFailed, "ticket from standard input: %w", err)
		}
		arg = line
	}
	arg = strings.TrimSpace(arg)
	t, err := encryption.ParseTicket(arg)
	if err != nil {
		return "", err
	}
	if !t.Expires().After(time.Now()) {
		return "", encryption.ErrTicketExpired
	}
	return arg, nil
}

func (a *app) join(ctx context.Context, name, ticket string, limit time.Duration, network *networkFlags) error {
	if err := checkFree(a.dir); err != nil {
		return err
	}
	id, known, err := a.pair(ctx, name, ticket)
	if err != nil {
		return err
	}
	config := network.config(id, a.stderr)
	config.Known = known
	e, err := openEngine(ctx, a.dir, config)
	if err != nil {
		return err
	}
	return errors.Join(a.fetch(ctx, e, id, limit), e.Close())
}

// pair runs the handshake and leaves an identity in the directory, or nothing. What
// fails after the identity was saved is no reason to take it away.
func (a *app) pair(ctx context.Context, name, ticket string) (id *encryption.Identity, known []p2p.Entry, err error) {
	var late error
	err = a.inNewDir(func(u encryption.Unlock) (err error) {
		if id, known, err = a.pairWith(ctx, name, ticket, u); id != nil {
			late = err
			return nil
		}
		return err
	})
	return id, known, errors.Join(err, late)
}

func (a *app) pairWith(ctx context.Context, name, ticket string, unlock encryption.Unlock) (id *encryption.Identity, known []p2p.Entry, err error) {
	joiner, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name})
	if err != nil {
		return nil, nil, err
	}
	book := p2p.NewMemoryBook()
	err = p2p.Join(ctx, ticket, joiner, &p2p.JoinConfig{
		ShowDigits: a.showDigits,
		Book:       book,
		Save: func() (*encryption.Identity, error) {
			saved, err := joiner.Save(a.dir, unlock)
			if err == nil {
				id = saved
			}
			return saved, err
		},
	})
	if err != nil {
		return id, nil, err
	}
	known, err = book.Load()
	return id, known, err
}

func (a *app) showDigits(digits string) {
	if a.json {
		type event struct {
			Event  string `json:"event"`
			Digits string `json:"digits"`
		}
		_ = a.emit(event{"digits", digits}) // when the reader is gone the handshake times out
		return
	}
	_ = a.say("Type these digits into the other device: %s %s", digits[:len(digits)/2], digits[len(digits)/2:])
}

// fetch waits until everything is here, and reports.
func (a *app) fetch(ctx context.Context, e *engine, id *encryption.Identity, limit time.Duration) error {
	a.progress("Linked. Fetching what the account holds …")
	self, _ := id.Member(id.Device())
	err := within(ctx, limit, func(ctx context.Context) error { return e.fetchFrom(ctx, self.AddedBy) })
	if errors.Is(err, context.DeadlineExceeded) {
		return client.Errorf(client.CodeUnreachable, "joined, but not everything has arrived within %s: starling up goes on", limit)
	} else if err != nil {
		return err
	}
	s, err := e.Status(ctx)
	if err != nil {
		return err
	}
	type event struct {
		Event   string `json:"event"`
		Account string `json:"account"`
		Device  string `json:"device"`
	}
	return a.report(event{"joined", s.Account, s.Device}, "Joined account %s with %s and %s.",
		s.Account, count(s.Counts.Chats, "chat"), count(s.Counts.Contacts, "contact"))
}
