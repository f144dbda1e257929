# Everything a developer or an operator runs. `make help` lists it.
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c
SHELL := bash
PYTHON := .venv/bin/python
STACK := PYTHONPATH=deploy/local $(PYTHON) -m tessera_stack
PACKAGES := $(wildcard libs/*) $(wildcard services/*)
SERVICE ?=
export BECAUSE ?=
TO ?=
FROM ?=
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-22s %s\n", $$1, $$2}'

.PHONY: install
install: .venv/.installed ## Make .venv with the locked versions of everything

.venv/.installed: requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@command -v python3 >/dev/null || { echo "Python 3.11 is missing. Install it:  apt-get install -y python3 python3-venv"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "· Python: installing the locked packages"
	@test -x $(PYTHON) || python3 -m venv .venv || { echo "Install it:  apt-get install -y python3-venv"; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@touch $@

.PHONY: up
up: install ## Start Kafka, Postgres and all services (SCALE_LEDGER=2 starts two ledgers)
	@$(STACK) up

.PHONY: down
down: install ## Stop what `make up` started
	@$(STACK) down

.PHONY: status
status: install ## Say which processes are ready
	@$(STACK) status

.PHONY: logs
logs: install ## Follow the logs (SERVICE=ledger)
	@$(STACK) logs $(SERVICE)

.PHONY: restart
restart: install ## Restart all services, or one (SERVICE=ledger); of several processes one by one
	@$(STACK) restart $(SERVICE)

.PHONY: kill
kill: install ## SIGKILL one service; it is started again (SERVICE=ledger)
	@$(STACK) kill $(SERVICE)

.PHONY: demo
demo: install ## Play one shop day through the running system
	@$(PYTHON) -m demo

.PHONY: audit
audit: install ## Fold the logs again and compare every balance and every read model
	@$(STACK) run tools.audit

.PHONY: backup
backup: install ## Save everything, beside the running system (TO=directory)
	@$(STACK) backup $(TO)

.PHONY: restore
restore: install ## Put everything back to a backup, the newest or FROM=directory, and start it
	@$(STACK) restore $(FROM)

.PHONY: republish
republish: install ## Publish the logs to their topics again (SERVICE=…)
	@$(STACK) run runtime.admin republish $(SERVICE)

.PHONY: rebuild
rebuild: install ## Drop and rebuild read models from the logs (SERVICE=gateway)
	@$(STACK) run runtime.admin rebuild $(SERVICE)

.PHONY: replay-dead-letters
replay-dead-letters: install ## Handle dead letters again, in order (SERVICE=…)
	@$(STACK) run runtime.admin replay-dead-letters $(SERVICE)

.PHONY: discard-dead-letters
discard-dead-letters: install ## Give up what a replay cannot handle (BECAUSE=… SERVICE=…)
	@$(STACK) run -- runtime.admin discard-dead-letters --because "$$BECAUSE" $(SERVICE)

.PHONY: bench
bench: install ## Measure the running system; writes .local/bench.json
	@$(PYTHON) -m bench

.PHONY: lint
lint: install ## Formatter, linter, import rules, house rules
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache
	@$(PYTHON) tools/tidy.py

.PHONY: types
types: install ## Strict types
	@.venv/bin/mypy $(addsuffix /src,$(PACKAGES)) demo bench tools deploy/local/tessera_stack

.PHONY: check
check: lint types ## Lint, types and unit tests (two minutes)
	@$(PYTHON) -m pytest -m "not integration and not e2e and not chaos" -n 2

# Tests bring up servers of their own, under .local/test-infra and .local/test, and leave none behind.
# A test run that is on beside this one keeps the servers that both use.
.PHONY: test
test: check ## Everything CI runs
	@trap '$(STACK) down --dir .local/test >/dev/null; \
	       $(STACK) down --dir .local/test-infra --unless-used >/dev/null' EXIT; \
	$(PYTHON) -m pytest -m integration -n 2; \
	$(PYTHON) -m pytest -m "(e2e or chaos) and not full" tests

# Full forms: more seeds, kills and rounds than the gate has time for.
.PHONY: chaos
chaos: install ## Faults in full: an hour and a half; writes tests/chaos/report.json
	@trap '$(STACK) down --dir .local/test >/dev/null; \
	       $(STACK) down --dir .local/test-infra --unless-used >/dev/null' EXIT; \
	export CHAOS_REPORT=tests/chaos/report.json CHAOS_FORM=full CHAOS_SEEDS=$${CHAOS_SEEDS:-1,2,3,4,5,6,7,8} \
	       CHAOS_R05_ROUNDS=10 CHAOS_R17_KILLS=10 CHAOS_R24_KILLS=10 CHAOS_R26_CRASHES=10 \
	       CHAOS_R26_BACKENDS=20 CHAOS_R27_S=30 CHAOS_R22_S=60 CHAOS_R09_CALLS=20000 \
	       CHAOS_R12_TRIALS=1000 CHAOS_R23_EVENTS=100000 CHAOS_R30_S=60 CHAOS_R10_S=300 \
	       CHAOS_R16_KILLS=100 CHAOS_R06_REDEMPTIONS=500 CHAOS_R14_S=120; \
	$(PYTHON) -m pytest -s -m "chaos or full" tests

.PHONY: fuzz
fuzz: install ## Every operation by its OpenAPI document, and every case over HTTP, in full (20 minutes)
	@trap '$(STACK) down --dir .local/test >/dev/null' EXIT; \
	$(PYTHON) -m pytest -s -q -m full tests/e2e/test_schemathesis.py tests/e2e/test_cases_over_http.py

SEED ?= 0
SEEDS ?= 1000

.PHONY: simulate
simulate: install ## One run of the simulation, the same every time (SEED=…)
	@$(PYTHON) -m tests.sim $(SEED)

.PHONY: simulate-long
simulate-long: install ## Many runs of the simulation on all cores, and every mutant (SEEDS=1000)
	@$(PYTHON) -m tests.sim --count $(SEEDS)
	@$(PYTHON) -m pytest -m full tests/sim

.PHONY: reliability-report
reliability-report: install ## Write docs/reliability.md from the last `make chaos`
	@$(PYTHON) tools/reliability_report.py

.PHONY: docs
docs: install ## Generate OpenAPI and AsyncAPI documents, the lists of errors and limits
	@$(PYTHON) -m gateway.openapi
	@$(PYTHON) -m contracts.asyncapi
	@$(PYTHON) -m tools.reference

.PHONY: lock
lock: install ## Make requirements.lock from pyproject.toml
	@.venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --extra dev pyproject.toml -o requirements.lock
