PYTHON ?= .venv/bin/python

.PHONY: tour test notebooks book bench lint results venv

venv: .venv/bin/minicv
.venv/bin/minicv:
	python3 -m venv .venv && .venv/bin/pip install -e '.[test]'

tour: venv
	.venv/bin/minicv tour

test: venv
	$(PYTHON) -m pytest

notebooks: venv                      # execute the sources once into committed .ipynb files
	.venv/bin/pip install -q -e '.[docs]' && $(PYTHON) notebooks/build.py

book: venv                           # docs/_build/html/index.html from the committed notebooks
	.venv/bin/pip install -q -e '.[docs]' && $(PYTHON) docs/build.py

results: venv                        # all experiments on seeds 0, 1, 2 into docs/results.jsonl
	.venv/bin/minicv verify --resume

bench: venv
	$(PYTHON) benchmarks/run.py

lint: venv
	.venv/bin/pip install -q -e '.[dev]' && .venv/bin/ruff check .
