package main

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestATerminalShowsOneLineForAllMoves: it is written over, cut to the terminal's width,
// and what is said next stands below it.
func TestATerminalShowsOneLineForAllMoves(t *testing.T) {
	person, program := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 30}); err != nil {
		t.Fatal(err)
	}
	d := &drive{a: assemble(nil, nil, program)}
	for _, u := range moves {
		d.goesOn(u)
	}
	d.a.say("Handed over.")
	d.a.say("Confirmed.")
	var shown strings.Builder
	for b := make([]byte, 256); !strings.HasSuffix(shown.String(), "Confirmed.\r\n"); {
		n, err := person.Read(b)
		if err != nil {
			t.Fatalf("%v; shown so far: %q", err, shown.String())
		}
		shown.Write(b[:n])
	}
	const (
		room  = erase + "  It goes on over lan quic 1…"
		relay = erase + "  It goes on over relay r.ex…"
	)
	if want := room + relay + room + "\r\nHanded over.\r\nConfirmed.\r\n"; shown.String() != want {
		t.Errorf("shown: %q\nwant:  %q", shown.String(), want)
	}
}
