# Python 3 and make are all that this needs; every target installs what it uses into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
VERSIONS = 3.8 3.11 3.13
AGENTS = tests/agents

.PHONY: demo test check agents faults audit package bench matrix clean

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/checked: $(VENV)/tested
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/with-agents: $(VENV)/tested
	$(BIN)/pip install --quiet --editable '.[agents]'
	touch $@

$(VENV)/with-packaging: $(VENV)/installed
	$(BIN)/pip install --quiet --editable '.[package]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/maas-usage-check demo

# Tests wait for a part of their time: four at once keep two cores busy.
test: $(VENV)/tested
	$(BIN)/pytest --quiet --numprocesses=4 --ignore=tests/agents --ignore=tests/faults tests

check: $(VENV)/checked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# With MAAS_AGENTS_REQUIRED=1 a missing agent is a failure, not a skip.
agents: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs $(AGENTS)

# What must hold when everything else does not: the matrix of faults, the limits, the secrets, the long run.
faults: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs tests/faults

# Of what users install, not of the tools around it.
audit: $(VENV)/checked
	$(BIN)/python -c "from importlib.metadata import requires as needs; \
		print(*[line for line in needs('maas-usage-check') if 'extra ==' not in line], sep='\n')" > $(VENV)/requirements.txt
	$(BIN)/pip-audit --requirement $(VENV)/requirements.txt --progress-spinner off

# The sdist, the wheel that is built from it, and what an index and its users ask of the two.
package: $(VENV)/with-packaging
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/pyroma --min 10 .

bench:
	benchmarks/run $(PYTHON)

matrix:
	@for version in $(VERSIONS); do \
		python=$$(scripts/find-python $$version) || { echo "python $$version: not installed, skipped"; continue; }; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	done

clean:
	rm -rf .venv .venv-* build dist *.egg-info
