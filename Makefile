# make setup   a virtual environment with everything the app needs
# make demo    the app with its embedded film world, on http://localhost:8501
# make class   the same for a room full of people: on the network, with a join code and a link for the host
# make test    style, types, and the whole test suite
# make docs    the pages of docs/ and an API reference as a website, in docs/_build/html
# make bench   ratios measured side by side with other libraries

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PORT   ?= 8501
STAMP  := $(VENV)/.ready

.PHONY: setup demo class test docs bench clean

setup: $(STAMP)

$(STAMP): requirements.txt requirements-train.txt requirements-dev.txt requirements-encoders.txt requirements-cluster.txt tools/install.py
	@$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'MMRec needs Python 3.11 or newer; this is ' + sys.version.split()[0] + '. Name another with: make PYTHON=python3.12 …')"
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) tools/install.py requirements.txt requirements-dev.txt
	@touch $(STAMP)

demo: setup
	$(PY) -m mmrec_core prepare demo --if-missing
	$(PY) -m mmrec_core serve --port $(PORT) --showcase demo

class: setup
	$(PY) -m mmrec_core prepare demo --if-missing
	$(PY) -m mmrec_core serve --port $(PORT) --showcase demo --class --headless

test: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest

docs: setup
	$(PY) -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: setup
	$(PY) -m pip install --quiet -r benchmarks/requirements.txt
	$(PY) -m benchmarks.ranking
	$(PY) -m benchmarks.loading
	$(PY) -m benchmarks.search
	$(PY) -m benchmarks.projection
	$(PY) -m benchmarks.map
	$(PY) -m benchmarks.dlrm

clean:
	rm -rf $(VENV) .mmrec static/thumbs static/maps docs/_build docs/api .mypy_cache .ruff_cache .pytest_cache
