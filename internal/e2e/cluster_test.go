package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// cluster is a PostgreSQL server of the test's own, with its durability on, that
// may be killed.
type cluster struct {
	t    testing.TB
	bin  string
	dir  string
	url  string
	port string
	as   *syscall.SysProcAttr // PostgreSQL refuses to run as root
	cmd  *exec.Cmd
}

// newCluster makes and starts one. Without PostgreSQL's programs, or the wish to
// test on it, the test is skipped.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	if os.Getenv(dbtest.Variable) == "" {
		t.Skipf("%s is not set: not tested on PostgreSQL", dbtest.Variable)
	}
	c := &cluster{t: t, bin: postgresPrograms(t), as: asPostgres(t)}
	dir, err := os.MkdirTemp("", "sallyport-pg") //nolint:usetesting // only we may enter t.TempDir, and PostgreSQL runs as another user
	if err != nil {
		t.Fatal(err)
	}
	c.dir = filepath.Join(dir, "data")
	t.Cleanup(func() { os.RemoveAll(dir) })
	if cred := c.as.Credential; cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := c.program("initdb", "-D", c.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	_, c.port, _ = net.SplitHostPort(freeAddress(t))
	c.url = "postgres://postgres@127.0.0.1:" + c.port + "/postgres?sslmode=disable"
	c.start()
	t.Cleanup(c.kill)
	return c
}

// postgresPrograms is the directory of initdb and postgres.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		dirs, _ := filepath.Glob(pattern)
		found = append(found, dirs...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	for _, dir := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	t.Skip("no PostgreSQL programs here: its server is not killed")
	return ""
}

// asPostgres gives up root for a user that PostgreSQL takes.
func asPostgres(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (c *cluster) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = c.as, filepath.Dir(c.dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	return cmd
}

// start starts the server, once what a killed one left behind has gone, and
// waits until it takes connections.
func (c *cluster) start() {
	c.t.Helper()
	var log bytes.Buffer
	eventually(c.t, time.Minute, "PostgreSQL starts", func() bool {
		log.Reset()
		c.cmd = c.program("postgres", "-D", c.dir, "-c", "listen_addresses=127.0.0.1", "-c", "port="+c.port,
			"-c", "unix_socket_directories=", "-c", "max_connections=50")
		c.cmd.Stderr = &log
		if err := c.cmd.Start(); err != nil {
			c.t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() {
			c.cmd.Wait()
			close(gone)
		}()
		for {
			if err := c.query("SELECT 1", nil); err == nil {
				return true
			}
			select {
			case <-gone: // it found the shared memory of the one before it
				return false
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// kill ends the postmaster at once; its children see that and end too.
func (c *cluster) kill() { c.cmd.Process.Kill() }

// killBackend kills one process that serves the program. PostgreSQL takes that
// for damage to its shared memory and restarts all of them.
func (c *cluster) killBackend() {
	c.t.Helper()
	var pids []int64
	if err := c.query(`SELECT pid FROM pg_stat_activity WHERE application_name = 'sallyport' AND pid <> pg_backend_pid()`, &pids); err != nil || len(pids) == 0 {
		c.t.Fatalf("no connection of the program to kill: %v", err)
	}
	if err := syscall.Kill(int(pids[0]), syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
}

// query runs a statement on a connection of its own, reading one column.
func (c *cluster) query(statement string, into *[]int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d, err := db.Open(ctx, c.url+"&connect_timeout=1&application_name="+strings.ReplaceAll(fmt.Sprint(c.t.Name()), "/", "-"))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		all, err := db.All(ctx, tx, db.Int, statement)
		if into != nil {
			*into = all
		}
		return err
	})
}
