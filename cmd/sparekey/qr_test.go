package main

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/link"
)

// TestLinkIsReadBackFromTheTerminalsQRCode draws the rendered rows as they look
// on a terminal, light on dark and dark on light, and has another program read them.
func TestLinkIsReadBackFromTheTerminalsQRCode(t *testing.T) {
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Fatal("this test reads codes with zbarimg: sudo apt-get install zbar-tools")
	}
	url := link.Link{Relay: "https://relay.example.org", ID: [16]byte{1}, Secret: [16]byte{2}}.URL()
	code, err := qrText(url)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimRight(code, "\n"), "\n")
	if len(rows) > 24 {
		t.Errorf("the code has %d rows, a terminal 24", len(rows))
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, len([]rune(rows[0]))*scale, len(rows)*2*scale))
	for y, row := range rows {
		for x, r := range []rune(row) {
			for half := range 2 {
				light := r == '█' || r == '▀' && half == 0 || r == '▄' && half == 1
				for i := range scale * scale {
					if light {
						img.SetGray(x*scale+i%scale, (2*y+half)*scale+i/scale, color.Gray{255})
					}
				}
			}
		}
	}
	path := filepath.Join(t.TempDir(), "code.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := exec.Command("zbarimg", "-q", "--raw", path).Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != url {
		t.Errorf("read %q, %v; want the link", got, err)
	}
}
