# Finds the programs that tests need, installs what it can, and says exactly
# what is missing. To be sourced; works with bash 3.2.
#
# need NAME... sets for each NAME:
#   compiler   nothing: the race detector needs a C compiler
#   postgres   PG_BIN, the directory of initdb and postgres, version 15 or newer
#   chromium   CHROMIUM, the path of a Chromium or Chrome

find_compiler() { command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; }

find_postgres() {
	local dir version best=0
	PG_BIN=
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		"$(dirname "$(command -v initdb 2>/dev/null || echo /none/initdb)")"; do
		[ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] || continue
		version=$("$dir/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
		if [ "$version" -ge 15 ] && [ "$version" -gt "$best" ]; then
			best=$version PG_BIN=$dir
		fi
	done
	[ -n "$PG_BIN" ]
}

find_chromium() {
	local name
	for name in chromium chromium-browser google-chrome google-chrome-stable \
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
		CHROMIUM=$(command -v "$name" 2>/dev/null) && return 0
	done
	CHROMIUM=
	return 1
}

debian_name() {
	case $1 in
	compiler) echo gcc libc6-dev ;;
	postgres) echo postgresql ;;
	chromium) echo chromium ;;
	esac
}

brew_name() {
	case $1 in
	compiler) echo gcc ;;
	postgres) echo postgresql@17 ;;
	chromium) echo --cask chromium ;;
	esac
}

# As root, or by sudo where a person can be asked for the password.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		sudo "$@"
	else
		return 1
	fi
}

install_all() {
	local name
	if command -v apt-get >/dev/null 2>&1; then
		local names=
		for name in "$@"; do names="$names $(debian_name "$name")"; done
		echo "installing:$names" >&2
		as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $names >&2
	elif command -v brew >/dev/null 2>&1; then
		for name in "$@"; do
			echo "installing: $(brew_name "$name")" >&2
			brew install $(brew_name "$name") >&2 || true
		done
	fi
}

need() {
	local name missing=
	for name in "$@"; do
		"find_$name" || missing="$missing $name"
	done
	[ -n "$missing" ] || return 0
	install_all $missing || true
	local still=
	for name in $missing; do
		"find_$name" && continue
		still=1
		echo "missing: $name" >&2
		echo "  Debian, Ubuntu: sudo apt-get install $(debian_name "$name")" >&2
		echo "  macOS:          brew install $(brew_name "$name")" >&2
	done
	[ -z "$still" ]
}
