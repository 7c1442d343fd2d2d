package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// fileOutages are what can happen to an SQLite file while the program has it
// open. Each uses what the machine lets this user do: a small file system that
// is filled, or else a limit on the size of files; files that nobody may write
// to any more, or else a limit of nothing. The limits look the same to the
// program: its writes fail.
var fileOutages = map[string]func(t *testing.T, dir string) (*site, *node, outage){
	"full":      diskFull,
	"too large": fileTooLarge,
	"read-only": readOnly,
}

func diskFull(t *testing.T, dir string) (*site, *node, outage) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Logf("cannot mount a small file system (%v): the files are limited instead", err)
		return fileTooLarge(t, dir)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, n := served(t, dir)
	ballast := filepath.Join(dir, "ballast")
	return s, n, outage{
		begin: func() {
			f, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			// To the last byte: what is written in smaller pieces finds the last pages.
			for piece := make([]byte, 1<<20); len(piece) > 0; {
				if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
					piece = piece[:len(piece)/2]
				} else if err != nil {
					t.Fatal(err)
				}
			}
		},
		end: func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func fileTooLarge(t *testing.T, dir string) (*site, *node, outage) {
	s, n := served(t, dir)
	return s, n, outage{
		begin: func() {
			var st syscall.Stat_t
			if err := syscall.Stat(filepath.Join(dir, "sallyport.db-wal"), &st); err != nil {
				t.Fatal(err)
			}
			limitFiles(t, n, uint64(st.Size)+10_000) // somewhere in a page of the log to come
		},
		end: func() { limitFiles(t, n, ^uint64(0)) },
	}
}

func readOnly(t *testing.T, dir string) (*site, *node, outage) {
	s, n := served(t, dir)
	all := []string{filepath.Join(dir, "sallyport.db"), filepath.Join(dir, "sallyport.db-wal"), dir}
	if err := setImmutable(all[0], true); err != nil {
		t.Logf("cannot make a file immutable (%v): the files are limited instead", err)
		return s, n, outage{begin: func() { limitFiles(t, n, 0) }, end: func() { limitFiles(t, n, ^uint64(0)) }}
	}
	set := func(on bool) {
		for _, path := range all {
			if err := setImmutable(path, on); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	set(false)
	t.Cleanup(func() { set(false) }) // else nobody can remove them
	return s, n, outage{begin: func() { set(true) }, end: func() { set(false) }}
}

// limitFiles sets the size beyond which the process cannot write to a file
// (setrlimit(2), RLIMIT_FSIZE).
func limitFiles(t *testing.T, n *node, size uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: ^uint64(0)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(n.cmd.Process.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatalf("prlimit: %v", errno)
	}
}

// setImmutable sets or clears the flag of chattr(1) that not even root, nor who
// has the file open, can write against.
func setImmutable(path string, on bool) error {
	const getFlags, setFlags, immutable = 0x80086601, 0x40086602, 0x10 // linux/fs.h
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var flags uint64 // the kernel writes an int
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	flags &^= immutable
	if on {
		flags |= immutable
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), setFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}
