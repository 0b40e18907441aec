# vipd. `make help` lists the targets.
GO       ?= go
BIN      ?= bin
PREFIX   ?= /usr/local
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.stamp=$(VERSION)
LINT     := $(BIN)/golangci-lint
LINT_VERSION := v2.5.0
FUZZTIME ?= 20s
RUNS     ?= 5

# Packages whose tests make network namespaces and run real peers: one at a
# time, so that they do not wait for each other's processor.
NETWORK := ./flow ./internal/lab/... ./internal/e2e/...

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/vipd and bin/viplab
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/vipd ./cmd/viplab

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
	$(GO) test $$($(GO) list ./... | grep -v -e /flow$$ -e internal/lab -e internal/e2e)
	$(GO) test -race -short ./agent ./control ./election/... ./metrics
	scripts/test-network $(NETWORK)

.PHONY: e2e
e2e: deps build ## the end-to-end tests only
	$(GO) test -p 1 -timeout 40m -v $(NETWORK)

.PHONY: bench
bench: deps build ## vipd beside keepalived in one run, and the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./election/... ./agent/...
	$(BIN)/viplab bench --vipd $(BIN)/vipd --runs $(RUNS)
	$(BIN)/viplab fabric --vipd $(BIN)/vipd --runs $(RUNS)

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

.PHONY: install
install: build ## install the binary, the hook and the unit below DESTDIR and PREFIX
	install -D -m 755 $(BIN)/vipd $(DESTDIR)$(PREFIX)/bin/vipd
	install -D -m 755 deploy/hooks/vipd-node $(DESTDIR)$(PREFIX)/sbin/vipd-node
	install -D -m 644 systemd/vipd.service $(DESTDIR)/etc/systemd/system/vipd.service
	sed -i 's|/usr/local/bin|$(PREFIX)/bin|' $(DESTDIR)/etc/systemd/system/vipd.service

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
