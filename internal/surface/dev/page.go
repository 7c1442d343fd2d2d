package dev

import (
	"bytes"
	"embed"
	"html/template"
	"sync"
)

//go:embed *.html style.css
var files embed.FS

// pages are the templates by file, each in the same frame.
var pages = sync.OnceValues(func() (map[string]*template.Template, error) {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, name := range []string{"inbox", "pick", "post", "app"} {
		t := template.New("frame.html").Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}) //nolint:gosec // a file of ours
		if all[name], err = t.ParseFS(files, "frame.html", name+".html"); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// render fills a page.
func render(name string, data map[string]any) ([]byte, error) {
	all, err := pages()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := all[name].Execute(&b, data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
