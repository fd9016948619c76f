package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) passphraseCommand() *cobra.Command {
	var to keepers
	cmd := &cobra.Command{
		Use: "passphrase", Short: "Change what opens this device's directory", Args: cobra.NoArgs,
		Long: "Change what opens this device's directory: another passphrase, which is asked for or\nread from a file, a key file, or the keychain. A copy of the directory that was made\nbefore still opens with the old one.",
		RunE: a.does(func(context.Context, []string) error { return a.changeUnlock(to) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&to.passphraseFile, "new-passphrase-file", "", "take the first line of this `FILE` as the new passphrase")
	flags.StringVar(&to.keyFile, "new-key-file", "", "open with this `FILE` from now on; it is made if it does not exist")
	flags.BoolVar(&to.keychain, "keychain", false, "keep a new key in the keychain of this session")
	cmd.MarkFlagsMutuallyExclusive("new-passphrase-file", "new-key-file", "keychain")
	return cmd
}

func (a *app) changeUnlock(to keepers) error {
	if err := a.checkAccount(); err != nil {
		return err
	}
	if method, err := encryption.MethodOf(a.dir); err == nil && to.keychain && method == encryption.MethodKeychain {
		return client.Errorf(client.CodeExists, "%s opens with a key in the keychain already", a.dir)
	}
	from, err := a.unlock()
	if err != nil {
		return err
	}
	if _, err := encryption.OpenIdentity(a.dir, from); err != nil {
		return err // before a new one is asked for
	}
	next, undo, err := a.newUnlock(to)
	if err != nil {
		return err
	}
	if err := encryption.ChangeUnlock(a.dir, from, next); err != nil {
		undo()
		return err
	}
	method, err := encryption.MethodOf(a.dir)
	if err != nil {
		return err
	}
	if method != encryption.MethodKeychain {
		if err := forgetKeychainKey(a.dir); err != nil {
			return err
		}
	}
	type changed struct {
		Method string `json:"method"`
	}
	return a.report(changed{method.String()}, "%s opens with a %s from now on.", a.dir, method)
}
