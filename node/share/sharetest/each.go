package sharetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each calls f with each transcript of a folder, which is node/share/testdata as
// the test sees it.
func Each(t *testing.T, folder string, f func(t *testing.T, file, story string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d stories in %s, want 25 or more; %v", len(files), folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, file, string(b))
		})
	}
}

// Unchanged runs a story in another way and wants the same words.
func Unchanged(t *testing.T, story string, way Way) {
	t.Helper()
	if got := Play(t, story, way); got != story {
		t.Errorf("the story goes another way:\n%s", got)
	}
}

// WithoutRefusals leaves out of a story what is said each time a frame comes that
// doesn't open. Where that was all that happened, nothing does.
func WithoutRefusals(story string) string { return refusals.ReplaceAllString(story, "") }

var refusals = regexp.MustCompile(`(?m)^(.*: something did not authenticate|nothing happens)\n`)
