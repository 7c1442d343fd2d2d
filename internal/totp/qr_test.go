package totp_test

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"sallyport/internal/totp"
)

// finders counts the corners that hold a finder pattern: the ratio 1:1:3:1:1
// of dark and light along its middle (ISO/IEC 18004 §6.3.3).
func finders(t *testing.T, picture []byte) int {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	dark := func(x, y int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r < 0x8000 }
	first := b.Min // where the code begins: its dark top left corner
	for !dark(first.X, first.Y) {
		if first.X++; first.X == b.Max.X {
			t.Fatal("nothing dark on the diagonal")
		}
		first.Y++
	}
	last := b.Max.X - 1 - (first.X - b.Min.X)
	edge := 0 // of the top left pattern: seven modules
	for dark(first.X+edge, first.Y) {
		edge++
	}
	module := edge / 7
	row := func(x, y int) string {
		s := ""
		for i := range 7 {
			if dark(x+i*module+module/2, y) {
				s += "#"
			} else {
				s += "-"
			}
		}
		return s
	}
	n := 0
	for _, at := range [][2]int{{first.X, first.Y}, {last - 7*module + 1, first.Y}, {first.X, last - 7*module + 1}} {
		if row(at[0], at[1]+3*module+module/2) == "#-###-#" {
			n++
		}
	}
	return n
}

func TestQRIsACodeThatAppsFind(t *testing.T) {
	for _, account := range []string{"jane@example.com", strings.Repeat("a", 64) + "@" + strings.Repeat("example.", 23) + "com"} {
		picture, err := totp.QR(totp.URI("Keymaster", account, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"))
		if err != nil {
			t.Fatal(err)
		}
		if got := finders(t, picture); got != 3 {
			t.Errorf("%s: got %d finder patterns, want 3", account, got)
		}
	}
}

func TestQROfTooMuchFails(t *testing.T) {
	if _, err := totp.QR("otpauth://totp/" + strings.Repeat("x", 8000)); err == nil {
		t.Error("no error")
	}
}
