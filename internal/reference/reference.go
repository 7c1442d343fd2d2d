// Package reference owns the notation for secrets in files: a setting holds
// either the value itself or says where it is kept, so that files can be shown
// and checked in. It does not keep, seal or compare what it finds.
package reference

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Kind says how a setting names its value.
type Kind string

// The kinds. Literal values are fine in development and warned about elsewhere.
const (
	Literal Kind = "literal"
	Env     Kind = "env"  // env:NAME, an environment variable
	File    Kind = "file" // file:PATH, a file's contents without the last line end
)

// maxFile is far above any secret and keeps a wrong path from filling memory.
const maxFile = 64 << 10

// Source is where references are looked up; the process's own is System.
type Source struct {
	Getenv   func(name string) (value string, ok bool)
	ReadFile func(path string) ([]byte, error)
}

// System looks in the environment and the file system of this process.
var System = Source{Getenv: os.LookupEnv, ReadFile: readFile}

// KindOf tells how value is written, without looking anything up.
func KindOf(value string) Kind {
	switch {
	case strings.HasPrefix(value, "env:"):
		return Env
	case strings.HasPrefix(value, "file:"):
		return File
	}
	return Literal
}

// Resolve returns what value stands for and how it is written. An error names
// the variable or the file, never a secret: the variable is not set or empty,
// the file cannot be read, is empty, too large or not UTF-8 text.
func (s Source) Resolve(value string) (string, Kind, error) {
	kind := KindOf(value)
	switch kind {
	case Env:
		name := strings.TrimPrefix(value, "env:")
		if name == "" {
			return "", kind, errors.New("env: needs the name of a variable, as in env:NAME")
		}
		v, ok := s.Getenv(name)
		if !ok {
			return "", kind, fmt.Errorf("the environment variable %s is not set", name)
		}
		if v == "" {
			return "", kind, fmt.Errorf("the environment variable %s is empty", name)
		}
		return v, kind, nil
	case File:
		path := strings.TrimPrefix(value, "file:")
		if path == "" {
			return "", kind, errors.New("file: needs a path, as in file:/run/secrets/name")
		}
		data, err := s.ReadFile(path)
		if err != nil {
			return "", kind, fmt.Errorf("cannot read a secret's file: %w", err)
		}
		data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
		switch {
		case len(data) == 0:
			return "", kind, fmt.Errorf("the file %s is empty", path)
		case len(data) > maxFile:
			return "", kind, fmt.Errorf("the file %s is larger than %d bytes", path, maxFile)
		case !utf8.Valid(data):
			return "", kind, fmt.Errorf("the file %s is not text; write binary secrets as base64", path)
		}
		return string(data), kind, nil
	}
	return value, kind, nil
}

// readFile reads a little more than maxFile at most.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+2))
}
