# The Go programs that checks need, at pinned versions. To be sourced in the
# project's directory; works with bash 3.2.

GOLANGCI_LINT=2.15.0
GOVULNCHECK=1.8.0

# tool NAME MODULE VERSION prints the path of a tool of exactly that version:
# the one in PATH, or one built into .tools/bin.
tool() {
	local name=$1 module=$2 version=$3 path
	for path in "$PWD/.tools/bin/$name" "$(command -v "$name" 2>/dev/null || true)" "$(go env GOPATH)/bin/$name"; do
		[ -x "$path" ] || continue
		if go version -m "$path" | awk -v v="v$version" '$1 == "mod" && $3 == v { found = 1 } END { exit !found }'; then
			echo "$path"
			return 0
		fi
	done
	echo "building $name $version" >&2
	GOBIN="$PWD/.tools/bin" go install "$module@v$version" >&2 || return 1
	echo "$PWD/.tools/bin/$name"
}
