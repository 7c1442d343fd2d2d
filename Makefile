# make run    start Sallyport for development: data under .sallyport, loopback only
# make test   every check and test, on SQLite and PostgreSQL; installs or names what is missing
#             make test PKG=./internal/wire/...   only these packages, without the other checks
# make lint   formatting, go vet, golangci-lint, govulncheck
# make bench  benchmarks on both engines, ready for benchstat: BENCH=Refresh COUNT=10 PKG=./internal/rig
# make build  the static binary, bin/sallyport

.PHONY: run test lint bench build clean

run: build
	./bin/sallyport dev

build:
	CGO_ENABLED=0 go build -trimpath -o bin/sallyport ./cmd/sallyport

test:
	./scripts/test $(PKG)

lint:
	./scripts/lint

bench:
	./scripts/bench $(PKG)

clean:
	rm -rf bin .tools
