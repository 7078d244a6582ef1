# `make run` and `make test` work from a fresh clone with nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN = $(VENV)/bin
# Two processes. Of fast tests each takes the next one; of slow ones a file at a time, since they
# share what they have trained, and some of them a cluster.
TEST = $(BIN)/python -m pytest --numprocesses 2 --durations 30 --durations-min 5
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test slow lint types check newest bench lock clean .venv backends

run: .venv ## train: make run ARGS="controller=lstm seed=1"
	$(BIN)/python run.py $(ARGS)

test: backends
	$(TEST) --dist load $(ARGS)

slow: backends
	$(TEST) --dist loadfile -m slow

lint: .venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv
	$(BIN)/mypy

check: test slow lint types ## what CI runs

newest: backends ## the layer's tests with the newest release of Keras, which pyproject.toml may not admit yet
	rm -rf $(VENV)/newest
	$(INSTALL) --no-deps --target $(VENV)/newest keras
	PYTHONPATH=$(VENV)/newest $(BIN)/python -c "import keras; print('Keras', keras.__version__)"
	PYTHONPATH=$(VENV)/newest $(TEST) --dist loadfile tests/ntm

bench: backends
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; began=$$(date +%s); \
		$(BIN)/python $$script; echo "took $$(($$(date +%s) - began)) s"; echo; done

.venv: $(VENV)/.installed
backends: $(VENV)/.backends

# The stamps come last, so an installation that was cut short is done again.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements.lock
	$(INSTALL) --no-deps --editable .
	touch $@

$(VENV)/.backends: requirements-backends.lock $(VENV)/.installed
	$(INSTALL) -r requirements.lock -r requirements-backends.lock
	touch $@

# Needs uv. PyTorch is pinned by hand, without the GPU libraries that PyPI's build brings along.
COMPILE = uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate
lock:
	echo '# The versions that the project is tested with; `make lock` writes them.' > requirements.lock
	$(COMPILE) --extra dev --extra experiments --extra optuna --extra slurm pyproject.toml >> requirements.lock
	echo '# JAX and PyTorch, for the tests on these backends and for benchmarks; `make lock` writes them.' \
		> requirements-backends.lock
	printf '%s\n' jax filelock fsspec jinja2 networkx setuptools sympy typing-extensions \
		| $(COMPILE) --constraint requirements.lock - >> requirements-backends.lock
	echo 'torch==2.13.0' >> requirements-backends.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
