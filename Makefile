# Python 3 and make are all that this needs; every target installs what it uses into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
AGENTS = tests/agents
UNIT = --ignore=tests/agents --ignore=tests/faults --ignore=tests/soak tests
WORKERS ?= 2
# Without byte code every process of a test would compile the plugin anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check docs agents faults soak audit package bench clean

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

test: $(VENV)/tested
	$(BIN)/pytest --quiet --numprocesses=$(WORKERS) $(UNIT)

check: $(VENV)/checked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Links, generated parts, the structure of the Chinese pages, and what pages name.
docs: $(VENV)/tested
	$(BIN)/python -m tools.docs

# With MAAS_AGENTS_REQUIRED=1 a missing agent is a failure, not a skip.
agents: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs --numprocesses=3 --dist=loadgroup $(AGENTS)

# Behaviour under faults: limits, secrets, kills, one simulated week.
faults: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs --numprocesses=$(WORKERS) tests/faults

# Hours long, and not part of CI: simulated months, hypothesis' long profile, `make test` at five clocks and under load.
soak: $(VENV)/with-agents
	scripts/soak $(BIN)/pytest $(UNIT)

# Of what users install, not of the tools around it.
audit: $(VENV)/checked
	$(BIN)/python -c "from importlib.metadata import requires as needs; \
		print(*[line for line in needs('maas-usage-check') if 'extra ==' not in line], sep='\n')" > $(VENV)/requirements.txt
	$(BIN)/pip-audit --requirement $(VENV)/requirements.txt --progress-spinner off

# The sdist, the wheel that is built from it, and each of them in an empty environment.
package: $(VENV)/with-packaging
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/pyroma --min 10 .
	scripts/try-package $(PYTHON) dist/*.whl
	scripts/try-package $(PYTHON) dist/*.tar.gz

bench:
	benchmarks/run $(PYTHON)

clean:
	rm -rf .venv .venv-* build dist *.egg-info
