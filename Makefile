# The front door. `make` lists what there is; every target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo up down status backfill backup restore test test-platform test-dags test-faults test-compose lint bench docs lock screenshots clean setup setup-dev setup-bench

PYTHON ?= python3
# All tests, a folder's or a file's on one of the cores, since these share servers; with coverage.
PYTEST ?= --numprocesses auto --maxprocesses 4 --no-loadscope-reorder --cov --cov-report=
BENCH ?=
# Numbers of histories for test-faults, first and end: a range that was not finished may be continued.
SEEDS ?= 0:200
DP := .venv/bin/dp
BOOTSTRAP := $(PYTHON) deploy/bootstrap.py

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@$(BOOTSTRAP)

setup-dev:
	@$(BOOTSTRAP) --dev

setup-bench:
	@$(BOOTSTRAP) --dev --bench

demo: setup ## Set everything up, load the sample company, run the night, show what came out
	@$(DP) demo

up: setup ## Start the platform: PostgreSQL, Airflow, reports
	@$(DP) up

down: ## Stop the platform; data stays
	@if [[ -x $(DP) ]]; then $(DP) down; else echo "nothing is set up here"; fi

status: ## Tell what runs, where, and with how much memory
	@if [[ -x $(DP) ]]; then $(DP) status; else echo "nothing is set up here; run make demo"; fi

backfill: setup ## Do a range of days again, chunk by chunk (START=day END=day after the last, REASON="…")
	@$(DP) backfill "$(START)" "$(END)" --reason "$(or $(REASON),make backfill)"

backup: setup ## Back up databases, lake and deliveries, also while the platform works (TO=folder)
	@$(DP) backup $(if $(TO),--to "$(TO)")

restore: setup ## Restore a backup into an empty place (FROM=folder)
	@$(DP) restore "$(or $(FROM),$(error say which: make restore FROM=folder; dp backup list names them))"

test: setup-dev ## Run all tests, with coverage (PYTEST='-k name' for some, without)
	@$(MAKE) --no-print-directory --jobs 2 test-platform test-dags

test-platform:
	.venv/bin/python -m pytest $(PYTEST)

# It runs beside the others, and speaks when it is through.
test-dags:
	@said=$$(.venv-airflow/bin/python -m pytest tests/policy/airflow 2>&1) || { echo "$$said"; exit 1; }; \
	echo "tests/policy/airflow: $${said##*$$'\n'}"

test-faults: setup-dev ## Try faults for hours: 10,000 histories of the model, 200 of the stack (SEEDS=0:200), 200 kills
	DP_HISTORIES=10000 DP_SEEDS=$(SEEDS) DP_KILLS=200 .venv/bin/python -m pytest tests/faults --log-cli-level=INFO

test-compose: setup ## Build docker-compose.yml's image and try its services for real (root, Debian's podman)
	.venv/bin/python deploy/try_compose.py

lint: setup-dev ## Check style, types and SQL; changes nothing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/sqlfluff lint dbt_project

bench: setup-bench ## Measure against peers, all or one (BENCH=load)
	.venv/bin/python -m benchmarks $(BENCH)

docs: setup-dev ## Build dbt's documentation of models and columns
	cd dbt_project && ../.venv/bin/dbt docs generate

screenshots: setup-dev ## Take the pictures of README and runbooks, the former of a running platform (needs Debian's chromium)
	.venv/bin/python docs/screenshots.py
	PYTHONPATH=. .venv/bin/python docs/screenshots_of_troubles.py

lock: setup ## Resolve requirements/*.in again and write the locks with hashes
	@for name in uv platform dev airflow airflow-dev airflow-bench airflow-celery compose; do \
	  .venv-tools/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header --quiet $(LOCK) requirements/$$name.in --output-file requirements/$$name.txt; \
	  echo "requirements/$$name.txt"; \
	done

clean: down ## Stop the platform and remove all that it wrote: databases, lake, logs, environments, secrets
	@if [[ -x $(DP) ]]; then $(DP) down --erase; fi
	rm -rf .state .env .venv .venv-airflow .venv-tools .venv-compose
