# smidgen. `make run` on a fresh machine needs Python 3.11+, make and a C++ compiler; it creates .venv and installs nothing
# outside it but the model and the built wheel in the user's cache. A second run starts at once.

# Empty: the first of python3.13, python3.12, python3.11, python3 that will do.
PYTHON ?=
ASK ?= What is 17.5% of 2,340?
# As written, quotes and dollar signs included; recipes read it from the environment.
override ASK := $(value ASK)
export ASK

TEST_MODELS := smollm2-135m qwen2.5-coder-0.5b gemma-3-270m all-minilm-l6-v2
PYTEST_ARGS ?=
# Two at a time, and so are the examples of the pages and what starts whole programs; tests/model has models that take all
# cores.
WITHOUT_MODEL := tests/contract tests/dialects tests/faults tests/unit
PROGRAMS := tests/page tests/process tests/serving
BENCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The native wheel was built for this machine before; pip must not build another one.
INSTALL := $(PIP) install --quiet --require-hashes --only-binary llama-cpp-python

.PHONY: help run test lint format bench lock setup setup-dev models clean
.DEFAULT_GOAL := help

help:
	@echo 'make run [ASK="..."]   set up, fetch the default model, answer a question'
	@echo 'make test              set up, fetch the test models, check style, types and layers, run all tests'
	@echo 'make lint              style, types and layers alone'
	@echo 'make format            let ruff format and fix what it can'
	@echo 'make bench             measure this machine, next to other servers where installed'
	@echo 'make lock              choose new versions of the dependencies (Python 3.11)'
	@echo 'make clean             remove what was made here; models and the built wheel stay in their caches'

run: setup
	@$(BIN)/smidgen models pull
	@$(BIN)/smidgen models pull all-minilm-l6-v2
	@$(BIN)/smidgen run -- "$$ASK"

# pytest comes last, and comes even if a check before it failed.
test: setup-dev models
	@status=0; \
	$(MAKE) --no-print-directory lint || status=$$?; \
	if [ -n "$(PYTEST_ARGS)" ]; then $(BIN)/python -m pytest $(PYTEST_ARGS) || status=$$?; else \
	$(BIN)/python -m pytest -n 2 --dist loadfile $(WITHOUT_MODEL) || status=$$?; \
	$(BIN)/python -m pytest -n 2 tests/docs || status=$$?; \
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PROGRAMS) || status=$$?; \
	$(BIN)/python -m pytest $(addprefix --ignore=,$(WITHOUT_MODEL) tests/docs $(PROGRAMS)) || status=$$?; fi; \
	exit $$status

lint: setup-dev
	@status=0; \
	for check in 'ruff check .' 'ruff format --check .' 'basedpyright' 'lint-imports'; do \
		echo "$$check"; $(BIN)/$$check || status=1; \
	done; \
	exit $$status

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@$(BIN)/python benchmarks/engine.py $(BENCH_ARGS)

models: setup
	@for model in $(TEST_MODELS); do $(BIN)/smidgen models pull $$model --accept-license || exit; done

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

# --- environment -----------------------------------------------------------------------------------------------------

$(VENV)/.created: scripts/venv.sh
	@sh scripts/venv.sh $(VENV) $(PYTHON)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml requirements.lock requirements-build.lock scripts/native_wheel.py
	@echo 'Installing what requirements.lock names'
	@$(INSTALL) -r requirements-build.lock
	@$(BIN)/python scripts/native_wheel.py
	@$(INSTALL) -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo 'Installing what requirements-dev.lock names'
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

# The lock files are resolved for Python 3.11 and carry the hashes of every platform's files; newer Pythons need a subset
# of these packages. Windows (colorama, pyreadline) is not covered.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-options --no-emit-index-url --no-emit-find-links
GROUP := $(BIN)/python -c 'import sys, tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"][sys.argv[1]], sep="\n")'

lock: setup-dev
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Lock with the oldest Python supported: make clean && make lock PYTHON=python3.11")'
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(GROUP) build | $(COMPILE) --constraint requirements.lock --output-file requirements-build.lock -
	$(GROUP) dev | $(COMPILE) --constraint requirements.lock --constraint requirements-build.lock \
		--output-file requirements-dev.lock -

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
