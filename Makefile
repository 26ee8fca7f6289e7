# Thin on purpose: every line is a cargo command that can be typed by hand.
CARGO ?= cargo
BENCH ?= feed
RUNS ?= 1200
SEED ?= 0
EXAMPLES ?= 300
HISTORIES ?= 40
# Tests whose histories are random: hang-ups, who sees what of whom, what is taken back, deletions and purges.
LONG = hang_ups:: model:: what_everybody_sees whatever_happens whoever_comes_back whoever_listens

.PHONY: run test sdk-test openapi-test deploy-test capability-test soak bench fmt lint doc fuzz-check setup peers

run: ## A sample world on http://127.0.0.1:7070
	$(CARGO) run --release --locked -- demo

test: setup ## Everything that must hold
	$(CARGO) test --workspace --locked
	@$(MAKE) --no-print-directory sdk-test openapi-test deploy-test capability-test

sdk-test: setup ## The TypeScript SDK, alone and with the server, nginx and Chromium
	$(CARGO) build --locked
	@scripts/sdk-test

openapi-test: setup ## The API's description: validators, generated clients, schemathesis
	$(CARGO) build --locked
	@scripts/openapi-test

deploy-test: setup ## The systemd unit and the image, without starting or building either
	$(CARGO) build --locked
	@scripts/unit-test
	@scripts/image/test

capability-test: setup ## The made-up capability of docs/adding-a-capability.md, applied to a copy, compiled and run
	@scripts/made-up-capability

soak: setup ## The long runs: thousands of histories, seeds from SEED on
	FANFARE_TEST_RUNS=$(RUNS) FANFARE_TEST_SEED=$(SEED) $(CARGO) test --locked --test realtime -- --nocapture
	FANFARE_TEST_RUNS=$(HISTORIES) FANFARE_TEST_SEED=$(SEED) $(CARGO) test --locked --test api -- $(LONG) --nocapture
	FANFARE_TEST_RUNS=$(RUNS) FANFARE_TEST_SEED=$(SEED) $(CARGO) test --locked --test seeds -- random_changes --nocapture
	FANFARE_TEST_RUNS=$(RUNS) FANFARE_TEST_SEED=$(SEED) $(CARGO) test --locked -p fanfare-server --lib -- credentials log::tests log::folder --nocapture
	$(CARGO) test --locked -p fanfare-server --lib -- links::code --ignored
	$(CARGO) test --locked --test api -- links::codes --ignored --nocapture
	$(CARGO) build --locked
	@scripts/openapi-test $(EXAMPLES) $(SEED)

bench: peers ## Measure; BENCH=feed names what
	$(CARGO) run --release --locked -- bench $(BENCH)

fmt: ## Lay the source out
	$(CARGO) fmt --all

lint: ## What CI asks of the source
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@$(MAKE) --no-print-directory doc fuzz-check

doc: ## The documentation in the code, private items too; a warning is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

fuzz-check: ## Whether the fuzz targets build, on the usual compiler and without libFuzzer
	@scripts/fuzz --check

setup: ## Install what building and testing need
	@scripts/setup

peers: ## Install what the benchmarks compare with
	@scripts/peers
