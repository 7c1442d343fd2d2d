# A throw-away PostgreSQL on a free loopback port. To be sourced after needs.sh;
# works with bash 3.2.
#
#   start_postgres   starts it and exports SALLYPORT_TEST_POSTGRES, unless the
#                    environment names a server already
#   stop_postgres    ends it and removes its files; harmless when none runs
#
# It keeps fsync on: the tests of durability mean it.

PG_DIR=

# PostgreSQL refuses to run as root.
as_postgres() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
	elif id postgres >/dev/null 2>&1; then
		setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups "$@"
	else
		setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"
	fi
}

# postmaster prints the pid of the server, if it is up.
postmaster() { head -n 1 "$PG_DIR/data/postmaster.pid" 2>/dev/null; }

start_postgres() {
	[ -z "${SALLYPORT_TEST_POSTGRES:-}" ] || return 0
	PG_DIR=$(mktemp -d "${TMPDIR:-/tmp}/sallyport-pg.XXXXXX")
	if [ "$(id -u)" = 0 ]; then
		chown "$(id -u postgres 2>/dev/null || id -u nobody)" "$PG_DIR"
	fi
	(cd "$PG_DIR" && as_postgres env HOME="$PG_DIR" "$PG_BIN/initdb" -D "$PG_DIR/data" -U postgres -A trust -E UTF8 --locale=C -N >"$PG_DIR/log" 2>&1) || {
		cat "$PG_DIR/log" >&2
		return 1
	}
	local try port
	for try in 1 2 3 4 5 6 7 8; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
		# Another program may have the port; then the server ends at once and
		# the next one is tried.
		if (cd "$PG_DIR" && as_postgres "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -l "$PG_DIR/data/log" -w -t 60 -s \
			-o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='$PG_DIR' -c max_connections=200" start) 2>/dev/null; then
			export SALLYPORT_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
			return 0
		fi
	done
	cat "$PG_DIR/data/log" >&2
	return 1
}

stop_postgres() {
	[ -n "$PG_DIR" ] || return 0
	local pid i
	pid=$(postmaster) || true
	if [ -n "$pid" ]; then
		kill -INT "$pid" 2>/dev/null || true # fast shutdown
		for i in $(seq 1 100); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -QUIT "$pid" 2>/dev/null || true
	fi
	rm -rf "$PG_DIR"
	PG_DIR=
}
