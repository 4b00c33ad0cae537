# Needs Python 3 and make; every target installs its requirements into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
AGENTS = tests/agents
UNIT = --ignore=tests/agents --ignore=tests/faults --ignore=tests/soak tests
WORKERS ?= 2
# Without byte code, every process of a test would compile the plugin again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check docs agents pictures faults soak audit package bench clean

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

# Check links, generated parts, the structure of the Chinese pages, and names in pages.
docs: $(VENV)/tested
	$(BIN)/python -m tools.docs

# With MAAS_AGENTS_REQUIRED=1 a missing agent is a failure, not a skip.
agents: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs --numprocesses=3 --dist=loadgroup $(AGENTS)

# Write the pictures of the page in docs/images; needs Debian's chromium and chromium-driver.
pictures: $(VENV)/with-agents
	$(BIN)/python -m tests.agents.page_pictures

# Behaviour under faults: limits, secrets, kills, a simulated week.
faults: $(VENV)/with-agents
	$(BIN)/pytest --quiet -rs --numprocesses=$(WORKERS) tests/faults

# Takes hours, not in CI: simulated months, hypothesis' long profile, `make test` at five times of the clock and under load.
soak: $(VENV)/with-agents
	scripts/soak $(BIN)/pytest $(UNIT)

# Audit the dependencies of users, not those of development.
audit: $(VENV)/checked
	$(BIN)/python -c "from importlib.metadata import requires as needs; \
		print(*[line for line in needs('maas-usage-check') if 'extra ==' not in line], sep='\n')" > $(VENV)/requirements.txt
	$(BIN)/pip-audit --requirement $(VENV)/requirements.txt --progress-spinner off

# Build the sdist and the wheel from it, and try each in an empty environment.
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
