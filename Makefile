PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo test check fast lint types contracts format bench ui clean dev extras

run: ## install what is locked, build the dashboard, start Tocsin on 127.0.0.1:8911
	@$(PYTHON) packaging/make_run.py $(ARGS)

demo: ## the same with a demo shop that fails on a script
	@$(PYTHON) packaging/make_run.py --demo $(ARGS)

extras: ## what `make run` leaves out: Apprise, HTTP/3, the browser check, Parquet
	@$(PYTHON) packaging/make_run.py --install-extras

$(VENV)/dev.stamp: requirements/dev.txt requirements/build.txt
	@$(PYTHON) packaging/make_run.py --install-dev

dev: $(VENV)/dev.stamp

check: dev lint types contracts fast ## format, lint, types, import contracts, unit tests

lint: dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: dev
	@$(BIN)/mypy

contracts: dev
	@PYTHONPATH=src $(BIN)/lint-imports --no-cache

fast: dev
	@$(BIN)/pytest -q -n 2 -m "not slow and not peer and not postgres and not server and not process and not e2e"

test: lint types contracts ## everything that can run here; the last line counts passed, failed and skipped
	@$(BIN)/python tests/run_all.py
