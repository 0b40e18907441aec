# vipd. `make help` lists the targets.
GO       ?= go
BIN      ?= bin
PREFIX   ?= /usr/local
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.stamp=$(VERSION)
LINT     := $(BIN)/golangci-lint
LINT_VERSION := v2.5.0
FUZZTIME ?= 20s
export DESTDIR PREFIX
RUNS     ?= 5

# Packages whose tests make network namespaces and run real peers: one at a
# time, so that they do not wait for each other's processor.
NETWORK := ./flow ./internal/lab/... ./internal/e2e/... ./internal/interop ./internal/moves/...

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: build
build: $(BIN)/vipd ## build bin/vipd and bin/viplab
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/viplab

.PHONY: $(BIN)/vipd
$(BIN)/vipd:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/vipd

.PHONY: demo
demo: deps build ## show the main job on three hosts in network namespaces (root)
	$(BIN)/viplab demo --vipd $(BIN)/vipd

.PHONY: deps
deps: ## install what tests, demo and bench use (apt-get, root)
	@scripts/install-deps

.PHONY: check
check: ## the fast part: format, vet, unit tests
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) test -short ./...

.PHONY: test
test: deps build ## every test, with real peers
	$(GO) vet ./...
	$(GO) mod tidy -diff
	$(GO) test $$($(GO) list ./... | grep -v -e /flow$$ -e internal/lab -e internal/e2e -e internal/interop -e internal/moves -e internal/machines)
	$(GO) test -race -short ./agent ./control ./election/... ./metrics ./systemd ./internal/logqueue
	scripts/test-network $(NETWORK)

.PHONY: e2e
e2e: deps build ## the end-to-end tests only
	scripts/test-network -v $(NETWORK)

.PHONY: machines
machines: deps ## the package on three real systemd hosts, as containers (root)
	scripts/test-network -v -timeout=12m ./internal/machines

.PHONY: bench
bench: deps build ## vipd beside keepalived in one run, and the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./election/... ./agent/... ./bgp/...
	$(BIN)/viplab bench --vipd $(BIN)/vipd --runs $(RUNS)
	$(BIN)/viplab scale --vipd $(BIN)/vipd
	$(BIN)/viplab busy --vipd $(BIN)/vipd
	$(BIN)/viplab moves --vipd $(BIN)/vipd --runs $(RUNS)
	$(BIN)/viplab fabric --vipd $(BIN)/vipd --runs $(RUNS)
	$(BIN)/viplab fabric --vipd $(BIN)/vipd --busy 20s

.PHONY: fuzz
fuzz: ## fuzz each target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

.PHONY: cover
cover: ## coverage of the unit tests
	$(GO) test -short -coverprofile $(BIN)/cover.out ./...
	$(GO) tool cover -func $(BIN)/cover.out | tail -1

.PHONY: lint
lint: $(LINT) ## golangci-lint
	$(LINT) run ./...

$(LINT):
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

.PHONY: package
package: ## build .deb and .rpm for amd64 and arm64 into bin/packages
	@VERSION=$(VERSION) scripts/package

.PHONY: install
install: $(BIN)/vipd ## install below DESTDIR and PREFIX: program, units, manual pages, completions
	scripts/install $(BIN)/vipd

.PHONY: uninstall
uninstall: ## remove what install installed
	scripts/install --remove

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
