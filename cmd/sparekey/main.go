// Command sparekey hands a spare of a digital credential to exactly one other person.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/vault"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a write that fails says so, and the share is kept
	a := assemble(os.Stdin, os.Stdout, os.Stderr)
	go func() {
		<-signals
		cancel()
		<-signals
		a.leave(wantsJSON(os.Args[1:]))
		os.Exit(exitInterrupted)
	}()
	os.Exit(a.run(ctx, os.Args[1:]))
}

// leave says, at a second signal, that what was begun is kept: it doesn't wait for the
// command, which may be anywhere, nor for long for whoever reads.
func (a *app) leave(json bool) {
	said := make(chan struct{})
	go func() {
		f := fail(exitInterrupted, "interrupted", "interrupted twice, and left at once. What was begun is kept.", "sparekey list shows it")
		f.Safe = false // a credential may have left
		a.last(f, json)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(time.Second):
	}
}

// An app is what all commands have: where they speak and whom they ask, and the
// device behind them once it is opened.
type app struct {
	output
	stdin  *os.File
	flags  flags
	config config
	term   *terminal
	vault  *vault.Vault
	placed placing
	driven string // the share that this process has held; empty: none

	asked, usual ways             // the kinds of path that the command line names, and those that are set
	room         discovery.Finder // of the other device in the room
}

type flags struct {
	json, quiet, verbose, noPrompt bool
	config, home, paths            string
	timeout                        time.Duration
}

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	return assemble(stdin, stdout, stderr).run(ctx, args)
}

func assemble(stdin *os.File, stdout, stderr io.Writer) *app {
	a := &app{output: output{stdout: stdout, stderr: newScreen(stderr)}, stdin: stdin, room: lan.New(lan.Config{})}
	a.placed.Registry = a.formats()
	return a
}

func (a *app) run(ctx context.Context, args []string) int {
	a.json = wantsJSON(args) // until begin, which a command line that can't be read doesn't reach
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetContext(ctx)
	err := root.Execute()
	defer a.stderr.(*screen).close()
	if room, ok := a.room.(io.Closer); ok {
		room.Close() // what it had to say has been said: a share's paths are closed with it
	}
	if err == nil {
		err = a.broken()
	}
	if err == nil {
		return exitDone
	}
	f := asFailure(err)
	if f.Code == "output_closed" && a.driven != "" {
		f.Message, f.Hint = f.Message+" The share is kept.", "sparekey show "+a.driven+" shows how it stands"
	}
	a.failed(f)
	return f.Exit
}

// wantsJSON reports whether a command line asks for --json, also behind what can't be read of it.
func wantsJSON(args []string) (wants bool) {
	for _, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return wants
		case name == "--json":
			yes, err := strconv.ParseBool(value)
			wants = !given || yes && err == nil
		}
	}
	return wants
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "sparekey", Short: "Hand a spare key to exactly one other person",
		Args: noCommand, RunE: func(c *cobra.Command, _ []string) error { return a.nothing(c) }, SuggestionsMinimumDistance: 2,
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.begin(c) },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(exitUsage, "usage", err.Error()+".", c.CommandPath()+" --help").because(err)
	})
	f := root.PersistentFlags()
	f.BoolVar(&a.flags.json, "json", false, "speak JSON, one object a line")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing but data")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "say what paths report")
	f.BoolVar(&a.flags.noPrompt, "no-prompt", false, "never ask")
	f.StringVar(&a.flags.config, "config", "", "config `file`")
	f.StringVar(&a.flags.home, "home", "", "`folder` of this device's vault")
	f.DurationVar(&a.flags.timeout, "timeout", 0, "give up after; what was begun is kept")
	root.AddCommand(a.shareCommand(), a.receiveCommand(), a.viewCommand(), a.listCommand(), a.showCommand(), a.resumeCommand(),
		a.cancelCommand(), a.declineCommand(), a.relinquishCommand(), a.forgetCommand(), a.doctorCommand(), a.formatsCommand(), a.versionCommand())
	for _, c := range root.Commands() {
		c.Args = exactly(c.Args)
	}
	return root
}

// nothing answers a command line without a command by the help, which is no JSON.
func (a *app) nothing(c *cobra.Command) error {
	if a.json {
		return usage("a command is wanted")
	}
	return c.Help()
}

// noCommand is the failure of a first word that names no command.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "sparekey --help"
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "sparekey " + like[0]
	}
	return fail(exitUsage, "usage", fmt.Sprintf("there is no command %q.", args[0]), hint)
}

// exactly makes a wrong number of arguments a failure that says what is wanted.
func exactly(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fail(exitUsage, "usage", fmt.Sprintf("this is used as: sparekey %s.", c.Use), c.CommandPath()+" --help").because(err)
		}
		return nil
	}
}

// begin settles flags and config before a command runs.
func (a *app) begin(c *cobra.Command) error {
	a.json, a.quiet = a.flags.json, a.flags.quiet
	loaded, err := loadConfig(a.flags.config)
	if err != nil {
		return err
	}
	a.config = loaded.settle(a.flags.home)
	if err := a.settleWays(); err != nil {
		return err
	}
	a.term = newTerminal(a.stdin, a.stderr, a.flags.noPrompt)
	if a.flags.timeout > 0 {
		ctx, cancel := context.WithTimeout(c.Context(), a.flags.timeout)
		c.SetContext(ctx)
		cobra.OnFinalize(cancel)
	}
	return nil
}

// open opens the vault. A copy's live shares are made unresolved before anything else.
func (a *app) open(ctx context.Context) error {
	v, err := vault.Open(a.config.Home, vault.Options{KeyFile: a.config.KeyFile, Rand: rand.Reader})
	if err != nil {
		return err
	}
	a.vault = v
	if v.Copied() {
		return a.haltCopies(ctx)
	}
	return nil
}

// formats are the credential types that this device knows.
func (a *app) formats() *credential.Registry {
	return credential.NewRegistry(credential.File{}, credential.AgeIdentity{})
}

// device is this device, without paths: drive gives it those of the share.
func (a *app) device() *node.Device {
	return &node.Device{Vault: a.vault, Formats: &a.placed, Now: now, Rand: rand.Reader}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		a.data("sparekey %s", version)
		a.emit(event{Type: "result", Data: map[string]string{"version": version}})
		return nil
	}}
}

func (a *app) formatsCommand() *cobra.Command {
	return &cobra.Command{Use: "formats", Short: "List the credential types that this device knows", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		for _, d := range a.formats().Describe() {
			a.data("%-14s %s", d.Name, d.Provision)
			a.emit(event{Type: "format", Format: d.Name, Data: d})
		}
		a.emit(event{Type: "result"})
		return nil
	}}
}

// version is set by the build of a release.
var version = "0.1.0-dev"

// plural writes a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
