package db

import "time"

// SetWorkTime shortens the patience with a PostgreSQL server that does not answer.
func SetWorkTime(d *DB, t time.Duration) { d.engine.(*pgEngine).workTime = t }
