# What there is to do with sparekey; `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench lab cover crash fuzz clean

GO ?= go
BIN := bin
POINTS ?= 200
KILLS ?= 300
SHARES ?= 5

# Without C the programs start sooner and run anywhere. Names that only the C
# library finds (nas.local, by mDNS) need CGO=1.
CGO ?= 0

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: need-go ## bin/sparekey and bin/sparekey-relay; CGO=1: names of mDNS too
	CGO_ENABLED=$(CGO) $(GO) build -trimpath -o $(BIN)/ ./cmd/...

demo: build need-age need-ip ## a spare key goes from one device to another, in a room and over a relay
	./scripts/demo $(BIN)

# Code that is compiled in for tests only stands behind these.
TAGS := faults

test: need-go need-cc need-ip need-zbar ## all tests, with the race detector
	$(GO) vet ./...
	$(GO) test -race -timeout 15m ./...
	$(GO) test -run ManySharesAtOnce ./discovery/lan
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -race -tags $(TAGS) ./fault/...

# What the protocol's own tests run of its packages, and how much at the least.
COVER := noise noise/frame node/share
COVER_LEAST := 90

cover: need-go ## coverage of the protocol; fails below 90 %
	@./scripts/cover $(COVER_LEAST) $(COVER)

FUZZ ?= 10s
fuzz: need-go ## every decoder, ten seconds each; FUZZ=300x: so many inputs
	@./scripts/fuzz $(FUZZ)

crash: need-go ## kill the real programs at POINTS points each and KILLS random moments
	$(GO) test -tags faults ./fault
	cd crash && $(GO) run . $(if $(ONLY),-only '$(ONLY)',-points $(POINTS) -kills $(KILLS))

bench: need-go need-ip build ## what it costs, as a table and bench.json; BENCH=short takes a few minutes (Linux, root)
	$(GO) build -trimpath -o $(BIN)/ ./simulations/bench/...
	$(BIN)/bench $(addprefix -,$(BENCH))

lab: need-go need-ip build ## share in rooms of every kind, SHARES times each, as a table (Linux, root)
	$(GO) build -trimpath -o $(BIN)/ ./simulations/lab
	$(BIN)/lab -shares $(SHARES)

lint: need-go ## gofmt, vet and staticcheck, also of what only tests compile in
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt -w these: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags $(TAGS) ./...
	$(GO) build -C tools -o ../$(BIN)/staticcheck honnef.co/go/tools/cmd/staticcheck
	$(BIN)/staticcheck ./...
	$(BIN)/staticcheck -tags $(TAGS) ./...

clean: ## what build and tests left
	rm -rf $(BIN) cover.out bench.json

.PHONY: need-age need-go need-cc need-ip need-zbar
need-go:
	@./scripts/need go
need-cc:
	@./scripts/need gcc gcc libc6-dev
need-ip:
	@./scripts/need ip iproute2
need-age:
	@./scripts/need age age
	@./scripts/need curl curl
need-zbar:
	@./scripts/need zbarimg zbar-tools
