# `make` alone lists the targets.
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do command -v python$$v && break; done || command -v python3)
BIN := .venv/bin
AIRFLOW_ENV := env -i HOME="$$HOME" PATH="$$PATH" AIRFLOW_HOME="$(CURDIR)/.airflow"
.DEFAULT_GOAL := help
.PHONY: help setup run up airflow cluster new-shop try doctor reconcile explain rename-shop retire-shop dry-run remap test test-databases test-browser screenshots test-crashes test-soak \
	test-backfill test-clock test-cluster test-mutations bench translations lint lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.installed .airflow/.ready ## install the lock into .venv and create a private Airflow in .airflow
	@# In case Python must not write bytecode: without it each process would compile the package anew.
	@$(BIN)/python -m compileall -q plugins || true

run: setup ## run the demo shop once through Airflow, and once more
	@$(BIN)/python -m local.demo

PORT ?= 8080
SANDBOX_PORT ?= 8046
up: setup ## start Airflow's UI, scheduler and the sandbox; PORT=8080 SANDBOX_PORT=8046 VERBOSE=1
	@$(BIN)/python -m local.up --port $(PORT) --sandbox-port $(SANDBOX_PORT) $(if $(VERBOSE),--verbose)

airflow: setup ## Airflow's own commands, in the Airflow of make up, else in the private one; ARGS="dags list"
	@$(BIN)/python -m local.command_line $(ARGS)

cluster: setup ## the same on two Celery workers that share no disk, with staging in a local S3
	@$(BIN)/python -m local.cluster --port $(PORT) --sandbox-port $(SANDBOX_PORT) $(if $(VERBOSE),--verbose)

new-shop: setup ## ask five questions, write a shop file, its query and .env lines; ARGS="--name x --system y …" answers
	@$(BIN)/python -m local.new_shop $(ARGS)

try: setup ## run SHOP=x once with a sandbox as its REES46, and an empty ledger; FROM=2026-03-01 TO=2026-03-08
	@$(if $(SHOP),,echo "Which shop? make try SHOP=<shop>"; exit 2)
	@$(BIN)/python -m local.try_shop $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") $(SHOP)

doctor: setup ## report what works for a shop, and what to do about the rest; SHOP=demo ARGS="--days 7 --json"
	@$(BIN)/python -m local.doctor $(ARGS) $(SHOP)

SPAN ?= 90d
reconcile: setup ## is REES46 what the warehouse says? SHOP=x SPAN=90d ARGS=--json
	@$(if $(SHOP),,echo "Which shop? make reconcile SHOP=<shop>"; exit 2)
	@$(BIN)/python -m local.doctor --reconcile $(SPAN) $(ARGS) $(SHOP)

explain: setup ## why is an order at REES46 as the warehouse has it, or why not? SHOP=x ORDER=100123 ARGS=--json
	@$(if $(and $(SHOP),$(ORDER)),,echo "Which order? make explain SHOP=<shop> ORDER=<id>"; exit 2)
	@$(BIN)/python -m local.doctor $(ARGS) --explain="$(ORDER)" $(SHOP)

rename-shop: setup ## a shop has another name now: FROM=a TO=b, and LEDGER=<connection> if the shop files name several
	@$(if $(and $(FROM),$(TO)),,echo "Which shop? make rename-shop FROM=<old name> TO=<new name>"; exit 2)
	@$(BIN)/python -m local.ledger $(LEDGER) --rename $(FROM) $(TO)

retire-shop: setup ## a shop was taken out on purpose, do not miss its file: SHOP=x, and LEDGER as above
	@$(if $(SHOP),,echo "Which shop? make retire-shop SHOP=<shop>"; exit 2)
	@$(BIN)/python -m local.ledger $(LEDGER) --retire $(SHOP)

dry-run: setup ## show what SHOP=x would send to REES46, and send nothing; FROM=2026-03-01 TO=2026-03-08
	@$(if $(SHOP),,echo "Which shop? make dry-run SHOP=<shop>"; exit 2)
	@AIRFLOW_HOME="$(CURDIR)/.airflow" $(BIN)/python -m local.dry_run $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") $(SHOP)

remap: setup ## show what SHOP=x would send over all that an earlier mapping has sent, and how to send it
	@$(if $(SHOP),,echo "Which shop? make remap SHOP=<shop>"; exit 2)
	@AIRFLOW_HOME="$(CURDIR)/.airflow" $(BIN)/python -m local.dry_run --remap $(SHOP)

test: setup ## run the tests, in two processes
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-databases: setup ## the contract of four kinds of warehouses as a table; a ledger in MariaDB; each shop system
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "contract or databases" -p tests.contract_table

test-clock: setup ## the tests that read the clock, at ten hard moments of hours, days and zones; QUICK=1: at two
	@$(BIN)/python -m tests.clock $(if $(QUICK),--quick)

test-crashes: setup ## kill tasks, workers and the scheduler of a live Airflow (ten minutes)
	@$(BIN)/python -m pytest -m crash

test-soak: setup ## 200 hours of faults, 36 months of backfill, make up, lost connections, the whole specification (forty minutes)
	@$(BIN)/python -m pytest -m soak

test-backfill: setup ## 36 months of backfill beside the hourly runs, with ORDERS=2000000 (a quarter of an hour)
	@$(BIN)/python -m pytest tests/e2e/test_backfill.py -m soak -k three_years --backfill-orders $(or $(ORDERS),2000000)

test-cluster: setup ## a year on two Celery workers that share no disk, one of which is killed
	@$(BIN)/python -m pytest -m cluster

test-browser: setup ## click through the UI of a live Airflow with Chromium; skipped if there is none
	@$(BIN)/python -m pytest -m browser

screenshots: setup ## the same, and take new pictures for docs/images
	@$(BIN)/python -m pytest -m browser --screenshots=docs/images

test-mutations: setup ## break one safeguard after another and check that its test fails
	@$(BIN)/python -m pytest -m mutation

bench: setup .venv-peers/.installed ## measure ours and the peers; QUICK=1: smaller, for a first impression
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

translations: setup ## add the package's new texts to the Russian catalogue, and list what is not translated
	@$(BIN)/python -m tests.catalogue

lint: .venv/.installed ## ruff, mypy and the import contract of the package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lock: .venv/.installed ## compile each requirements.in to its requirements.txt
	for folder in . bench/peers; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header \
		--upgrade $$folder/requirements.in --output-file $$folder/requirements.txt || exit 1; done

clean: ## remove everything that make created
	rm -rf .venv .venv-peers .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis build plugins/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed, $(PYTHON) is another: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-peers/.installed: bench/peers/requirements.txt .venv/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peers
	$(BIN)/uv pip install --quiet --python .venv-peers/bin/python --compile-bytecode -r bench/peers/requirements.txt
	@touch $@

.airflow/.ready: airflow.cfg.in .venv/.installed
	@mkdir -p .airflow
	@sed 's|@PROJECT@|$(CURDIR)|' airflow.cfg.in > .airflow/airflow.cfg
	@$(AIRFLOW_ENV) $(BIN)/python -m airflow db migrate > .airflow/migrate.log 2>&1 || { tail .airflow/migrate.log; exit 1; }
	@touch $@
