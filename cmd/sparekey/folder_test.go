package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFolderThatIsNotThereIsSeenBeforeAnythingIsUsedUp: another device receives after it.
func TestAFolderThatIsNotThereIsSeenBeforeAnythingIsUsedUp(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	alice, bob, carol := newDevice(t), newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	file := filepath.Join(bob.out, "file")
	if err := os.WriteFile(file, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	calls := callsSoFar(t, p)
	for _, to := range []string{"missing/key", "missing/", filepath.Join(bob.out, "file/key"), file + "/"} {
		r := bob.start("receive", link, "--yes", "-o", to)
		r.failed(exitCantWrite, "Nothing was used up", true)
		if e := r.comes("error"); e.Code != "no_folder" || !strings.Contains(e.Hint, "-o") {
			t.Errorf("-o %s: %s, try: %s", to, e.Code, e.Hint)
		}
	}
	if got := callsSoFar(t, p) - calls; got != 0 || bob.state() != "" {
		t.Errorf("%d calls were made, and bob's share stands at %q", got, bob.state())
	}
	handedOver(t, alice, carol, alice.start("resume"), carol.receive(link))
}

// TestOfACredentialThatHasArrivedItIsSaidWhatIsLeftToDo, and what is lost if it is forgotten.
func TestOfACredentialThatHasArrivedItIsSaidWhatIsLeftToDo(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	home := filepath.Join(t.TempDir(), "home")
	id, r := granted(t, newApp(t, home))
	var stdout record
	if exit := run(t.Context(), []string{"show", id, "--home", home}, nil, &stdout, &record{}); exit != exitDone {
		t.Fatalf("exit %d", exit)
	}
	if said := stdout.String(); !strings.Contains(said, "to do       the credential has arrived, and may not be in its place yet: sparekey resume "+id) {
		t.Errorf("show says %s", said)
	}
	if doubt := unheard(r, nil); !strings.Contains(doubt, "thrown away") {
		t.Errorf("forget asks: %s", doubt)
	}
}
