# Signet. `make` or `make help` lists what there is to make.

GO        ?= go
# Developer tools are pinned in a module of their own, apart from the product's.
TOOL      := $(GO) tool -modfile=tools/go.mod
BIN       := bin

PKG       ?= ./...
BENCH     ?= .
BENCHTIME ?= 1s
COUNT     ?= 1
FUZZTIME  ?= 30s
KILLS     ?= 1000
IMAGE     ?= signet:dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  Variables, with their defaults:'
	@echo '    PKG=$(PKG)         packages of test, bench and fuzz'
	@echo '    BENCH=$(BENCH) BENCHTIME=$(BENCHTIME) COUNT=$(COUNT)   as go test knows them'
	@echo '    BENCHFLAGS=           of the run on whole proxies: go run ./test/bench -h'
	@echo '    FUZZTIME=$(FUZZTIME)      how long each fuzz target runs; nightly, 10m'
	@echo '    DEMOFLAGS=            of the demonstration: --stay leaves the collector running, to look at'
	@echo '    VULNDB=               a copy of the vulnerability database: a directory, or an address'
	@echo '    KILLS=$(KILLS)            of a process that writes a journal, in make torture; 50 more of whole sidecars'

.PHONY: demo
demo: build ## Show the main job on this machine, on loopback only, and check it (DEMOFLAGS)
	@$(BIN)/signet demo --second-verifier docs/verify/signet_verify.py $(DEMOFLAGS)

.PHONY: picture
picture: build ## Draw the README's picture of what make demo shows
	CLICOLOR_FORCE=1 $(BIN)/signet demo | $(GO) run -C tools ./picture >docs/images/demo.svg

.PHONY: build
build: ## Build the static binaries into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(BIN)/ ./cmd/...

.PHONY: test
test: .cache packages ## Run all tests with the race detector, in random order
	@$(TOOL) gotestsum --format=pkgname-and-test-fails --format-hide-empty-pkg --jsonfile=.cache/test.json -- \
		-race -shuffle=on -timeout=20m $(PKG)

.PHONY: torture
torture: packages ## Run the long tests at full length: KILLS kills, every crash state and fault, bodies of 1 GiB
	$(GO) test -count=1 -timeout=60m -run='^Test(Kill|WriteLog|SystemCallFaults)$$' -v ./receipts/journal -journal.rounds=$(KILLS) -journal.states=0 -journal.faults=0
	$(GO) test -count=1 -timeout=60m -run='^Test(Kill|MemoryDoesNotGrowWithBodies)$$' -v ./test/e2e \
		-e2e.kills=50 -e2e.bytes=$$((1 << 30))
	$(GO) test -count=1 -timeout=60m -run='^Test(Kill|ManyStreams)$$' -v ./internal/collector -collector.kills=50 -collector.streams=1000

.PHONY: canonical
canonical: packages ## Compare 10 million numbers in canonical form with Node's
	$(GO) test -count=1 -timeout=60m -run='^TestNumbers$$' -v ./receipts -doubles=10000000

.PHONY: repair-table
repair-table: ## Spoil 10,000 documents in every way and show what the local repair makes of them
	@$(GO) test -count=1 -timeout=20m -run='^TestCorpus$$' ./repair -args -repair.documents=10000

.PHONY: packages
packages: ## Install what the tests need from Debian (test/packages)
	@test/install

.PHONY: bench
bench: ## Run the benchmarks of the parts (BENCH, BENCHTIME, COUNT), then of whole proxies (BENCHFLAGS)
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchtime=$(BENCHTIME) -count=$(COUNT) -benchmem -timeout=60m $(PKG)
	$(GO) run ./test/bench $(BENCHFLAGS)

.PHONY: speed
speed: ## Measure contracts, what durability adds, then verify and export with 100,000 records, and their memory with 1,000,000
	$(GO) test -run='^$$' -bench='^Benchmark(Contract|Schema|Inspect|NoContract)$$' -cpu=1 ./internal/payload -speed.hold
	$(GO) test -count=1 -timeout=60m -run='^Test(DurabilityCosts|GroupsGrow)$$' -v ./receipts/journal -speed.disk -speed.rounds=50
	$(GO) test -run='^$$' -bench='^BenchmarkSpeed$$' -benchtime=1x -timeout=60m ./receipts/bundle -speed.records=100000

.PHONY: collector
collector: packages ## Measure the collector on PostgreSQL: a minute of ingest, plans and times on 1,000,000 records, its caches
	$(GO) test -count=1 -timeout=30m -run='^TestRate$$' -v ./internal/collector -collector.seconds=60 -collector.rate=2000
	$(GO) test -count=1 -timeout=60m -run='^TestPlans$$' -v ./internal/collector/store/postgres -postgres.rows=1000000
	$(GO) test -run='^$$' -bench='^BenchmarkReceipt$$' -benchtime=5000x -count=3 ./internal/collector

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME, one after the other
	@$(GO) test -run='^$$' -list='^Fuzz' -json $(PKG) | \
		sed -n 's/.*"Package":"\([^"]*\)","Output":"\(Fuzz[^\\]*\).*/\1 \2/p' | \
		while read -r package target; do \
			echo "== $$package $$target"; \
			$(GO) test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) "$$package" </dev/null || exit 1; \
		done

.PHONY: lint
lint: ## Check format, style, known mistakes and go.mod
	@$(GO) mod tidy -diff
	@$(TOOL) golangci-lint run ./...
	@$(GO) run -C tools ./protogen -check ../internal/api/collector.proto

.PHONY: fmt
fmt: ## Format all Go files
	@$(TOOL) gofumpt -w cmd internal proxy receipts repair resolver test

.PHONY: generate
generate: ## Write the Go code of internal/api/collector.proto anew
	@$(GO) run -C tools ./protogen ../internal/api/collector.proto

.PHONY: vuln
vuln: ## Look for known vulnerabilities, in the public database or the copy VULNDB
	@GO='$(GO)' VULNDB='$(VULNDB)' test/vuln

.PHONY: reproducible
reproducible: ## Build the last commit twice, in different places, and compare
	@test/reproducible

.PHONY: sbom
sbom: build .cache ## Write what each binary is made of: bin/*.cdx.json (CycloneDX)
	@for binary in $(patsubst ./cmd/%,%,$(wildcard ./cmd/*)); do \
		$(TOOL) cyclonedx-gomod bin -json -std -noserial -notimestamp -output $(BIN)/$$binary.cdx.json $(BIN)/$$binary 2>.cache/sbom.log || \
			{ cat .cache/sbom.log >&2; exit 1; }; \
		echo $(BIN)/$$binary.cdx.json; \
	done

.PHONY: docker
docker: ## Build the container image IMAGE
	docker build --tag $(IMAGE) .

.PHONY: clean
clean: ## Remove what make has built
	rm -rf $(BIN) .cache

.cache:
	@mkdir -p $@
