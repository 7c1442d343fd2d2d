package pages

import (
	"html/template"
	"math"
	"strconv"
	"strings"

	"sallyport/internal/client"
)

// look is how a page looks: the client's name, logo and colour, or ours.
type look struct {
	Name, Logo string
	LogoHeight int          // in CSS pixels
	Color, Ink template.CSS // of buttons, and of the words on them
}

// lookOf is how the pages of a client look on the mount at path. One that
// registered itself may call itself what it likes, but shows no picture and
// colour of anybody's.
func lookOf(cl client.Client, path string) look {
	brand := cl.Policy.Branding
	if cl.Source != client.Operator {
		brand = client.Branding{}
	}
	l := look{Name: cl.Name, Logo: logo(brand.LogoURL, path), LogoHeight: brand.LogoHeight, Color: client.DefaultColor}
	if l.Name == "" {
		l.Name = "Sallyport"
	}
	if client.Color(brand.Color) {
		l.Color = template.CSS(brand.Color) //nolint:gosec // "#" and six hexadecimal digits
	}
	l.Ink = ink(string(l.Color))
	if l.LogoHeight == 0 {
		l.LogoHeight = client.DefaultLogoHeight
	}
	l.LogoHeight = min(max(l.LogoHeight, 16), 200) // leaves room for the form
	return l
}

// logo is the address of a client's picture: https, or our own, which is stored
// without the mount. The page's policy loads no other.
func logo(at, path string) string {
	switch {
	case strings.HasPrefix(at, "https://"):
		return at
	case !strings.HasPrefix(at, "/"), strings.HasPrefix(at, "//"), strings.Contains(at, `\`):
		return ""
	case path != "" && strings.HasPrefix(at, path+"/"):
		return at
	}
	return path + at
}

// ink is black or white, whichever has more contrast on a colour such as
// "#2d5bff": at least 4.58:1 on any (WCAG 2.2 §1.4.3 asks for 4.5:1).
func ink(color string) template.CSS {
	if l := luminance(color); (l+0.05)/0.05 > 1.05/(l+0.05) {
		return "#000"
	}
	return "#fff"
}

// luminance is the relative luminance of WCAG 2.2, 0 for black to 1 for white.
func luminance(color string) float64 {
	rgb, err := strconv.ParseUint(color[1:], 16, 32)
	if err != nil {
		return 0
	}
	part := func(shift uint) float64 {
		c := float64(rgb>>shift&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}
