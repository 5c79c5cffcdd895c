# twinkit: every target sets up what it needs (.venv from requirements.lock) by itself.
#   PYTHON=python3.13 make test     chooses the interpreter of a new .venv
#   REGION="RW:Kigali" make demo    builds another region's twin

PYTHON ?= python3
VENV   ?= .venv
REGION ?= IN:Shimla
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test axe lab bench lessons system lock clean

help:  ## this list
	@echo "twinkit: make TARGET"; grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## ?/  \1\t/' | expand -t 12

VERSION := import sys; print(sys.version_info[:2])
# PYTHON was chosen and .venv holds another version: its mark goes, and the recipe below sets it up anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null),$(shell $(BIN)/python -c '$(VERSION)' 2>/dev/null))
.PHONY: $(VENV)/.locked
endif
endif

# Stale when the lock changed: pip brings an existing .venv up to it. Only a folder that is a virtual environment is
# ever cleared, and only once PYTHON has shown that it runs.
$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "twinkit needs Python >= 3.11; choose one: PYTHON=python3.13 make"; exit 1; }
	@echo "setting up $(VENV) from requirements.lock (once; a few minutes)"
	@if [ -e $(VENV) ] && [ ! -f $(VENV)/pyvenv.cfg ]; then echo "$(VENV) is no virtual environment: choose another VENV"; exit 1; fi
	@if [ "$$($(PYTHON) -c '$(VERSION)')" != "$$($(BIN)/python -c '$(VERSION)' 2>/dev/null)" ]; then $(PYTHON) -m venv --clear $(VENV); fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# The package itself, in place: again when the build file changed.
$(STAMP): $(VENV)/.locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## build the twin of a real region, study its coverage, leave a report in out/
	$(BIN)/twinkit demo --region "$(REGION)"

# Judges whether pages can be used by everybody; the tests that ask it skip where npm is absent.
AXE := tests/browser/node_modules/.ready
$(AXE): tests/browser/package.json tests/browser/package-lock.json
	@if command -v npm >/dev/null; then cd tests/browser && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && touch node_modules/.ready; \
	else echo "no npm here: the tests that ask axe-core skip (make system installs npm)"; fi

axe: $(AXE)  ## axe-core, which some browser tests ask (npm)

test: $(STAMP) $(AXE)  ## style, types, doctests and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

lab: $(STAMP)  ## JupyterLab on a ready workspace: the welcome lesson left, the map right
	$(BIN)/twinkit lesson lab

bench: $(STAMP)  ## every claim of speed, measured; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

lessons: $(STAMP)  ## all lessons and notebooks against their golden numbers, on three regions; the slow tests
	$(BIN)/twinkit lesson test --all
	$(BIN)/python -m twinkit regression --research
	$(BIN)/python -m pytest -m slow

system:  ## the system programs that some tests use (apt)
	@command -v apt-get >/dev/null || { echo "no apt here: install chromium, Node.js with npm, mosquitto with its clients and postgresql by hand; tests that need them skip"; exit 0; }; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	missing=; command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"; \
	command -v mosquitto_pub >/dev/null || missing="$$missing mosquitto-clients"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -q -y --no-install-recommends $$missing; fi

lock: $(STAMP)  ## resolve requirements.lock anew, for Python 3.11 to 3.13
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --upgrade --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra geo --extra view --extra course --universal --python-version 3.11 \
		--constraint requirements.lock --no-emit-index-url --no-header --no-annotate --output-file binder/requirements.txt

clean:  ## remove what the other targets made (not .venv, not your stores)
	rm -rf out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
