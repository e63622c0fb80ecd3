package credential

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

// hand runs the one message of a format and returns the receiver's state.
func hand(t *testing.T, f Format, opening []byte, o Options) ([]byte, error) {
	t.Helper()
	sent, err := f.Send(t.Context(), Turn{Key: "k", State: opening})
	if err != nil || len(sent.Out) != 1 || !sent.Grants || !sent.Done {
		t.Fatalf("a format of one message sends one, and it grants: %+v, %v", sent, err)
	}
	got, err := f.Receive(t.Context(), Turn{Key: "k", State: o.Encode(), In: sent.Out[0]})
	if err == nil && !got.Done {
		t.Error("the one message is not taken for the last")
	}
	return got.State, err
}

func TestFileArrivesByteForByteForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	data := []byte("\x00\xff any bytes \n")
	opening, err := OfferFile("/home/ann/backdoor.key", 0o754|fs.ModeSetuid, data)
	if err != nil {
		t.Fatal(err)
	}
	state, err := hand(t, File{}, opening, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if there, err := (File{}).Provisioned(t.Context(), "k", state); there || err != nil {
		t.Fatalf("before: %v, %v", there, err)
	}
	if err := (File{}).Provision(t.Context(), "k", state); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "backdoor.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o700 {
		t.Errorf("mode %v, %v; want the owner's bits alone", info, err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, data) {
		t.Errorf("received %q", got)
	}
	if there, err := (File{}).Provisioned(t.Context(), "k", state); !there || err != nil {
		t.Errorf("after: %v, %v", there, err)
	}
	p, _ := decodePlacement(state)
	if err := os.Link(path, p.temp("k")); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	if there, err := (File{}).Provisioned(t.Context(), "k", state); !there || err != nil {
		t.Errorf("after a crash: %v, %v", there, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files, want the one", len(left))
	}
}

// TestFileLandsOnlyWhereItMay is FMT-02.
func TestFileLandsOnlyWhereItMay(t *testing.T) {
	for sent, want := range map[string]string{
		"../../.ssh/authorized_keys": "authorized_keys", `C:\temp\x.txt`: "x.txt", ".bashrc": "bashrc", "-rf": "rf", "": "credential", "..": "credential",
		"con": "credential-con", "NUL.txt": "credential-NUL.txt", "a\x1b[31mb": "a_[31mb", "ab\u202etxt.exe": "ab_txt.exe", "e\u0301": "é", "x.": "x",
	} {
		if got := cleanName(sent); got != want {
			t.Errorf("%q is named %q, want %q", sent, got, want)
		}
	}
	if got := cleanName(strings.Repeat("ä", 300)); len(got) > 200 || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("a long name is cut to %d bytes, or within a character", len(got))
	}
}

func TestNothingIsWrittenOverUnasked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	outside := filepath.Join(t.TempDir(), "outside")
	opening, _ := OfferFile("k", 0o600, []byte("new"))
	state, err := hand(t, File{}, opening, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for what, make := range map[string]func() error{
		"a file":          func() error { return os.WriteFile(path, []byte("old"), 0o600) },
		"a folder":        func() error { return os.Mkdir(path, 0o700) },
		"a symbolic link": func() error { return os.Symlink(outside, path) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		var exists *ExistsError
		if err := (File{}).Provision(t.Context(), "k", state); !errors.As(err, &exists) || exists.Path != path || exists.Odd != (what != "a file") {
			t.Errorf("over %s: %v", what, err)
		}
		if _, err := os.Lstat(outside); err == nil {
			t.Error("it was written through a link")
		}
		os.RemoveAll(path)
	}
	os.WriteFile(path, []byte("old"), 0o600)
	elsewhere, err := Retarget(state, Options{Path: filepath.Join(dir, "other")})
	if err != nil {
		t.Fatal(err)
	}
	force, _ := Retarget(state, Options{Force: true}) // where it was to go
	for where, s := range map[string][]byte{"other": elsewhere, "k": force} {
		if err := (File{}).Provision(t.Context(), "k", s); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if b, _ := os.ReadFile(filepath.Join(dir, where)); string(b) != "new" {
			t.Errorf("%s holds %q", where, b)
		}
	}
	again, _ := Retarget(elsewhere, Options{Force: true})
	if path, err := Target(again); err != nil || path != filepath.Join(dir, "other") {
		t.Errorf("with force it goes to %s, %v", path, err)
	}
	nowhere, _ := Retarget(state, Options{Dir: filepath.Join(dir, "missing")})
	if err := (File{}).Provision(t.Context(), "k", nowhere); err == nil || errors.Is(err, ErrFinal) {
		t.Errorf("a missing folder is for the person to mend: %v", err)
	}
}

// TestTroubleWithAPlaceIsToldUnderTheNameThatThePersonGave, not that of the draft beside it.
func TestTroubleWithAPlaceIsToldUnderTheNameThatThePersonGave(t *testing.T) {
	opening, err := OfferFile("k", 0o600, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "missing", "k")
	state, err := hand(t, File{}, opening, Options{Path: target})
	if err != nil {
		t.Fatal(err)
	}
	err = (File{}).Provision(t.Context(), "key", state)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), target+":") || strings.Contains(err.Error(), ".sparekey-") {
		t.Errorf("it says: %v", err)
	}
}

// TestWhatIsSaidToBeInItsPlaceSurvivesAPowerCut: a process may have been killed
// between a file's link and the folder's sync.
func TestWhatIsSaidToBeInItsPlaceSurvivesAPowerCut(t *testing.T) {
	dir, sync := t.TempDir(), syncFolder
	t.Cleanup(func() { syncFolder = sync })
	var synced []string
	syncFolder = func(dir string) error { synced = append(synced, dir); return sync(dir) }
	opening, err := OfferFile("k", 0o600, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := hand(t, File{}, opening, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "k"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if there, err := (File{}).Provisioned(t.Context(), "key", state); !there || err != nil || !slices.Equal(synced, []string{dir}) {
		t.Errorf("there: %v, %v; synced: %v", there, err, synced)
	}
	syncFolder = func(string) error { return errors.New("the disk is gone") }
	if there, err := (File{}).Provisioned(t.Context(), "key", state); there || err == nil {
		t.Errorf("where it can't be synced it is said to be there: %v, %v", there, err)
	}
	for what, path := range map[string]string{"below a file": filepath.Join(dir, "k", "x"), "under too long a name": filepath.Join(dir, strings.Repeat("x", 1000))} {
		elsewhere, err := Retarget(state, Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if there, err := (File{}).Provisioned(t.Context(), "key", elsewhere); there || err != nil {
			t.Errorf("%s nothing can be: %v, %v", what, there, err)
		}
	}
}

// TestWhatAKilledProcessHasLeftOfACredentialGoesBeforeItIsDeclined: nobody would
// come back for it.
func TestWhatAKilledProcessHasLeftOfACredentialGoesBeforeItIsDeclined(t *testing.T) {
	dir := t.TempDir()
	p := placement{Options: Options{Dir: dir}, Name: "k", Data: []byte("new")}
	if err := os.WriteFile(p.temp("key"), p.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	if there, err := (File{}).Provisioned(t.Context(), "key", p.encode()); there || err != nil {
		t.Errorf("there: %v, %v", there, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestAgeIdentityDecryptsOverThere(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("# made for a test\n" + id.String() + "\n")
	opening, err := OfferAge("key.txt", text)
	if err != nil || !IsAge(text) || IsAge([]byte("hello")) {
		t.Fatal(err)
	}
	dir := t.TempDir()
	state, err := hand(t, AgeIdentity{}, opening, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := (AgeIdentity{}).Provision(t.Context(), "k", state); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "key.txt"))
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("received %v", err)
	}
	if rec, err := Recipients(got); err != nil || len(rec) != 1 || rec[0] != id.Recipient().String() {
		t.Errorf("recipients %v, %v", rec, err)
	}
	_, err = OfferAge("key.txt", []byte("AGE-SECRET-KEY-1BROKEN\n"))
	if !errors.Is(err, ErrFinal) || strings.Contains(err.Error(), "BROKEN") {
		t.Errorf("a broken identity: %v", err)
	}
}

// TestProvisioningInformationIsReadWithinBounds is FMT-03.
func TestProvisioningInformationIsReadWithinBounds(t *testing.T) {
	good := `{"format":"file","content":{"name":"a","mode":384,"data":"eA=="}`
	empty, err := OfferFile("nothing in it", 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]string{"as sent": good + "}", "an empty file": string(empty), "unknown keys": good + `,"x":{"y":[1,2]}}`} {
		if _, err := (File{}).Receive(t.Context(), Turn{State: []byte("{}"), In: []byte(s)}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, s := range map[string]string{
		"nothing": "", "no object": "7", "another format": `{"format":"wifi","content":{}}`, "no content": `{"format":"file"}`,
		"doubled keys": good + `,"format":"file"}`, "doubled but for the case": `{"Format":"file",` + good[1:] + "}",
		"not UTF-8": good + ",\"x\":\"\xff\"}", "no data": `{"format":"file","content":{"name":"a","mode":384}}`, "null for content": `{"format":"file","content":null}`, "two values": good + "}{}", "wrong types": `{"format":"file","content":{"name":7}}`,
		"10,000 levels": good + `,"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}", "too large": strings.Repeat(" ", MaxMessage) + good + "}",
	} {
		if _, err := (File{}).Receive(t.Context(), Turn{State: []byte("{}"), In: []byte(s)}); !errors.Is(err, ErrFinal) {
			t.Errorf("%s: got %v, want a final refusal", what, err)
		}
	}
	if _, err := OfferFile("big", 0o600, make([]byte, MaxMessage)); !errors.Is(err, ErrFinal) {
		t.Errorf("a file that doesn't fit: %v", err)
	}
}

func TestUnknownFormatIsNamed(t *testing.T) {
	r := NewRegistry(File{}, AgeIdentity{})
	if _, err := r.Lookup("file"); err != nil {
		t.Error(err)
	}
	var unknown *UnknownFormatError
	if _, err := r.Lookup("carkey"); !errors.As(err, &unknown) || unknown.Name != "carkey" {
		t.Errorf("got %v", err)
	}
	if len(r.Describe()) != 2 {
		t.Error("each format describes itself")
	}
}

// TestForeignTextIsHarmlessOnATerminal is a part of PRV-03.
func TestForeignTextIsHarmlessOnATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"Back door": "Back door", "a\x1b[2Jb": "a·[2Jb", "x\u202ey": "x·y", "a\u200bb": "a·b", "two\r\nlines": "two  lines", "\xff": "·", "日本": "日本",
	} {
		if got := Display(in, 80); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	if got := Display(strings.Repeat("x", 10000), 80); len([]rune(got)) != 81 {
		t.Errorf("10,000 letters are shown as %d", len([]rune(got)))
	}
}

func FuzzReceive(f *testing.F) {
	for _, c := range makeVectors().Cases {
		f.Add([]byte(c.Message))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []Format{File{}, AgeIdentity{}} {
			a, err := format.Receive(t.Context(), Turn{State: []byte("{}"), In: b})
			if err != nil {
				continue
			}
			if target, err := Target(a.State); err != nil || filepath.Base(target) != target || strings.HasPrefix(target, ".") {
				t.Errorf("it would land at %q, %v", target, err)
			}
		}
	})
}
