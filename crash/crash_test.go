package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// programs is where the real programs are, built with their points once for all
// tests here.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sparekey-crash-test-")
	if err == nil {
		programs = dir
		err = build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newLab(t *testing.T) *lab { return &lab{dir: t.TempDir(), bin: programs} }

// named returns the scenario of a name.
func named(t *testing.T, name string) *scenario {
	t.Helper()
	i := slices.IndexFunc(scenarios, func(s *scenario) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no scenario %q", name)
	}
	return scenarios[i]
}

// plays runs a scenario without a kill, and shows its world before it is removed.
func plays(t *testing.T, name string, look func(*world)) {
	t.Helper()
	if o := newLab(t).run(t.Context(), named(t, name), nil, look); o.err != nil {
		t.Fatalf("%s: %v\n%s", name, o.err, logs(o.log))
	}
}

// logs returns what the processes of a run have said.
func logs(dir string) string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "logs", "*"))
	for _, f := range files {
		said, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "--- %s\n%s", filepath.Base(f), said)
	}
	return b.String()
}

// survives kills a process of a scenario at each of these points.
func survives(t *testing.T, name, process string, points ...string) {
	t.Helper()
	for _, point := range points {
		s := strike{scenario: named(t, name), process: process, point: point}
		switch o := newLab(t).try(t.Context(), s); {
		case o.err != nil:
			t.Errorf("%v: %v\n%s", s, o.err, logs(o.log))
		case !o.struck:
			t.Errorf("%v is not passed: this shows nothing", s)
		case o.what != "once":
			t.Errorf("%v: the share ends as %s", s, o.what)
		}
	}
}

// TestCRS01DeviceKilledAtASaveOrASendGoesOnWithTheSameBytes is a small part of
// `make crash`, which does all of them.
func TestCRS01DeviceKilledAtASaveOrASendGoesOnWithTheSameBytes(t *testing.T) {
	survives(t, "handover", "sender.0", "vault.key.renamed#1", "vault.save.written#1", "vault.save.renamed#2", "mailbox.request.begin#1", "mailbox.request.answered#1")
	survives(t, "handover", "receiver.0", "vault.save.synced#1", "node.step.saved#1", "mailbox.request.begin#2", "mailbox.frame.came#1")
}

// TestCRS02ReceiverKilledBetweenIntentAndRecordHasTheCredentialOnce: it asks the
// format whether the credential is there already.
func TestCRS02ReceiverKilledBetweenIntentAndRecordHasTheCredentialOnce(t *testing.T) {
	survives(t, "handover", "receiver.0", "node.task.begin#1", "credential.place.created#1", "credential.place.written#1",
		"credential.place.synced#1", "credential.place.linked#1", "credential.place.end#1")
	survives(t, "elsewhere", "receiver.1", "credential.place.linked#1")
}

func TestRelayKilledAtACommitOrAnAnswerCostsDelayOnly(t *testing.T) {
	survives(t, "handover", "relay.0", "disk.commit.applied#2", "claim.stored#1", "append.stored-of-sender#1",
		"append.stored-of-receiver#1", "disk.scrub.flushed#1")
}

// TestACommandThatIsHeldUpIsGivenAgainOnceTheOtherProcessHasEnded, and not before.
func TestACommandThatIsHeldUpIsGivenAgainOnceTheOtherProcessHasEnded(t *testing.T) {
	sc := &scenario{name: "handover", open: told, ends: []string{"done/done"}, play: func(w *world, s *job) error {
		id, err := w.id("sender")
		if err != nil {
			return err
		}
		given, ended := w.given("looker-sender")
		resume := []string{"resume", id}
		second := w.command("looker-sender", resume, resume)
		err = w.until("the second process to be held up", func() bool { _, n := w.given("looker-sender"); return n > ended })
		if err := errors.Join(err, w.look(done), w.look(done)); err != nil {
			return err
		}
		if n, _ := w.given("looker-sender"); n != given+1 {
			t.Errorf("it was given %d times while the other one held the share", n-given)
		}
		r := w.receive("receiver")
		return errors.Join(s.interrupt(), second.wait(done), r.wait(done))
	}}
	if o := newLab(t).run(t.Context(), sc, nil, nil); o.err != nil {
		t.Fatalf("%v\n%s", o.err, logs(o.log))
	}
}

// given returns how many commands an actor has been given, and how many have ended.
func (w *world) given(actor string) (all, ended int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lived {
		if strings.HasPrefix(l.process, actor+".") {
			ended++
		}
	}
	return w.commands[actor], ended
}

// TestJudgeSeesWhatIsWrong: else `make crash` would show nothing.
func TestJudgeSeesWhatIsWrong(t *testing.T) {
	leave := func(name string, b func(*world) []byte) func(*world, *job) error {
		return func(w *world, sender *job) error {
			if err := both(w, sender); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(w.dir, name), b(w), 0o600)
		}
	}
	half := func(*world) []byte { return []byte("half") }
	for wrong, sc := range map[string]*scenario{
		"want one of":                  {name: "handover", open: told, play: both, ends: []string{"cancelled/none"}},
		"want 1 places":                {name: "handover", open: told, play: leave("out/second/key.txt", func(w *world) []byte { return w.content }), ends: []string{"done/done"}},
		"was left there":               {name: "handover", open: told, play: leave("out/receiver/.sparekey-0", half), ends: []string{"done/done"}},
		"list of sender: exit code 11": {name: "handover", open: told, play: leave("sender/shares/aaaaaaaa", half), ends: []string{"done/done"}},
	} {
		if o := newLab(t).run(t.Context(), sc, nil, nil); o.err == nil || !strings.Contains(o.err.Error(), wrong) {
			t.Errorf("judged as %q, %v; want an error that says %q", o.what, o.err, wrong)
		}
	}
}

// TestProgramsThatAreGivenOutHaveNoFaultPoints looks for the name of the
// variable that kills.
func TestProgramsThatAreGivenOutHaveNoFaultPoints(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "github.com/sparekey/sparekey/cmd/...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, program := range []string{"sparekey", "sparekey-relay"} {
		for where, want := range map[string]bool{programs: true, dir: false} {
			b, err := os.ReadFile(filepath.Join(where, program))
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Contains(b, []byte("SPAREKEY_FAULT")); got != want {
				t.Errorf("%s in %s has fault points: %v", program, where, got)
			}
		}
	}
}
