package admin

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"

	"sallyport/internal/fault"
)

// The types of pictures that are kept.
const (
	typePNG  = "image/png"
	typeJPEG = "image/jpeg"
	typeSVG  = "image/svg+xml"
)

const (
	// logoSide is the longest side of a stored raster picture in pixels (contract
	// keymaster §8.1).
	logoSide = 256
	// maxPixels bounds what a picture is unpacked to: a few kilobytes of PNG can
	// claim gigabytes of it.
	maxPixels = 8 << 20
	quality   = 90
)

// format is a raster format, known by how its files begin.
type format struct {
	magic, contentType string
	size               func(*bytes.Reader) (image.Config, error)
	decode             func(*bytes.Reader) (image.Image, error)
	encode             func(*bytes.Buffer, image.Image) error
}

var formats = []format{
	{
		magic: "\x89PNG\r\n\x1a\n", contentType: typePNG,
		size:   func(r *bytes.Reader) (image.Config, error) { return png.DecodeConfig(r) },
		decode: func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) },
		encode: func(w *bytes.Buffer, m image.Image) error { return png.Encode(w, m) },
	},
	{
		magic: "\xff\xd8\xff", contentType: typeJPEG,
		size:   func(r *bytes.Reader) (image.Config, error) { return jpeg.DecodeConfig(r) },
		decode: func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) },
		encode: func(w *bytes.Buffer, m image.Image) error {
			return jpeg.Encode(w, m, &jpeg.Options{Quality: quality})
		},
	},
}

// picture returns the type of a picture and what is kept of it. Fails with
// fault.FileTooLarge and fault.FileUnsupported.
func (c *Core) picture(raw []byte) (contentType string, data []byte, err error) {
	if len(raw) > MaxLogo {
		return "", nil, fault.New(fault.FileTooLarge)
	}
	for _, f := range formats {
		if bytes.HasPrefix(raw, []byte(f.magic)) {
			// One at a time: each takes the memory of its pixels.
			c.drawing.Lock()
			defer c.drawing.Unlock()
			data, err := f.shrink(raw)
			return f.contentType, data, err
		}
	}
	if err := checkSVG(raw); err != nil {
		return "", nil, unsupported(err)
	}
	return typeSVG, raw, nil
}

func unsupported(err error) error { return &fault.Error{Code: fault.FileUnsupported, Err: err} }

// shrink draws a picture anew, no side longer than logoSide. Nothing but its
// pixels is kept: no comments, places or profiles, and nothing behind its end.
func (f format) shrink(raw []byte) ([]byte, error) {
	size, err := f.size(bytes.NewReader(raw))
	if err != nil {
		return nil, unsupported(err)
	}
	if size.Width < 1 || size.Height < 1 || size.Width > maxPixels/size.Height {
		return nil, fault.New(fault.FileTooLarge)
	}
	full, err := f.decode(bytes.NewReader(raw))
	if err != nil {
		return nil, unsupported(err)
	}
	small := image.NewNRGBA(fit(full.Bounds()))
	draw.CatmullRom.Scale(small, small.Bounds(), full, full.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	err = f.encode(&out, small)
	return out.Bytes(), err
}

// fit is the size of b within logoSide by logoSide, of the same shape and never
// larger than it is.
func fit(b image.Rectangle) image.Rectangle {
	w, h := b.Dx(), b.Dy()
	if longest := max(w, h); longest > logoSide {
		w, h = max(1, w*logoSide/longest), max(1, h*logoSide/longest)
	}
	return image.Rect(0, 0, w, h)
}
