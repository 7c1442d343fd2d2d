package db

// checkpointEvery is the number of transactions after which the write-ahead log is copied
// into the database file in the background. A transaction here writes few pages.
const checkpointEvery = 1000

// checkpointer copies the write-ahead log into the database file on a connection of its
// own, so that the writer does not wait for it. It takes what it can while readers and
// the writer go on; the rest is left to the writer, whose own checkpoint
// (wal_autocheckpoint) then has little left to do and lets the log begin anew.
type checkpointer struct {
	path string
	due  chan struct{} // capacity 1: closed to stop
	gone chan struct{}
}

func newCheckpointer(path string) *checkpointer {
	c := &checkpointer{path: path, due: make(chan struct{}, 1), gone: make(chan struct{})}
	go c.loop()
	return c
}

// ask wants a checkpoint soon, without waiting for it.
func (c *checkpointer) ask() {
	select {
	case c.due <- struct{}{}:
	default: // one is due already
	}
}

func (c *checkpointer) close() {
	close(c.due)
	<-c.gone
}

func (c *checkpointer) loop() {
	defer close(c.gone)
	var conn *conn
	for range c.due {
		if conn == nil {
			var err error
			if conn, err = openConn(c.path, "PRAGMA synchronous = FULL"); err != nil {
				continue // the writer meets the same and says so
			}
		}
		if err := conn.do("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		conn.Close()
	}
}
