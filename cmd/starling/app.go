package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// app is one run of the program.
type app struct {
	stdin, stdout, stderr *os.File
	lines                 *bufio.Reader // of stdin
	tty                   io.Writer     // where questions go; nil: the controlling terminal

	dir            string
	json           bool
	passphraseFile string
	keyFile        string

	// began says that flags and arguments were in order and a command runs.
	began bool
}

func newApp(stdin, stdout, stderr *os.File) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, lines: bufio.NewReaderSize(stdin, 4<<10)}
}

// run performs one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	a := newApp(stdin, stdout, stderr)
	root := a.rootCommand()
	root.SetArgs(args)
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if !a.began {
		a.json = a.json || slices.Contains(args, "--json") // given, but not reached
		err = usageError{err, called.CommandPath()}
	} else if ctx.Err() != nil && codeOf(err) != client.CodeDiskFull { // which a store meets that is closed
		err = client.Errorf(codeInterrupted, "interrupted")
	}
	return a.fail(err)
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "starling",
		Short:         "Keep chats, contacts and settings equal on all your devices, without a server",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.dir, "dir", defaultDir(), "directory of this device; also STARLING_DIR")
	flags.BoolVar(&a.json, "json", false, "print JSON, one value per line")
	flags.StringVar(&a.passphraseFile, "passphrase-file", "", "read the passphrase from the first line of this file")
	flags.StringVar(&a.keyFile, "key-file", "", "unlock with this key file instead of a passphrase")
	root.MarkFlagsMutuallyExclusive("passphrase-file", "key-file")
	root.AddCommand(
		a.demoCommand(), a.initCommand(), a.upCommand(), a.linkCommand(), a.joinCommand(),
		a.devicesCommand(), a.statusCommand(), a.verifyCommand(), a.doctorCommand(), a.doctorChildCommand(), a.watchCommand(), a.stateCommand(),
		a.chatCommand(), a.contactCommand(), a.settingCommand(), a.labelCommand(),
		a.backupCommand(), a.restoreCommand(), a.recoverCommand(), a.wordsCommand(),
		a.passphraseCommand(), a.lockCommand(), a.unlockCommand(), a.rotateCommand(), a.simCommand(), a.versionCommand(), exitCodesTopic(),
	)
	return root
}

// defaultDir is where programs keep the data of one user, as the XDG base
// directory specification says.
func defaultDir() string {
	if dir := os.Getenv("STARLING_DIR"); dir != "" {
		return dir
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "starling")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "starling"
	}
	return filepath.Join(home, ".local", "share", "starling")
}

// action is the work of a command.
type action func(ctx context.Context, args []string) error

// does makes the RunE of a command. From then on an error is no longer one
// of usage.
func (a *app) does(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.began = true
		return do(cmd.Context(), args)
	}
}

// interactive says whether a person can be asked.
func (a *app) interactive() bool { return term.IsTerminal(int(a.stdin.Fd())) }

// prompt writes to the terminal that the answer is typed at, also when the
// standard streams go elsewhere.
func (a *app) prompt(format string, args ...any) {
	if a.tty != nil {
		fmt.Fprintf(a.tty, format, args...)
		return
	}
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintf(a.stderr, format, args...)
		return
	}
	fmt.Fprintf(tty, format, args...)
	_ = tty.Close() // a prompt that was not seen shows by itself
}

// group makes a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: needsSubcommand}
	cmd.AddCommand(subs...)
	return cmd
}

func needsSubcommand(*cobra.Command, []string) error { return errNoSubcommand }
