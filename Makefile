# `make` alone lists the targets.
PYTHON ?= $(shell for v in 3.11 3.12 3.13; do command -v python$$v && break; done || command -v python3)
BIN := .venv/bin
AIRFLOW_ENV := env -i HOME="$$HOME" PATH="$$PATH" AIRFLOW_HOME="$(CURDIR)/.airflow"
.DEFAULT_GOAL := help
.PHONY: help setup run up airflow cluster new-shop try doctor reconcile explain rename-shop retire-shop dry-run remap test test-databases test-warehouses test-browser screenshots test-crashes test-soak \
	test-backfill test-clock test-cluster test-wheel test-image test-mutations bench docs translations lint lock lock-extras lock-warehouses release clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/.installed .airflow/.ready ## install requirements-dev.txt into .venv and create a private Airflow in .airflow
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

ENGINES := tests/warehouse/engines
WAREHOUSES := clickhouse snowflake bigquery redshift
WAREHOUSE ?= $(WAREHOUSES)
test-warehouses: $(WAREHOUSE:%=build/warehouses/%/.installed) ## the same for warehouses whose clients need environments of their own; WAREHOUSE=clickhouse: one
	@for name in $(WAREHOUSE); do \
		echo "$$name"; \
		WAREHOUSE=$$name PYTHONPATH=plugins build/warehouses/$$name/bin/python -m pytest -m "contract or databases" \
			-p tests.contract_table tests/warehouse/test_contract.py tests/warehouse/engines || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "Failed:$$failed"; exit 1; }

test-clock: setup ## the tests that read the clock, at ten hard moments of hours, days and zones; QUICK=1: at two
	@$(BIN)/python -m tests.clock $(if $(QUICK),--quick)

test-crashes: setup ## kill tasks, workers and the scheduler of a live Airflow (ten minutes)
	@$(BIN)/python -m pytest -m crash

test-soak: setup ## 200 hours of faults, 36 months of backfill, make up, lost connections, the whole specification (forty minutes)
	@$(BIN)/python -m pytest -m soak

test-backfill: setup ## 36 months of backfill beside the hourly runs, with ORDERS=2000000 (a quarter of an hour)
	@$(BIN)/python -m pytest tests/e2e/test_backfill.py -m soak -k three_years --backfill-orders $(or $(ORDERS),2000000)

test-cluster: setup ## two Celery workers that share no disk, one of which is killed; compose.yaml; DAGs from Git
	@$(BIN)/python -m pytest -m cluster

test-browser: setup ## click through the UI of a live Airflow with Chromium; skipped if there is none
	@$(BIN)/python -m pytest -m browser

screenshots: setup ## the same, and take new pictures for docs/images
	@$(BIN)/python -m pytest -m browser --screenshots=docs/images

test-wheel: .venv/.installed ## build the wheel, and run the demo's main job with it in an environment of its own
	@$(BIN)/python -m pytest -m wheel

test-image: .venv/.installed ## build the Dockerfile's image with buildah, and run it; as root, skipped if there is no buildah
	@$(BIN)/python -m pytest -m image

matrix: setup ## the tests that meet Airflow, on other Pythons, the next Airflow, the lowest versions (two hours); QUICK=1: the newest
	@$(BIN)/python -m tests.matrix $(if $(QUICK),--quick)

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
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header
# One version of each package for all Pythons; without what only Windows needs, where there is no Airflow.
COMPILE_LOCK := $(COMPILE) --fork-strategy fewest --no-emit-package colorama --generate-hashes
comma := ,
LOCKED_EXTRAS := postgres mysql sqlite duckdb s3 celery smtp slack http apprise
lock: .venv/.installed ## compile requirements.txt (production) and requirements-dev.txt; UPGRADE=1: the newest versions
	$(COMPILE_LOCK) $(UPGRADED) pyproject.toml requirements.in --output-file requirements.txt
	$(COMPILE_LOCK) $(UPGRADED) --constraint requirements.txt $(LOCKED_EXTRAS:%=--extra %) \
		pyproject.toml requirements.in requirements-dev.in --output-file requirements-dev.txt
	$(COMPILE_LOCK) $(UPGRADED) requirements-release.in --output-file requirements-release.txt
	$(COMPILE) $(UPGRADED) bench/peers/requirements.in --output-file bench/peers/requirements.txt
UPGRADED = $(if $(UPGRADE),--upgrade)

lock-extras: .venv/.installed ## write requirements-extras.txt: requirements.txt and what EXTRAS="s3 celery slack" need
	@$(if $(EXTRAS),,echo 'Which extras? make lock-extras EXTRAS="s3 celery slack"'; exit 2)
	@$(COMPILE_LOCK) --constraint requirements-dev.txt $(EXTRAS:%=--extra %) pyproject.toml requirements.in \
		--output-file requirements-extras.txt > /dev/null

# The SBOM is of requirements.txt, the licences are those of the locked extras as well.
release: .venv/.installed ## build dist/: wheel, sdist, SBOM, licences, checksums
	@rm -rf dist build/release build/release-tools
	@$(BIN)/uv venv --quiet --python $(BIN)/python build/release-tools
	@$(BIN)/uv pip sync --quiet --python build/release-tools/bin/python --require-hashes requirements-release.txt
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist && rm -f dist/.gitignore
	@$(BIN)/uv venv --quiet --python $(BIN)/python build/release
	@$(BIN)/uv pip sync --quiet --python build/release/bin/python --require-hashes requirements.txt
	@$(BIN)/uv pip install --quiet --python build/release/bin/python --no-deps dist/*.whl
	@sed "s/^dynamic = .*/version = \"$$($(BIN)/hatchling version)\"/" pyproject.toml > build/release/pyproject.toml
	@build/release-tools/bin/cyclonedx-py environment build/release/bin/python --pyproject build/release/pyproject.toml --mc-type library \
		--output-reproducible --output-file dist/sbom.cdx.json
	@$(BIN)/uv pip install --quiet --python build/release/bin/python --constraint requirements-dev.txt \
		"$$(echo dist/*.whl)[$(subst $() ,$(comma),$(LOCKED_EXTRAS))]"
	@build/release-tools/bin/pip-licenses --python build/release/bin/python --output-file dist/licences.md > /dev/null
	@grep -q airflow-provider-rees46 dist/licences.md || \
		{ echo "The list of licences is empty: pip-licenses finds no packages below a path with a blank; use another."; exit 1; }
	@cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

PYTHON_3_13 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python) python3.13)
lock-warehouses: .venv/.installed ## compile the locks of make test-warehouses; WAREHOUSE=clickhouse: one
	for name in $(WAREHOUSE); do $(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 \
		$(if $(UPGRADE),--upgrade) --extra sqlite --extra mysql pyproject.toml $(ENGINES)/requirements.in \
		$(ENGINES)/$$name/requirements.in --output-file $(ENGINES)/$$name/requirements.txt || exit 1; done
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.13 $(if $(UPGRADE),--upgrade) \
		--override $(ENGINES)/bigquery/emulator-overrides.in $(ENGINES)/bigquery/emulator.in \
		--output-file $(ENGINES)/bigquery/emulator.txt

docs: .venv/.installed ## build the documentation as a site into build/site; stops at a link that leads nowhere
	@rm -rf build/docs build/site && mkdir -p build && cp -r docs build/docs && cp CHANGELOG.md build/docs/changelog.md
	@# What is outside docs/ is not in the site: the changelog becomes a page of it, another link plain text.
	@sed -i -E -e 's,\(\.\./CHANGELOG\.md,(changelog.md,g' -e 's,\[([^]]*)\]\(\.\./[^)]*\),\1,g' build/docs/*.md
	@sed -i -E 's,\(docs/,(,g' build/docs/changelog.md
	@$(BIN)/zensical build --clean --strict

clean: ## remove everything that make created
	rm -rf .venv .venv-peers .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist plugins/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: requirements-dev.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed, $(PYTHON) is another: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.txt
	@# The package's name and files of version 0.1.0, which Airflow would find as well.
	@$(BIN)/uv pip uninstall --quiet --python $(BIN)/python rees46-order-status-sync; rm -rf plugins/*.egg-info
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

build/warehouses/%/.installed: $(ENGINES)/%/requirements.txt | .venv/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/warehouses/$*
	$(BIN)/uv pip install --quiet --python build/warehouses/$*/bin/python --compile-bytecode -r $<
	@touch $@

# Its packages do not go with Airflow's; --no-deps, because it runs with an older DuckDB than it asks for.
build/warehouses/bigquery/.installed: build/warehouses/bigquery-emulator/.installed
build/warehouses/bigquery-emulator/.installed: $(ENGINES)/bigquery/emulator.txt | .venv/.installed
	@"$(PYTHON_3_13)" -c '' || { echo "BigQuery's emulator needs Python 3.13: make PYTHON_3_13=/path/to/python3.13"; exit 1; }
	$(BIN)/uv venv --quiet --clear --python "$(PYTHON_3_13)" build/warehouses/bigquery-emulator
	$(BIN)/uv pip install --quiet --no-deps --python build/warehouses/bigquery-emulator/bin/python --compile-bytecode -r $<
	@touch $@

.venv-peers/.installed: bench/peers/requirements.txt .venv/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peers
	$(BIN)/uv pip install --quiet --python .venv-peers/bin/python --compile-bytecode -r bench/peers/requirements.txt
	@touch $@

.airflow/.ready: airflow.cfg.in .venv/.installed
	@$(AIRFLOW_ENV) $(BIN)/python -m local.set_up
	@touch $@
