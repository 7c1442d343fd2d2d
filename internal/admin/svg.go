package admin

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
)

// An SVG is a document that can run scripts in the name of whoever serves it.
// It is served in a sandbox (see the surface); what has no business in a
// picture is refused beforehand, so that it is harmless in a page as well.

// svgNamespace is what makes an element named svg a picture (SVG 2 §5.1).
const svgNamespace = "http://www.w3.org/2000/svg"

// active are the elements that run, embed or rewrite.
var active = []string{
	"script", "foreignobject", "iframe", "embed", "object", "handler", "listener", "audio", "video", "canvas", "set",
	"html", "body", "meta", "base", "link", "form",
}

// maxDepth bounds the nesting of elements.
const maxDepth = 200

// The reasons for refusing an SVG, for the log.
var (
	errNotSVG    = errors.New("svg: root element is not an svg")
	errActiveSVG = errors.New("svg: holds what runs or embeds")
	errSVGDepth  = errors.New("svg: nested too deeply")
)

// checkSVG refuses what is not one well-formed SVG document in UTF-8, and one
// that holds scripts, event handlers, embedded documents, references to
// anything outside itself, style sheets from elsewhere or entities.
func checkSVG(raw []byte) error {
	d := xml.NewDecoder(bytes.NewReader(raw)) // strict; knows UTF-8 alone
	depth, elements := 0, 0
	style := false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if elements == 0 {
				return errNotSVG
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			root := depth == 0
			if depth++; depth > maxDepth {
				return errSVGDepth
			}
			if root && (elements > 0 || t.Name.Local != "svg" || t.Name.Space != svgNamespace) {
				return errNotSVG
			}
			elements++
			if err := checkElement(t); err != nil {
				return err
			}
			style = strings.EqualFold(t.Name.Local, "style")
		case xml.EndElement:
			depth--
			style = false
		case xml.CharData:
			if style && outside(string(t)) {
				return errActiveSVG
			}
		case xml.Directive:
			// A document type may name its public DTD, which nobody loads, but
			// declare nothing.
			if bytes.ContainsAny(t, "[&") || !bytes.HasPrefix(bytes.ToUpper(t), []byte("DOCTYPE")) || elements > 0 {
				return errActiveSVG
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return errActiveSVG
			}
		}
	}
}

func checkElement(e xml.StartElement) error {
	if slices.Contains(active, strings.ToLower(e.Name.Local)) {
		return errActiveSVG
	}
	animates := strings.HasPrefix(strings.ToLower(e.Name.Local), "animate")
	for _, at := range e.Attr {
		name, value := strings.ToLower(at.Name.Local), at.Value
		switch {
		case strings.HasPrefix(name, "on"):
			return errActiveSVG
		case (name == "href" || name == "src") && !inside(value):
			return errActiveSVG
		case animates && name == "attributename" && (strings.HasSuffix(strings.ToLower(value), "href") || strings.HasPrefix(strings.ToLower(value), "on")):
			return errActiveSVG
		case name != "xmlns" && at.Name.Space != "xmlns" && outside(value):
			return errActiveSVG
		}
	}
	return nil
}

// inside reports whether a reference stays within the document, or brings a
// raster picture along.
func inside(ref string) bool {
	ref = strings.ToLower(strings.Join(strings.Fields(ref), ""))
	if strings.HasPrefix(ref, "data:") {
		return strings.HasPrefix(ref, "data:image/png") || strings.HasPrefix(ref, "data:image/jpeg") ||
			strings.HasPrefix(ref, "data:image/gif") || strings.HasPrefix(ref, "data:image/webp")
	}
	return ref == "" || ref[0] == '#'
}

// outside reports whether CSS, in a style or an attribute, loads anything or
// runs. An escape could spell either.
func outside(css string) bool {
	s := strings.ToLower(strings.Join(strings.Fields(css), ""))
	if strings.Contains(s, "javascript:") || strings.Contains(s, "@import") || strings.Contains(s, "expression(") {
		return true
	}
	for {
		_, rest, found := strings.Cut(s, "url(")
		if !found {
			return strings.Contains(s, `\`) && strings.Contains(s, "(")
		}
		if s = strings.TrimLeft(rest, `"'`); !inside(untilParen(s)) {
			return true
		}
	}
}

func untilParen(s string) string {
	ref, _, _ := strings.Cut(s, ")")
	return ref
}
