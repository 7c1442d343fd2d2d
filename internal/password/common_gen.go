//go:build ignore

// This program makes common.bin from lists of passwords, most common first:
//
//	go run common_gen.go [-first n] [-o common.bin] list …
//
// A list is a text file with one password a line, perhaps gzipped (.gz). The
// first n usable passwords of each are taken.
// README.md names the lists; common.go describes the file.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	bucketBits = 14
	floor      = 8  // code points: shorter ones are refused for their length
	most       = 64 // bytes
)

func main() {
	log.SetFlags(0)
	first := flag.Int("first", 102_000, "usable passwords to take of each list")
	out := flag.String("o", "common.bin", "the file to write")
	flag.Parse()
	bits := map[uint64]bool{}
	for _, path := range flag.Args() {
		list, err := read(path)
		if err != nil {
			log.Fatal(err)
		}
		before, taken := len(bits), 0
		for _, p := range list {
			// Letter by letter, as isCommon does it.
			p = strings.Map(unicode.ToLower, p)
			if taken == *first {
				break
			}
			if !utf8.ValidString(p) || utf8.RuneCountInString(p) < floor || len(p) > most {
				continue
			}
			taken++
			sum := sha256.Sum256([]byte(p))
			bits[binary.BigEndian.Uint64(sum[:])>>(64-bucketBits-24)] = true
		}
		fmt.Printf("%s: %d taken, %d new\n", path, taken, len(bits)-before)
	}
	entries := make([]uint64, 0, len(bits))
	for b := range bits {
		entries = append(entries, b)
	}
	slices.Sort(entries)
	var index, body []byte
	next := uint64(0)
	for i, e := range entries {
		for ; next <= e>>24; next++ {
			index = append24(index, i)
		}
		body = append24(body, int(e&(1<<24-1)))
	}
	for ; next <= 1<<bucketBits; next++ {
		index = append24(index, len(entries))
	}
	if err := os.WriteFile(*out, append(index, body...), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d entries\n", *out, len(entries))
}

func append24(b []byte, v int) []byte { return append(b, byte(v>>16), byte(v>>8), byte(v)) }

// read returns the passwords of a list in its order.
func read(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if b, err = io.ReadAll(z); err != nil {
			return nil, err
		}
	}
	return strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n"), nil
}
