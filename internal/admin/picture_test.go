package admin

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"sallyport/internal/fault"
)

func asPNG(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPicturesAreMadeSmall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ w, h, wantW, wantH int }{
		{600, 300, 256, 128}, {300, 600, 128, 256}, {256, 256, 256, 256}, {257, 10, 256, 9}, {16, 8, 16, 8}, {1, 1, 1, 1}, {2000, 2, 256, 1},
	} {
		m := image.NewNRGBA64(image.Rect(5, 7, 5+c.w, 7+c.h)) // need not begin at 0, 0
		for contentType, raw := range map[string][]byte{typePNG: asPNG(t, m), typeJPEG: asJPEG(t, m)} {
			gotType, data, err := new(Core).picture(raw)
			if err != nil || gotType != contentType {
				t.Fatalf("%dx%d %s: %s, %v", c.w, c.h, contentType, gotType, err)
			}
			got, format, err := image.DecodeConfig(bytes.NewReader(data))
			if err != nil || got.Width != c.wantW || got.Height != c.wantH || !strings.HasSuffix(contentType, format) {
				t.Errorf("%dx%d %s became %dx%d %s, %v; want %dx%d", c.w, c.h, contentType, got.Width, got.Height, format, err, c.wantW, c.wantH)
			}
		}
	}
}

func TestPicturesKeepTheirColours(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 600, 600))
	want := color.NRGBA{R: 0x93, G: 0x92, B: 0xc7, A: 0x80}
	for i := range m.Pix {
		m.Pix[i] = []byte{want.R, want.G, want.B, want.A}[i%4]
	}
	_, data, err := new(Core).picture(asPNG(t, m))
	if err != nil {
		t.Fatal(err)
	}
	small, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := color.NRGBAModel.Convert(small.At(100, 100)).(color.NRGBA)
	for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B), int(got.A) - int(want.A)} {
		if d < -2 || d > 2 {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// Nothing but the pixels of what was sent is kept.
func TestPicturesAreDrawnAnew(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	const page = "<script>alert(1)</script>"
	for _, raw := range [][]byte{append(asPNG(t, m), page...), append(asJPEG(t, m), page...), withChunk(asPNG(t, m), "tEXt", page)} {
		_, data, err := new(Core).picture(raw)
		if err != nil || bytes.Contains(data, []byte("script")) {
			t.Errorf("%v: kept %q", err, data)
		}
	}
}

// withChunk puts a chunk behind the header of a PNG.
func withChunk(p []byte, name, text string) []byte {
	const header = 8 + 12 + 13
	body := append([]byte(name), text...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	return append(append(append([]byte{}, p[:header]...), chunk...), p[header:]...)
}

// claims rewrites the size that a PNG says it has.
func claims(p []byte, w, h uint32) []byte {
	p = bytes.Clone(p)
	binary.BigEndian.PutUint32(p[16:], w)
	binary.BigEndian.PutUint32(p[20:], h)
	binary.BigEndian.PutUint32(p[29:], crc32.ChecksumIEEE(p[12:29]))
	return p
}

func TestPicturesThatAreRefused(t *testing.T) {
	t.Parallel()
	small := asPNG(t, image.NewNRGBA(image.Rect(0, 0, 8, 8)))
	for name, c := range map[string]struct {
		raw  []byte
		want fault.Code
	}{
		"nothing":           {nil, fault.FileUnsupported},
		"text":              {[]byte("hello"), fault.FileUnsupported},
		"a GIF":             {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), fault.FileUnsupported},
		"half a PNG":        {small[:len(small)/2], fault.FileUnsupported},
		"a PNG's beginning": {small[:8], fault.FileUnsupported},
		"a JPEG's":          {[]byte("\xff\xd8\xff\xe0"), fault.FileUnsupported},
		"too many bytes":    {make([]byte, MaxLogo+1), fault.FileTooLarge},
		"a bomb":            {claims(small, 50_000, 50_000), fault.FileTooLarge},
		"a wide bomb":       {claims(small, 1<<31-1, 1), fault.FileTooLarge},
		"a PNG that lies":   {claims(small, 1000, 1000), fault.FileUnsupported},
	} {
		_, _, err := new(Core).picture(c.raw)
		if f, ok := fault.From(err); !ok || f.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">`

func TestSVGsThatAreTaken(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"plain":      svg + `<path d="M0 0h8v8z"/></svg>`,
		"prefixed":   `<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:g/></s:svg>`,
		"prolog":     "\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- made by hand -->\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\">\n" + svg + "</svg>\n",
		"gradient":   svg + `<linearGradient id="a"/><use xlink:href="#a"/><rect fill="url(#a)" style="stroke:url('#a')"/></svg>`,
		"style":      svg + `<style>.a{fill:url(#b);color:red}</style><g class="a"/></svg>`,
		"raster":     svg + `<image href="data:image/png;base64,AAAA"/></svg>`,
		"animation":  svg + `<animate attributeName="opacity" from="0" to="1"/></svg>`,
		"words":      svg + `<title>on &amp; off (now)</title><text aria-label="javascript">url(x)</text></svg>`,
		"other tool": svg + `<metadata xmlns:x="https://tool.example/ns"><x:y>1</x:y></metadata></svg>`,
	} {
		if got, data, err := new(Core).picture([]byte(s)); err != nil || got != typeSVG || string(data) != s {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestSVGsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"HTML":                `<!doctype html><html><body><svg xmlns="http://www.w3.org/2000/svg"></svg></body></html>`,
		"no namespace":        `<svg></svg>`,
		"other namespace":     `<svg xmlns="http://www.w3.org/1999/xhtml"><script/></svg>`,
		"two roots":           svg + `</svg>` + svg + `</svg>`,
		"not closed":          svg,
		"broken":              svg + `<g></svg>`,
		"UTF-16":              "\xff\xfe<\x00s\x00",
		"Latin-1":             `<?xml version="1.0" encoding="ISO-8859-1"?>` + svg + `</svg>`,
		"script":              svg + `<script>alert(1)</script></svg>`,
		"script by prefix":    `<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:script href="#x"/></s:svg>`,
		"XHTML script":        svg + `<script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script></svg>`,
		"other case":          svg + `<SCRIPT>alert(1)</SCRIPT></svg>`,
		"handler":             svg + `<g onload="alert(1)"/></svg>`,
		"handler on the root": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`,
		"handler in case":     svg + `<g OnClick="alert(1)"/></svg>`,
		"foreign":             svg + `<foreignObject><p xmlns="http://www.w3.org/1999/xhtml"/></foreignObject></svg>`,
		"frame":               svg + `<iframe xmlns="http://www.w3.org/1999/xhtml" src="#"/></svg>`,
		"link to script":      svg + `<a xlink:href="javascript:alert(1)"><g/></a></svg>`,
		"hidden script":       svg + "<a href=\"java\nscript:alert(1)\"><g/></a></svg>",
		"escaped script":      svg + `<a href="&#106;avascript:alert(1)"><g/></a></svg>`,
		"link elsewhere":      svg + `<a href="https://evil.example/"><g/></a></svg>`,
		"use elsewhere":       svg + `<use href="https://evil.example/x.svg#a"/></svg>`,
		"use of data":         svg + `<use href="data:image/svg+xml;base64,AAAA#a"/></svg>`,
		"picture elsewhere":   svg + `<image href="//evil.example/x.png"/></svg>`,
		"fill elsewhere":      svg + `<g fill="url(https://evil.example/x#a)"/></svg>`,
		"fill with quotes":    svg + `<g fill="url( 'https://evil.example/x' )"/></svg>`,
		"style elsewhere":     svg + `<g style="background:URL(//evil.example)"/></svg>`,
		"style escape":        svg + `<g style="background:\75rl(//evil.example)"/></svg>`,
		"style sheet":         svg + `<style>@import "//evil.example";</style></svg>`,
		"style sheet url":     svg + `<style>a{b:url(//evil.example)}</style></svg>`,
		"style in CDATA":      svg + `<style><![CDATA[@import "//evil.example";]]></style></svg>`,
		"sheet by prolog":     `<?xml-stylesheet href="//evil.example"?>` + svg + `</svg>`,
		"entity":              `<!DOCTYPE svg [<!ENTITY a "x">]>` + svg + `&a;</svg>`,
		"bomb of entities":    `<!DOCTYPE svg [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>` + svg + `&b;</svg>`,
		"directive inside":    svg + `<!DOCTYPE svg></svg>`,
		"animated link":       svg + `<animate attributeName="xlink:href" to="javascript:alert(1)"/></svg>`,
		"set":                 svg + `<set attributeName="onclick" to="alert(1)"/></svg>`,
		"deep":                svg + strings.Repeat("<g>", 300) + strings.Repeat("</g>", 300) + `</svg>`,
	} {
		_, _, err := new(Core).picture([]byte(s))
		if f, ok := fault.From(err); !ok || f.Code != fault.FileUnsupported {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func FuzzPicture(f *testing.F) {
	m := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	f.Add(asPNG(f, m))
	f.Add(asJPEG(f, m))
	f.Add([]byte(svg + `<g fill="url(#a)"/></svg>`))
	f.Add([]byte(`<!DOCTYPE svg [<!ENTITY a "x">]>` + svg + `&a;</svg>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		contentType, data, err := new(Core).picture(raw)
		if err != nil {
			if _, ok := fault.From(err); !ok {
				t.Fatalf("fails with %v, not a fault", err)
			}
			return
		}
		if contentType == typeSVG {
			if bytes.Contains(bytes.ToLower(data), []byte("<script")) && !bytes.Contains(data, []byte("<!--")) && !bytes.Contains(data, []byte("CDATA")) {
				t.Errorf("takes %q", raw)
			}
			return
		}
		if size, _, err := image.DecodeConfig(bytes.NewReader(data)); err != nil || max(size.Width, size.Height) > logoSide {
			t.Errorf("keeps %dx%d, %v", size.Width, size.Height, err)
		}
	})
}
