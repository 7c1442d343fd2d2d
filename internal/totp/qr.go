package totp

import (
	"bytes"
	"fmt"
	"image/png"

	"github.com/pquerna/otp"
)

// qrSide is the side of a QR code in pixels, enough for three to a module of
// the longest addresses; it is drawn without smoothing.
const qrSide = 240

// QR returns a picture (PNG) of a URI for an app to scan. It has no quiet zone:
// whoever shows it leaves four modules of white around it (ISO/IEC 18004 §6.3.8).
func QR(uri string) ([]byte, error) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	img, err := key.Image(qrSide, qrSide)
	if err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	return b.Bytes(), nil
}
