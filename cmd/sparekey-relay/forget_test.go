package main

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// soon lets a relay erase within a second what it has 10 minutes for.
var soon = []string{"--erase-after", "1s"}

// filled makes a mailbox with a mark in every field that lives for so long.
func filled(t *testing.T, p *process, name string, ttl time.Duration) *marked {
	t.Helper()
	m := newMarked(t, p, name, ttl)
	if !m.fill() {
		t.Fatalf("the mailbox of %s has run out within %v", name, ttl)
	}
	return m
}

// brief makes such a mailbox that runs out as soon as a machine under load
// allows: one that has filled it in time.
func brief(t *testing.T, p *process, name string) *marked {
	t.Helper()
	for ttl := 2 * time.Second; ttl < patience; ttl *= 2 {
		if m := newMarked(t, p, name+strconv.Itoa(int(ttl/time.Second)), ttl); m.fill() {
			return m
		}
	}
	t.Fatal("no mailbox can be filled before its time is up")
	return nil
}

// checked wants the marks to be in the files, or looking for them shows nothing.
func checked(t *testing.T, dir string, m *marked) {
	t.Helper()
	if inFiles(t, dir, map[string][]byte{"offer": m.content()["offer"], "frame": m.content()["sender's frame"], "link": hash(m.link)}) == "" {
		t.Fatal("the marks are in no file while the mailbox lives: this test looks in the wrong place")
	}
}

// gone waits until no file holds a mark of a mailbox.
func gone(t *testing.T, dir, when string, marks map[string][]byte) {
	t.Helper()
	eventually(t, "no byte of a mailbox in any file "+when, func() string { return inFiles(t, dir, marks) })
}

// TestRET01DeletedMailboxIsInNoFile: the data, the write-ahead log, manifests
// and whatever else there is in the folder.
func TestRET01DeletedMailboxIsInNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, soon...)
	lives, m := filled(t, p, "ret01-lives", time.Hour), filled(t, p, "ret01-deleted", time.Hour)
	checked(t, dir, m)
	if got := m.delete(); got != http.StatusNoContent {
		t.Fatal("delete:", got)
	}
	gone(t, dir, "after its deletion", m.content())
	checked(t, dir, lives)
	if got := [2]int{m.view(), lives.view()}; got != [2]int{http.StatusGone, http.StatusOK} {
		t.Errorf("the deleted and the living mailbox answer %v", got)
	}
	p.stop()
	gone(t, dir, "after the relay's end", m.content())
}

// TestRET01RelayKilledRightAfterADeleteForgetsWhenItStarts: nobody asks it to.
func TestRET01RelayKilledRightAfterADeleteForgetsWhenItStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	m := filled(t, p, "ret01-killed", time.Hour)
	if got := m.delete(); got != http.StatusNoContent {
		t.Fatal("delete:", got)
	}
	p.kill()
	checked(t, dir, m) // it was killed before it could forget
	p = start(t, dir)  // what has waited once doesn't wait again: it would be twice --erase-after
	gone(t, dir, "after a new start", m.content())
	m.url = p.url
	if got := m.view(); got != http.StatusGone {
		t.Error("the tombstone did not outlive the kill:", got)
	}
}

// TestRET01MailboxThatRunsOutIsForgottenUnasked: no request comes after its time.
func TestRET01MailboxThatRunsOutIsForgottenUnasked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, soon...)
	lives := filled(t, p, "ret01-stays", time.Hour)
	m, dead := brief(t, p, "ret01-runs-out"), brief(t, p, "ret01-deleted-and-runs-out")
	dead.delete() // a tombstone, or nothing any more
	for _, marks := range []map[string][]byte{m.content(), m.proof(), dead.content(), dead.proof()} {
		gone(t, dir, "after its time", marks)
	}
	checked(t, dir, lives)
}

// TestRET02MailboxThatRanOutWhileTheRelayWasDownIsNeverServedAndForgotten: the
// relay was killed while it lived.
func TestRET02MailboxThatRanOutWhileTheRelayWasDownIsNeverServedAndForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	m := brief(t, p, "ret02")
	runsOut := time.NewTimer(m.ttl + time.Second) // the relay counts whole seconds
	p.kill()
	checked(t, dir, m)
	<-runsOut.C
	p = start(t, dir, soon...)
	m.url = p.url
	if got := m.view(); got != http.StatusNotFound {
		t.Errorf("a mailbox that ran out while the relay was down answers %d", got)
	}
	gone(t, dir, "after a new start", m.content())
}
